//! EfficientNet-Lite0: M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
//! (arXiv 1905.11946); the lite variant (Liu, 2020) drops squeeze-and-excitation, uses ReLU6, and scales neither stem nor head.
//!
//! The weights come from TensorFlow: SAME padding and a batch norm epsilon of 1e-3.

use super::Architecture;
use crate::network::{Activation, Convolution, Grouping, Network, NodeId, Norm, Padding, Skip};

const EPS: f64 = 1e-3;
const STEM: usize = 32;
const HEAD: usize = 1280;

/// A run of inverted bottlenecks; the first has the stride and changes the channels.
struct Run {
    repeats: usize,
    kernel: usize,
    stride: usize,
    expand: usize,
    outputs: usize,
}

const RUNS: [Run; 7] = [
    Run { repeats: 1, kernel: 3, stride: 1, expand: 1, outputs: 16 },
    Run { repeats: 2, kernel: 3, stride: 2, expand: 6, outputs: 24 },
    Run { repeats: 2, kernel: 5, stride: 2, expand: 6, outputs: 40 },
    Run { repeats: 3, kernel: 3, stride: 2, expand: 6, outputs: 80 },
    Run { repeats: 3, kernel: 5, stride: 1, expand: 6, outputs: 112 },
    Run { repeats: 4, kernel: 5, stride: 2, expand: 6, outputs: 192 },
    Run { repeats: 1, kernel: 3, stride: 1, expand: 6, outputs: 320 },
];

/// EfficientNet-Lite0, 1,280 features.
#[derive(Debug, Clone, Copy, Default)]
pub struct EfficientNetLite0;

impl Architecture for EfficientNetLite0 {
    fn name(&self) -> &'static str {
        "efficientnet_lite0"
    }

    fn network(&self) -> Network {
        let mut network = Network::new(3);
        let image = network.image();
        let mut x = network.convolution(Convolution {
            kernel: 3,
            stride: 2,
            ..dense(image, "conv_stem", "bn1", 3, STEM)
        });
        network.stage("conv_stem", x);
        let mut channels = STEM;
        for (s, run) in RUNS.iter().enumerate() {
            for b in 0..run.repeats {
                let stride = if b == 0 { run.stride } else { 1 };
                x = block(&mut network, x, &format!("blocks.{s}.{b}"), channels, stride, run);
                channels = run.outputs;
            }
            network.stage(format!("blocks.{s}"), x);
        }
        let head = network.convolution(dense(x, "conv_head", "bn2", channels, HEAD));
        network.stage("conv_head", head);
        network
    }

    /// Besides timm's, the spelling of EfficientNet-PyTorch: `_blocks.3._depthwise_conv.weight`.
    fn timm_key(&self, key: &str) -> String {
        timm_key(key).unwrap_or_else(|| key.to_owned())
    }
}

/// Expand 1x1, depthwise, project 1x1, and the shortcut where shapes allow. Without expansion timm calls the projection `conv_pw`.
fn block(
    network: &mut Network,
    input: NodeId,
    name: &str,
    inputs: usize,
    stride: usize,
    run: &Run,
) -> NodeId {
    let wide = inputs * run.expand;
    let (mut x, [depthwise_norm, project, project_norm]) = if run.expand == 1 {
        (input, ["bn1", "conv_pw", "bn2"])
    } else {
        let expand = dense(input, &format!("{name}.conv_pw"), &format!("{name}.bn1"), inputs, wide);
        (network.convolution(expand), ["bn2", "conv_pwl", "bn3"])
    };
    x = network.convolution(Convolution {
        kernel: run.kernel,
        stride,
        grouping: Grouping::Depthwise,
        ..dense(x, &format!("{name}.conv_dw"), &format!("{name}.{depthwise_norm}"), wide, wide)
    });
    let skip = if stride == 1 && inputs == run.outputs { Skip::Add(input) } else { Skip::None };
    network.convolution(Convolution {
        skip,
        activation: Activation::Linear,
        ..dense(
            x,
            &format!("{name}.{project}"),
            &format!("{name}.{project_norm}"),
            wide,
            run.outputs,
        )
    })
}

/// A 1x1 convolution with batch norm and ReLU6.
fn dense(input: NodeId, weight: &str, norm: &str, inputs: usize, outputs: usize) -> Convolution {
    Convolution {
        norm: Norm::Batch { name: norm.to_owned(), eps: EPS },
        padding: Padding::Same,
        activation: Activation::Relu6,
        ..Convolution::new(input, weight, inputs, outputs)
    }
}

/// Layers of a block: EfficientNet-PyTorch's name, timm's with and without expansion.
const BLOCK_KEYS: [(&str, &str, &str); 6] = [
    ("_expand_conv", "conv_pw", ""),
    ("_bn0", "bn1", ""),
    ("_depthwise_conv", "conv_dw", "conv_dw"),
    ("_bn1", "bn2", "bn1"),
    ("_project_conv", "conv_pwl", "conv_pw"),
    ("_bn2", "bn3", "bn2"),
];

/// Layers outside the blocks.
const OUTER_KEYS: [(&str, &str); 5] = [
    ("_conv_stem", "conv_stem"),
    ("_bn0", "bn1"),
    ("_conv_head", "conv_head"),
    ("_bn1", "bn2"),
    ("_fc", "classifier"),
];

fn timm_key(key: &str) -> Option<String> {
    let Some(inner) = key.strip_prefix("_blocks.") else {
        let (layer, part) = key.rsplit_once('.')?;
        let (_, timm) = OUTER_KEYS.iter().find(|(other, _)| *other == layer)?;
        return Some(format!("{timm}.{part}"));
    };
    let (number, rest) = inner.split_once('.')?;
    let (layer, part) = rest.rsplit_once('.')?;
    let mut block: usize = number.parse().ok()?;
    let (s, run) = RUNS.iter().enumerate().find(|(_, run)| {
        let here = block < run.repeats;
        if !here {
            block -= run.repeats;
        }
        here
    })?;
    let (_, expanded, plain) = BLOCK_KEYS.iter().find(|(other, ..)| *other == layer)?;
    let timm = if run.expand == 1 { plain } else { expanded };
    (!timm.is_empty()).then(|| format!("blocks.{s}.{block}.{timm}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_efficientnet_pytorch_become_timms() {
        for (other, timm) in [
            ("_conv_stem.weight", "conv_stem.weight"),
            ("_bn0.running_mean", "bn1.running_mean"),
            ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
            ("_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"),
            ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
            ("_blocks.1._expand_conv.weight", "blocks.1.0.conv_pw.weight"),
            ("_blocks.2._bn2.weight", "blocks.1.1.bn3.weight"),
            ("_blocks.15._project_conv.weight", "blocks.6.0.conv_pwl.weight"),
            ("_conv_head.weight", "conv_head.weight"),
            ("_fc.bias", "classifier.bias"),
            ("conv_head.weight", "conv_head.weight"),
            ("_blocks.16._bn2.weight", "_blocks.16._bn2.weight"),
        ] {
            assert_eq!(EfficientNetLite0.timm_key(other), timm);
        }
    }

    #[test]
    fn stages_are_timms() {
        let network = EfficientNetLite0.network();
        let got: Vec<_> =
            network.stages().iter().map(|s| (s.name.as_str(), s.channels, s.reduction)).collect();
        assert_eq!(
            got,
            [
                ("conv_stem", 32, 2),
                ("blocks.0", 16, 2),
                ("blocks.1", 24, 4),
                ("blocks.2", 40, 8),
                ("blocks.3", 80, 16),
                ("blocks.4", 112, 16),
                ("blocks.5", 192, 32),
                ("blocks.6", 320, 32),
                ("conv_head", 1280, 32),
            ]
        );
    }
}
