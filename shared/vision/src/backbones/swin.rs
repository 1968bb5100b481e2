//! Swin Transformer: Z. Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021 (arXiv
//! 2103.14030), patches of 4 pixels, windows of 7 patches.
//!
//! timm pads a map that its windows don't divide; here such an image is refused: sides are multiples of 224.

use super::registry::{BackboneEntry, imagenet};
use super::transformer::{Block, LayerScale};
use super::{Architecture, Licence, hugging_face};
use crate::network::{Convolution, Network, Node, Norm, Scope};
use crate::weights::StateDict;

const EPS: f64 = 1e-5;
/// Side of a patch, pixels.
const PATCH: usize = 4;
/// Side of a window.
const WINDOW: usize = 7;
/// Channels of a head.
const HEAD: usize = 32;

/// The family's weights.
pub(super) fn entries() -> Vec<BackboneEntry> {
    let mit = |architecture, pretrained, about| {
        // timm: floor(224 / crop_pct) with crop_pct = 0.9.
        BackboneEntry::timm(architecture, pretrained, Licence::Mit, about, imagenet(248, 224))
    };
    vec![
        mit(&SwinTransformer::TINY, "swin_tiny_patch4_window7_224.ms_in1k", "Swin-T, ImageNet"),
        mit(
            &SwinTransformer::SMALL,
            "swin_small_patch4_window7_224.ms_in22k_ft_in1k",
            "Swin-S, ImageNet-22k, then ImageNet",
        ),
        mit(
            &SwinTransformer::BASE,
            "swin_base_patch4_window7_224.ms_in22k_ft_in1k",
            "Swin-B, ImageNet-22k, then ImageNet",
        ),
    ]
}

/// A Swin transformer of four layers, each with half the pixels along an axis and twice the channels of the one before.
#[derive(Debug, Clone, Copy)]
pub struct SwinTransformer {
    name: &'static str,
    /// Channels of the first layer.
    width: usize,
    /// Blocks of the layers.
    depths: [usize; 4],
}

impl SwinTransformer {
    /// Swin-T, 768 features.
    pub const TINY: Self =
        Self { name: "swin_tiny_patch4_window7_224", width: 96, depths: [2, 2, 6, 2] };
    /// Swin-S, 768 features.
    pub const SMALL: Self =
        Self { name: "swin_small_patch4_window7_224", width: 96, depths: [2, 2, 18, 2] };
    /// Swin-B, 1,024 features.
    pub const BASE: Self =
        Self { name: "swin_base_patch4_window7_224", width: 128, depths: [2, 2, 18, 2] };
}

impl Architecture for SwinTransformer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let mut network = Network::new(3);
        let mut width = self.width;
        let patches = network.convolution(Convolution {
            kernel: PATCH,
            stride: PATCH,
            ..Convolution::new(network.image(), "patch_embed.proj", 3, width)
        });
        let mut x = network.layer_norm(patches, "patch_embed.norm", EPS);
        network.stage("patch_embed", x);
        for (l, blocks) in self.depths.into_iter().enumerate() {
            let layer = format!("layers.{l}");
            if l > 0 {
                let merged = network.push(Node::MergePatches(x));
                let merged = network.layer_norm(merged, &format!("{layer}.downsample.norm"), EPS);
                x = network.convolution(Convolution {
                    norm: Norm::Nothing,
                    ..Convolution::linear(
                        merged,
                        format!("{layer}.downsample.reduction"),
                        4 * width,
                        2 * width,
                    )
                });
                width *= 2;
            }
            for b in 0..blocks {
                let name = format!("{layer}.blocks.{b}");
                let scope = Scope::Window {
                    side: WINDOW,
                    // Every other block's windows lie across the borders of the ones before.
                    shift: if b % 2 == 0 { 0 } else { WINDOW / 2 },
                    bias: format!("{name}.attn.relative_position_bias_table"),
                };
                let heads = width / HEAD;
                x = Block { name, width, heads, scope, eps: EPS, scale: LayerScale::Off }
                    .push(&mut network, x);
            }
            network.stage(layer, x);
        }
        let normed = network.layer_norm(x, "norm", EPS);
        network.stage("norm", normed);
        network
    }
    /// Besides timm's names, the original checkpoints', where `layers.0.downsample` ends a layer that in timm's begins the next, and
    /// Hugging Face's.
    fn adapt(&self, state: StateDict) -> StateDict {
        let mut state = state.renamed(original_key);
        // timm's first layer has no patches to merge.
        if state.get("layers.0.downsample.reduction.weight").is_some() {
            state = state.renamed(next_layers);
        }
        for (l, &blocks) in self.depths.iter().enumerate() {
            for b in 0..blocks {
                hugging_face::merge_attention(&mut state, &format!("layers.{l}.blocks.{b}"));
            }
        }
        state
    }
}

/// The original name of what Hugging Face calls `key`, as a model of its own or within one that classifies.
fn original_key(key: &str) -> Option<String> {
    let key = key.strip_prefix("swin.").unwrap_or(key);
    if let Some(part) = key.strip_prefix("embeddings.patch_embeddings.projection.") {
        return Some(format!("patch_embed.proj.{part}"));
    }
    if let Some(part) = key.strip_prefix("embeddings.norm.") {
        return Some(format!("patch_embed.norm.{part}"));
    }
    if let Some(part) = key.strip_prefix("layernorm.") {
        return Some(format!("norm.{part}"));
    }
    let (layer, rest) = key.strip_prefix("encoder.layers.")?.split_once('.')?;
    if rest.starts_with("downsample.") {
        return Some(format!("layers.{layer}.{rest}"));
    }
    let (block, rest) = rest.strip_prefix("blocks.")?.split_once('.')?;
    Some(format!("layers.{layer}.blocks.{block}.{}", hugging_face::block_key(rest)?))
}

/// timm's name of a layer that merges patches.
fn next_layers(original: &str) -> Option<String> {
    let (layer, rest) = original.strip_prefix("layers.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    rest.starts_with("downsample.").then(|| format!("layers.{}.{rest}", layer + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_hugging_face_become_the_originals() {
        for (other, original) in [
            ("swin.embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"),
            ("embeddings.norm.weight", "patch_embed.norm.weight"),
            ("swin.encoder.layers.2.downsample.norm.bias", "layers.2.downsample.norm.bias"),
            (
                "swin.encoder.layers.2.blocks.5.attention.self.relative_position_bias_table",
                "layers.2.blocks.5.attn.relative_position_bias_table",
            ),
            (
                "encoder.layers.0.blocks.1.attention.self.query.bias",
                "layers.0.blocks.1.attn.q.bias",
            ),
            ("swin.layernorm.weight", "norm.weight"),
            ("layers.2.blocks.5.mlp.fc1.bias", "layers.2.blocks.5.mlp.fc1.bias"),
        ] {
            assert_eq!(original_key(other).as_deref().unwrap_or(other), original);
        }
        let moved = next_layers("layers.0.downsample.reduction.weight");
        assert_eq!(moved.as_deref(), Some("layers.1.downsample.reduction.weight"));
        assert_eq!(next_layers("layers.0.blocks.1.norm1.weight"), None);
    }

    #[test]
    fn stages_are_timms() {
        let network = SwinTransformer::BASE.network();
        let got: Vec<_> =
            network.stages().iter().map(|s| (s.name.as_str(), s.channels, s.reduction)).collect();
        assert_eq!(
            got,
            [
                ("patch_embed", 128, 4),
                ("layers.0", 128, 4),
                ("layers.1", 256, 8),
                ("layers.2", 512, 16),
                ("layers.3", 1024, 32),
                ("norm", 1024, 32),
            ]
        );
    }
}
