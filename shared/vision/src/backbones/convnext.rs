//! ConvNeXt: Z. Liu et al., "A ConvNet for the 2020s", CVPR 2022 (arXiv 2201.03545).
//!
//! The last norm follows the mean over pixels, so the last map isn't normed.

use super::registry::{BackboneEntry, imagenet};
use super::{Architecture, Licence};
use crate::network::{
    Activation, Convolution, Grouping, Head, Network, NodeId, Norm, Padding, Skip,
};
use crate::weights::StateDict;

const EPS: f64 = 1e-6;
/// Side of a patch, pixels.
const PATCH: usize = 4;
const KERNEL: usize = 7;
/// Hidden channels of a block's MLP, as a multiple of the block's own.
const MLP: usize = 4;

/// The family's weights.
pub(super) fn entries() -> Vec<BackboneEntry> {
    let apache = |architecture, pretrained, about| {
        // timm: floor(224 / crop_pct) with crop_pct = 0.875.
        BackboneEntry::timm(architecture, pretrained, Licence::Apache2, about, imagenet(256, 224))
    };
    vec![
        apache(
            &ConvNext::TINY,
            "convnext_tiny.fb_in22k_ft_in1k",
            "ConvNeXt-T, ImageNet-22k, then ImageNet",
        ),
        apache(
            &ConvNext::SMALL,
            "convnext_small.fb_in22k_ft_in1k",
            "ConvNeXt-S, ImageNet-22k, then ImageNet",
        ),
        apache(
            &ConvNext::BASE,
            "convnext_base.fb_in22k_ft_in1k",
            "ConvNeXt-B, ImageNet-22k, then ImageNet",
        ),
    ]
}

/// A ConvNeXt of four stages: as many features as the last one is wide.
#[derive(Debug, Clone, Copy)]
pub struct ConvNext {
    name: &'static str,
    /// Blocks of the stages.
    depths: [usize; 4],
    /// Channels of the stages.
    widths: [usize; 4],
}

impl ConvNext {
    /// ConvNeXt-T, 768 features.
    pub const TINY: Self =
        Self { name: "convnext_tiny", depths: [3, 3, 9, 3], widths: [96, 192, 384, 768] };
    /// ConvNeXt-S, 768 features.
    pub const SMALL: Self =
        Self { name: "convnext_small", depths: [3, 3, 27, 3], widths: [96, 192, 384, 768] };
    /// ConvNeXt-B, 1,024 features.
    pub const BASE: Self =
        Self { name: "convnext_base", depths: [3, 3, 27, 3], widths: [128, 256, 512, 1024] };
}

impl Architecture for ConvNext {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let mut network = Network::new(3);
        let mut width = self.widths[0];
        let patches = network.convolution(Convolution {
            kernel: PATCH,
            stride: PATCH,
            ..Convolution::new(network.image(), "stem.0", 3, width)
        });
        let mut x = network.layer_norm(patches, "stem.1", EPS);
        network.stage("stem", x);
        for (s, (blocks, outputs)) in self.depths.into_iter().zip(self.widths).enumerate() {
            let stage = format!("stages.{s}");
            if s > 0 {
                let normed = network.layer_norm(x, &format!("{stage}.downsample.0"), EPS);
                x = network.convolution(Convolution {
                    kernel: 2,
                    stride: 2,
                    ..Convolution::new(normed, format!("{stage}.downsample.1"), width, outputs)
                });
                width = outputs;
            }
            for b in 0..blocks {
                x = block(&mut network, x, &format!("{stage}.blocks.{b}"), width);
            }
            network.stage(stage, x);
        }
        network.set_head(Head::MeanThenLayerNorm { name: "head.norm".to_owned(), eps: EPS });
        network
    }
    /// Besides timm's names, the original checkpoints' and Hugging Face's.
    fn adapt(&self, state: StateDict) -> StateDict {
        state.renamed(timm_key)
    }
}

/// x + gamma * mlp(norm(depthwise(x))).
fn block(network: &mut Network, input: NodeId, name: &str, width: usize) -> NodeId {
    let x = network.convolution(Convolution {
        kernel: KERNEL,
        padding: Padding::Even(KERNEL / 2),
        grouping: Grouping::Depthwise,
        ..Convolution::new(input, format!("{name}.conv_dw"), width, width)
    });
    let x = network.layer_norm(x, &format!("{name}.norm"), EPS);
    let x = network.convolution(Convolution {
        activation: Activation::Gelu,
        ..Convolution::linear(x, format!("{name}.mlp.fc1"), width, MLP * width)
    });
    network.convolution(Convolution {
        norm: Norm::BiasAndScale { gamma: format!("{name}.gamma") },
        skip: Skip::Add(input),
        ..Convolution::linear(x, format!("{name}.mlp.fc2"), MLP * width, width)
    })
}

/// Layers of a block in the original and in Hugging Face's files, and timm's names.
const BLOCK_KEYS: [(&str, &str); 7] = [
    ("dwconv", "conv_dw"),
    ("norm", "norm"),
    ("layernorm", "norm"),
    ("pwconv1", "mlp.fc1"),
    ("pwconv2", "mlp.fc2"),
    ("gamma", "gamma"),
    ("layer_scale_parameter", "gamma"),
];

/// Layers outside the stages, likewise.
const OUTER_KEYS: [(&str, &str); 6] = [
    ("downsample_layers.0.0", "stem.0"),
    ("downsample_layers.0.1", "stem.1"),
    ("embeddings.patch_embeddings", "stem.0"),
    ("embeddings.layernorm", "stem.1"),
    ("norm", "head.norm"),
    ("layernorm", "head.norm"),
];

fn timm_key(key: &str) -> Option<String> {
    let key = key.strip_prefix("convnext.").unwrap_or(key);
    let (layer, part) = key.rsplit_once('.')?;
    if let Some((_, timm)) = OUTER_KEYS.iter().find(|(other, _)| *other == layer) {
        return Some(format!("{timm}.{part}"));
    }
    if let Some((stage, rest)) = key.strip_prefix("downsample_layers.").and_then(split_number) {
        return Some(format!("stages.{stage}.downsample.{rest}"));
    }
    let key = key.strip_prefix("encoder.").unwrap_or(key);
    let (stage, rest) = key.strip_prefix("stages.").and_then(split_number)?;
    if let Some(rest) = rest.strip_prefix("downsampling_layer.") {
        return Some(format!("stages.{stage}.downsample.{rest}"));
    }
    let (block, rest) = split_number(rest.strip_prefix("layers.").unwrap_or(rest))?;
    let (layer, part) =
        rest.split_once('.').map_or((rest, ""), |(layer, _)| (layer, &rest[layer.len()..]));
    let (_, timm) = BLOCK_KEYS.iter().find(|(other, _)| *other == layer)?;
    Some(format!("stages.{stage}.blocks.{block}.{timm}{part}"))
}

/// `3.rest` in two.
fn split_number(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_keys_become_timms() {
        for (other, timm) in [
            ("downsample_layers.0.1.bias", "stem.1.bias"),
            ("downsample_layers.2.1.weight", "stages.2.downsample.1.weight"),
            ("stages.1.2.dwconv.weight", "stages.1.blocks.2.conv_dw.weight"),
            ("stages.1.2.pwconv2.bias", "stages.1.blocks.2.mlp.fc2.bias"),
            ("stages.1.2.gamma", "stages.1.blocks.2.gamma"),
            ("norm.weight", "head.norm.weight"),
            ("convnext.embeddings.layernorm.weight", "stem.1.weight"),
            ("convnext.encoder.stages.3.downsampling_layer.0.bias", "stages.3.downsample.0.bias"),
            ("encoder.stages.3.layers.0.layer_scale_parameter", "stages.3.blocks.0.gamma"),
            ("encoder.stages.3.layers.0.layernorm.bias", "stages.3.blocks.0.norm.bias"),
            ("convnext.layernorm.bias", "head.norm.bias"),
            ("stages.3.blocks.0.norm.bias", "stages.3.blocks.0.norm.bias"),
            ("stages.1.downsample.0.bias", "stages.1.downsample.0.bias"),
            ("head.norm.bias", "head.norm.bias"),
        ] {
            assert_eq!(timm_key(other).as_deref().unwrap_or(other), timm);
        }
    }

    #[test]
    fn stages_are_timms() {
        let network = ConvNext::TINY.network();
        let got: Vec<_> =
            network.stages().iter().map(|s| (s.name.as_str(), s.channels, s.reduction)).collect();
        assert_eq!(
            got,
            [
                ("stem", 96, 4),
                ("stages.0", 96, 4),
                ("stages.1", 192, 8),
                ("stages.2", 384, 16),
                ("stages.3", 768, 32),
            ]
        );
    }
}
