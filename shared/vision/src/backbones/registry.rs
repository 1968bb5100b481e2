//! The backbones that ship: name, licence, weights and preprocessing of each. Every family's file holds its own entries.

use std::sync::LazyLock;

use super::{
    Architecture, Licence, convnext, densenet, efficientnet, mobilenet_v2, resnet, swin, vgg, vit,
};
use crate::image::{Colour, Interpolation, Preprocess};
use crate::precision::Precision;
use crate::weights::{Digest, WeightsSource};

/// A backbone with its weights.
#[derive(Clone)]
pub struct BackboneEntry {
    /// Name in a study file: the architecture's where these are its usual weights, otherwise timm's `architecture.weights`, or for weights
    /// in a Python package the network's common name.
    pub name: &'static str,
    /// Features per image.
    pub features: usize,
    /// Trained parameters without the classifier.
    pub parameters: usize,
    /// Licence of the weights.
    pub licence: Licence,
    /// Height and width that the network sees.
    pub input_size: usize,
    /// One line for a list.
    pub about: &'static str,
    source: WeightsSource,
    digest: Digest,
    bf16: Bfloat16,
    architecture: &'static dyn Architecture,
    preprocess: Preprocess,
}

/// Whether features in bfloat16 are good enough. Only real weights tell: with random ones every network passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bfloat16 {
    /// `bench/admit_bf16.py` says so: cosine at least .9995 for the worst image, AUC moved by less than .002.
    Admitted,
    /// Nobody has measured it.
    Unmeasured,
}

impl BackboneEntry {
    /// The entry of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        backbones().iter().find(|entry| entry.name == name)
    }

    /// Where the weights come from unless the study says otherwise.
    pub fn source(&self) -> WeightsSource {
        self.source.clone()
    }

    /// The pin of the weights file; where it is [`Digest::Unpinned`] the study must give one.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the weights expect of an image.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Whether it may compute in this precision.
    pub fn admits(&self, precision: Precision) -> bool {
        precision == Precision::F32 || self.bf16 == Bfloat16::Admitted
    }

    /// The layers.
    pub fn architecture(&self) -> &'static dyn Architecture {
        self.architecture
    }

    /// FLOPs for one image of the input size, two for each multiply-add.
    pub fn flops(&self) -> u64 {
        let network = self.architecture.network();
        network
            .flops(self.input_size, self.input_size)
            .expect("a test asks every entry, whose input size fits its network")
    }

    /// An architecture with weights, under the architecture's name; sizes and counts are the network's and the preprocessing's.
    pub(super) fn new(
        architecture: &'static dyn Architecture,
        source: WeightsSource,
        licence: Licence,
        about: &'static str,
        preprocess: Preprocess,
    ) -> Self {
        let network = architecture.network();
        Self {
            name: architecture.name(),
            features: network.features(),
            parameters: network.trained(),
            licence,
            input_size: preprocess.crop(),
            about,
            source,
            digest: Digest::Unpinned,
            bf16: Bfloat16::Unmeasured,
            architecture,
            preprocess,
        }
    }

    /// An architecture with weights that timm publishes on the hub as `timm/<pretrained>`, `resnet18.a1_in1k`.
    pub(super) fn timm(
        architecture: &'static dyn Architecture,
        pretrained: &'static str,
        licence: Licence,
        about: &'static str,
        preprocess: Preprocess,
    ) -> Self {
        let source = WeightsSource::Hf {
            repo: format!("timm/{pretrained}"),
            revision: "main".to_owned(),
            file: "model.safetensors".to_owned(),
        };
        Self::new(architecture, source, licence, about, preprocess)
    }

    /// An architecture with the weights in a Python package, whose file has this SHA-256.
    pub(super) fn pip(
        architecture: &'static dyn Architecture,
        (package, version): (&'static str, &'static str),
        sha256: [u8; 32],
        licence: Licence,
        about: &'static str,
        preprocess: Preprocess,
    ) -> Self {
        let source =
            WeightsSource::Pip { package: package.to_owned(), version: version.to_owned() };
        Self {
            digest: Digest::Pinned(sha256),
            ..Self::new(architecture, source, licence, about, preprocess)
        }
    }

    /// The same under another name: further weights of an architecture.
    pub(super) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The same, admitted to bfloat16; the caller says what was measured.
    pub(super) fn admit_bf16(self) -> Self {
        Self { bf16: Bfloat16::Admitted, ..self }
    }
}

/// All entries.
pub fn backbones() -> &'static [BackboneEntry] {
    static ENTRIES: LazyLock<Vec<BackboneEntry>> = LazyLock::new(|| {
        [
            // The usual choice is the first of the list.
            efficientnet::entries(),
            mobilenet_v2::entries(),
            resnet::entries(),
            densenet::entries(),
            vgg::entries(),
            vit::entries(),
            swin::entries(),
            convnext::entries(),
        ]
        .concat()
    });
    &ENTRIES
}

/// timm's usual preprocessing, with ImageNet's statistics: shorter side (its size / crop_pct, rounded down) and crop.
pub(super) fn imagenet(shorter_side: usize, crop: usize) -> Preprocess {
    Preprocess {
        shorter_side,
        crop,
        interpolation: Interpolation::Bicubic,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
        colour: Colour::Rgb,
    }
}

/// The same, scaled to -1..1, as TensorFlow's weights want it.
pub(super) fn inception(shorter_side: usize, crop: usize) -> Preprocess {
    Preprocess { mean: [0.5; 3], std: [0.5; 3], ..imagenet(shorter_side, crop) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_can_be_found_and_used() {
        for entry in backbones() {
            let same_name = backbones().iter().filter(|other| other.name == entry.name).count();
            assert_eq!(same_name, 1, "{}", entry.name);
            let written = entry.source().to_string();
            assert_eq!(written.parse::<WeightsSource>().unwrap(), entry.source(), "{}", entry.name);
            entry.preprocess().check().unwrap();
            assert!(entry.flops() > 0, "{}", entry.name);
        }
        assert!(BackboneEntry::find("no_such_net").is_none());
    }

    #[test]
    fn only_weights_that_can_be_told_from_others_are_admitted_to_bfloat16() {
        let admitted = |entry: &&BackboneEntry| entry.admits(Precision::Bf16);
        assert!(backbones().iter().filter(admitted).count() > 0);
        for entry in backbones() {
            assert!(entry.admits(Precision::F32));
            let pinned = matches!(entry.digest(), Digest::Pinned(_));
            assert!(pinned || !entry.admits(Precision::Bf16), "{}", entry.name);
        }
    }

    #[test]
    fn a_plain_name_stands_for_weights_that_anyone_may_use() {
        for entry in backbones().iter().filter(|entry| !entry.licence.is_commercial_use_allowed()) {
            assert!(entry.name.contains('.'), "{}", entry.name);
        }
        let marked = BackboneEntry::find("resnet50.fb_swsl_ig1b_ft_in1k").unwrap();
        assert_eq!(marked.licence.to_string(), "CC-BY-NC-4.0");
    }
}
