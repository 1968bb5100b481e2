//! Class activation maps: B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016 (arXiv 1512.04150),
//! section 2.
//!
//! Where features are the mean over the places of a map, a linear model's score is the mean over the places of the model applied to
//! the place. So each place's number is what it adds, exactly, whatever stands before the map; Grad-CAM and HiResCAM (R. L. Draelos
//! and L. Carin, arXiv 2011.08891) give the same. Unlike them we keep what speaks against, and the constant.
//!
//! A layer norm *after* the mean (ConvNeXt) divides by the deviation over the image's mean features. With that one number held at
//! the image's own value the rest is linear and adds up, too: the LN rule of A. Ali et al., "XAI for Transformers", ICML 2022 (arXiv
//! 2202.07304), section 3. A layer norm of each place (Swin) is a part of the map.

use super::{HeatMap, LastMap};
use crate::backbones::Architecture;
use crate::network::Head;
use crate::weights::{LocalWeights, StateDict, WeightsError};

/// How a backbone's last map becomes features, where that can be followed back to places.
#[derive(Debug, Clone, PartialEq)]
pub enum Readout {
    /// The mean over places.
    Mean,
    /// The layer norm of that mean.
    MeanThenLayerNorm {
        /// One per channel.
        gain: Vec<f64>,
        /// One per channel.
        bias: Vec<f64>,
        /// Added to the variance.
        eps: f64,
    },
}

/// Why a backbone has no class activation map.
#[derive(Debug, thiserror::Error)]
pub enum NoReadout {
    /// A token that looked at all places.
    #[error(
        "{0}'s features are its class token, which is no mean over places, so no class \
         activation map is exact; occlusion works for every backbone"
    )]
    ClassToken(&'static str),
    /// Its last map has no places.
    #[error(
        "{0}'s last map is a single place, so it can't say where; occlusion works for every \
         backbone"
    )]
    OnePlace(&'static str),
    /// The weights can't be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// What each place adds to a score: the score is `map.mean() + constant`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassMap {
    /// One number per place.
    pub map: HeatMap,
    /// What no place decides.
    pub constant: f64,
}

impl ClassMap {
    /// The score of the whole image.
    pub fn score(&self) -> f64 {
        self.map.mean() + self.constant
    }
}

impl Readout {
    /// The readout of a backbone that sees images of `side` pixels; its weights' file is read where a norm follows the mean.
    ///
    /// # Errors
    /// [`NoReadout`].
    pub fn of(
        architecture: &dyn Architecture,
        weights: &LocalWeights,
        side: usize,
    ) -> Result<Self, NoReadout> {
        let network = architecture.network();
        if network.head() == &Head::ClassToken {
            return Err(NoReadout::ClassToken(architecture.name()));
        }
        // An image that doesn't fit the network has no features either, which others say.
        let last = network.sizes(side, side).ok().and_then(|sizes| sizes.last().copied());
        if last == Some((1, 1)) {
            return Err(NoReadout::OnePlace(architecture.name()));
        }
        match network.head() {
            Head::MeanThenLayerNorm { name, eps } => {
                let state = StateDict::read(weights)?.named_as(architecture, &network)?;
                let values = |part: &str| -> Result<Vec<f64>, WeightsError> {
                    let values = state.values(&format!("{name}.{part}"))?;
                    Ok(values.iter().copied().map(f64::from).collect())
                };
                Ok(Self::MeanThenLayerNorm {
                    gain: values("weight")?,
                    bias: values("bias")?,
                    eps: *eps,
                })
            }
            Head::Mean | Head::ClassToken => Ok(Self::Mean),
        }
    }

    /// What each place of an image's last map adds to `constant + sum of weights * features`, with one weight per channel; `None`
    /// when there are more or fewer.
    pub fn map(&self, last: &LastMap, weights: &[f64], constant: f64) -> Option<ClassMap> {
        if last.planes().count() != weights.len() {
            return None;
        }
        let (weights, constant) = self.at_places(last, weights, constant);
        let mut sums = vec![0f64; last.places()];
        for (plane, weight) in last.planes().zip(&weights) {
            for (sum, &value) in sums.iter_mut().zip(plane) {
                *sum += weight * f64::from(value);
            }
        }
        let map = HeatMap::new(last.rows, last.columns, sums)?;
        Some(ClassMap { map, constant })
    }

    /// Weights and constant for the channels of the map.
    fn at_places(&self, last: &LastMap, weights: &[f64], constant: f64) -> (Vec<f64>, f64) {
        let Self::MeanThenLayerNorm { gain, bias, eps } = self else {
            return (weights.to_vec(), constant);
        };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means: Vec<f64> = last
            .planes()
            .map(|plane| plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64)
            .collect();
        let middle = mean(&means);
        let squares: Vec<f64> = means.iter().map(|m| (m - middle) * (m - middle)).collect();
        let deviation = (mean(&squares) + eps).sqrt();
        let gained: Vec<f64> =
            weights.iter().zip(gain).map(|(weight, gain)| weight * gain).collect();
        // The norm takes the mean over channels off, which is linear as well.
        let common = mean(&gained);
        let of_bias: f64 = weights.iter().zip(bias).map(|(weight, bias)| weight * bias).sum();
        (gained.iter().map(|g| (g - common) / deviation).collect(), constant + of_bias)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Tensor;

    use super::super::Probe;
    use super::*;
    use crate::backbones::{Backbone, BackboneEntry, load_architecture};
    use crate::precision::Precision;
    use crate::weights::generated;

    const SIDE: usize = 96;

    /// A backbone with made-up weights, and those as a file.
    fn loaded(name: &str) -> (Box<dyn Backbone>, tempfile::TempDir, LocalWeights) {
        let architecture = BackboneEntry::find(name).unwrap().architecture();
        let state = generated::state(architecture, 1.0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let tensors: Vec<(String, Tensor)> = state
            .shapes()
            .map(|(name, shape)| {
                let values = state.get(name).unwrap().values.clone();
                let tensor = Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap();
                (name.to_owned(), tensor)
            })
            .collect();
        candle_core::safetensors::save(&tensors.into_iter().collect(), &path).unwrap();
        let weights = LocalWeights { path, digest: [0; 32] };
        let backbone = load_architecture(architecture, state, [0; 32], Precision::F32).unwrap();
        (backbone, folder, weights)
    }

    #[test]
    fn places_add_up_to_the_score() {
        for (name, side) in [
            ("resnet18", SIDE),
            ("densenet121", SIDE),
            ("efficientnet_lite0", SIDE),
            ("mobilenet_v2", SIDE),
            ("convnext_tiny", SIDE),
            ("swin_tiny_patch4_window7_224", 224),
        ] {
            let (backbone, _folder, weights) = loaded(name);
            let architecture = BackboneEntry::find(name).unwrap().architecture();
            let readout = Readout::of(architecture, &weights, side).unwrap();
            let image = generated::image(3, 3, side, side);
            let features = backbone.forward(&image).unwrap().to_vec2::<f32>().unwrap().remove(0);
            let pixels = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let last = Probe::new(Arc::from(backbone), side, 1).last_map(&pixels).unwrap();
            // Scores of about 1, whatever the size of the features.
            let squares = features.iter().map(|&x| f64::from(x) * f64::from(x));
            let size = squares.sum::<f64>().sqrt();
            let head = generated::uniform("head", features.len());
            let head: Vec<f64> = head.map(|u| u / size).collect();
            let terms = features.iter().zip(&head).map(|(&x, weight)| f64::from(x) * weight);
            let score = 0.25 + terms.sum::<f64>();
            let found = readout.map(&last, &head, 0.25).unwrap();
            assert_eq!(readout.map(&last, &head[1..], 0.25), None);
            assert!((found.score() - score).abs() < 1e-4, "{name}: {score} {found:?}");
            let (low, high) = (found.map.lowest().value, found.map.highest().value);
            assert!(high - low > 1e-3, "{name}: {low} to {high} says nothing of places");
        }
    }

    #[test]
    fn what_has_no_places_says_what_works() {
        let weights = LocalWeights { path: "none".into(), digest: [0; 32] };
        for (name, part) in [("vit_tiny_patch16_224", "class token"), ("vgg16", "single place")] {
            let architecture = BackboneEntry::find(name).unwrap().architecture();
            let error = Readout::of(architecture, &weights, 224).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("occlusion"), "{error}");
        }
    }
}
