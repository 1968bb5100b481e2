//! A backbone made ready: found by name, its weights fetched and checked, its preprocessing decided.

use wardround_core::digest::Digest;
use wardround_core::study::{BackboneRule, PreprocessRule, WeightsRule};
use wardround_learn::bundle::BundleInput;
use wardround_vision::image::PreprocessError;
use wardround_vision::{
    BackboneEntry, Digest as Pin, FeatureKey, Interpolation, LocalWeights, Precision, Preprocess,
    Views, WeightsError, WeightsSource, WeightsStore, backbones,
};

use super::Altered;

/// A backbone made ready.
#[derive(Clone)]
pub struct Ready {
    /// Its entry in the list of backbones.
    pub entry: &'static BackboneEntry,
    /// Its weights, whose digest was checked.
    pub weights: LocalWeights,
    /// What is done to an image first.
    pub preprocess: Preprocess,
    /// How exactly it computes.
    pub precision: Precision,
    /// Which copies of an image are wanted beside it.
    pub altered: Altered,
}

/// Why a backbone can't be made ready.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// This software doesn't know it.
    #[error("no backbone is called '{name}'; this software knows {known}")]
    UnknownBackbone {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A study must pin weights that the software doesn't.
    #[error(
        "the study names '{name}' without a digest, and the software knows none: what lies at {weights} may change, and \
         sites would compute different features; add weights = \"{weights}\" and sha256 = \"...\" of that file to the \
         study's [images]"
    )]
    Unpinned {
        /// The backbone.
        name: &'static str,
        /// Where its weights come from.
        weights: WeightsSource,
    },
    /// The preprocessing makes no sense.
    #[error("the preprocessing can't be used: {0}")]
    Preprocess(#[from] PreprocessError),
    /// The bundle's preprocessing isn't one.
    #[error("the bundle's preprocessing can't be read: {0}")]
    Unreadable(serde_json::Error),
    /// Nobody has measured that these weights' features survive this precision.
    #[error(
        "'{name}' isn't admitted to {precision}: nobody has measured what its weights lose; f32 it computes"
    )]
    Precision {
        /// The backbone.
        name: &'static str,
        /// What was asked for.
        precision: Precision,
    },
    /// The weights can't be had, or are others.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl Ready {
    /// The backbone that a study asks for.
    ///
    /// # Errors
    /// [`ReadyError`].
    pub fn of_study(
        rule: &BackboneRule,
        altered: Altered,
        store: &WeightsStore,
    ) -> Result<Self, ReadyError> {
        let (entry, preprocess) = Self::named(rule)?;
        let (source, digest) = match &rule.weights {
            WeightsRule::Shipped => match entry.digest() {
                pinned @ Pin::Pinned(_) => (entry.source(), pinned),
                Pin::Unpinned => {
                    let weights = entry.source();
                    return Err(ReadyError::Unpinned { name: entry.name, weights });
                }
            },
            WeightsRule::Pinned { source, sha256 } => (source.parse()?, pinned(*sha256)),
        };
        let weights = store.fetch(&source, digest)?;
        let precision = admitted(entry, precision(rule.precision))?;
        Ok(Self { entry, weights, preprocess, precision, altered })
    }

    /// A backbone as the software ships it, for use at this site alone: where no digest is pinned, any file of its source will do.
    ///
    /// # Errors
    /// [`ReadyError`].
    pub fn shipped(
        name: &str,
        precision: Precision,
        store: &WeightsStore,
    ) -> Result<Self, ReadyError> {
        let entry = find(name)?;
        let weights = store.fetch(&entry.source(), entry.digest())?;
        let preprocess = entry.preprocess().clone();
        let precision = admitted(entry, precision)?;
        Ok(Self { entry, weights, preprocess, precision, altered: Altered::Off })
    }

    /// The entry and the preprocessing that a study asks for; no weights are fetched.
    ///
    /// # Errors
    /// [`ReadyError::UnknownBackbone`], [`ReadyError::Preprocess`].
    pub fn named(rule: &BackboneRule) -> Result<(&'static BackboneEntry, Preprocess), ReadyError> {
        let entry = find(&rule.name)?;
        let preprocess = match &rule.preprocess {
            PreprocessRule::Shipped => entry.preprocess().clone(),
            PreprocessRule::Own { shorter_side, crop, mean, std } => Preprocess::new(
                *shorter_side as usize,
                *crop as usize,
                // A study names no filter: PIL's antialiased bicubic, as in most shipped entries.
                Interpolation::Bicubic,
                mean.map(|v| v as f32),
                std.map(|v| v as f32),
            )?,
        };
        Ok((entry, preprocess))
    }

    /// The backbone that a model bundle was fitted on; none when it wasn't on images. Whatever the bundle
    /// says of their source, the weights' file must have the digest.
    ///
    /// # Errors
    /// [`ReadyError`].
    pub fn of_bundle(
        input: &BundleInput,
        store: &WeightsStore,
    ) -> Result<Option<Self>, ReadyError> {
        let BundleInput::Images {
            backbone,
            weights_source,
            weights_digest,
            preprocessing,
            precision: computed,
            views,
        } = input
        else {
            return Ok(None);
        };
        let entry = find(backbone)?;
        let preprocess =
            serde_json::from_value(preprocessing.clone()).map_err(ReadyError::Unreadable)?;
        let source: WeightsSource = match weights_source.as_str() {
            "shipped" => entry.source(),
            source => source.parse()?,
        };
        let weights = store.fetch(&source, pinned(*weights_digest))?;
        let precision = admitted(entry, precision(*computed))?;
        let altered = Altered::for_use(views);
        Ok(Some(Self { entry, weights, preprocess, precision, altered }))
    }

    /// All that decides an image's features, besides the image.
    pub fn key(&self) -> FeatureKey {
        FeatureKey {
            architecture: self.entry.architecture().name().to_owned(),
            weights: self.weights.digest,
            preprocess: self.preprocess.clone(),
            precision: self.precision,
            views: Views::Plain,
        }
    }
}

/// A study's precision as the vision code has it.
pub fn precision(of_study: wardround_core::study::Precision) -> Precision {
    match of_study {
        wardround_core::study::Precision::F32 => Precision::F32,
        wardround_core::study::Precision::Bf16 => Precision::Bf16,
    }
}

fn admitted(entry: &BackboneEntry, precision: Precision) -> Result<Precision, ReadyError> {
    match entry.admits(precision) {
        true => Ok(precision),
        false => Err(ReadyError::Precision { name: entry.name, precision }),
    }
}

fn pinned(digest: Digest) -> Pin {
    Pin::Pinned(*digest.as_bytes())
}

fn find(name: &str) -> Result<&'static BackboneEntry, ReadyError> {
    BackboneEntry::find(name).ok_or_else(|| {
        let known: Vec<&str> = backbones().iter().map(|entry| entry.name).collect();
        ReadyError::UnknownBackbone { name: name.to_owned(), known: known.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, preprocess: PreprocessRule) -> BackboneRule {
        let precision = wardround_core::study::Precision::F32;
        BackboneRule { name: name.to_owned(), weights: WeightsRule::Shipped, preprocess, precision }
    }

    #[test]
    fn a_study_names_backbone_and_preprocessing() {
        let (entry, preprocess) = Ready::named(&rule("resnet18", PreprocessRule::Shipped)).unwrap();
        assert_eq!((entry.features, &preprocess), (512, entry.preprocess()));
        let own =
            |crop| PreprocessRule::Own { shorter_side: 64, crop, mean: [0.5; 3], std: [0.25; 3] };
        let (_, preprocess) = Ready::named(&rule("resnet18", own(48))).unwrap();
        assert_eq!((preprocess.shorter_side(), preprocess.crop()), (64, 48));
        assert!(matches!(Ready::named(&rule("resnet18", own(65))), Err(ReadyError::Preprocess(_))));
        let Err(unknown) = Ready::named(&rule("resnet19", PreprocessRule::Shipped)) else {
            panic!("there is no such backbone")
        };
        assert!(unknown.to_string().contains("'resnet19'; this software knows"), "{unknown}");
    }

    #[test]
    fn a_study_pins_what_the_software_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = WeightsStore::new(folder.path().to_owned());
        // Even where the file lies in its place: another site's may be another.
        let file = folder.path().join("hf/timm--resnet18.a1_in1k/main/model.safetensors");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, b"weights").unwrap();
        let ready = |weights| {
            let rule = BackboneRule { weights, ..rule("resnet18", PreprocessRule::Shipped) };
            Ready::of_study(&rule, Altered::Off, &store).map(|ready| ready.weights.path)
        };
        let error = ready(WeightsRule::Shipped).unwrap_err();
        assert!(matches!(&error, ReadyError::Unpinned { name: "resnet18", .. }), "{error}");
        let source = "hf:timm/resnet18.a1_in1k@main/model.safetensors";
        let advice = format!("add weights = \"{source}\" and sha256 = ");
        assert!(error.to_string().contains(&advice), "{error}");
        let pinned =
            |bytes| WeightsRule::Pinned { source: source.into(), sha256: Digest::of(bytes) };
        assert_eq!(ready(pinned(b"weights")).unwrap(), file);
        assert!(matches!(
            ready(pinned(b"others")),
            Err(ReadyError::Weights(WeightsError::Digest { .. }))
        ));
    }

    #[test]
    fn a_bundle_pins_its_weights() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.pth");
        std::fs::write(&file, b"weights").unwrap();
        let store = WeightsStore::new(folder.path().to_owned());
        let source = format!("file:{}", file.display());
        let entry = BackboneEntry::find("resnet18").unwrap();
        let preprocessing = serde_json::to_value(entry.preprocess()).unwrap();
        let bundle = |weights_digest, preprocessing: &serde_json::Value, precision| {
            let input = BundleInput::Images {
                backbone: "resnet18".into(),
                weights_source: source.clone(),
                weights_digest,
                preprocessing: preprocessing.clone(),
                precision,
                views: wardround_learn::bundle::BundleViews::Plain,
            };
            Ready::of_bundle(&input, &store).map(Option::unwrap)
        };
        let of = |digest, preprocessing| {
            bundle(digest, preprocessing, wardround_core::study::Precision::F32)
        };
        let ready = of(Digest::of(b"weights"), &preprocessing).unwrap();
        assert_eq!((ready.precision, &ready.altered), (Precision::F32, &Altered::Off));
        let bf16 = wardround_core::study::Precision::Bf16;
        assert!(matches!(
            bundle(Digest::of(b"weights"), &preprocessing, bf16),
            Err(ReadyError::Precision { name: "resnet18", precision: Precision::Bf16 })
        ));
        assert_eq!((&ready.weights.path, &ready.preprocess), (&file, entry.preprocess()));
        assert!(matches!(
            of(Digest::of(b"others"), &preprocessing),
            Err(ReadyError::Weights(WeightsError::Digest { .. }))
        ));
        assert!(matches!(
            of(Digest::of(b"weights"), &serde_json::json!({"crop": 3})),
            Err(ReadyError::Unreadable(_))
        ));
    }
}
