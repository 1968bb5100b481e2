//! Why a finished study's models call an image what they call it: heat maps, and whether they can be trusted. For people of this
//! hospital: maps, rows and cases of error never leave, so nothing in this folder knows the way out (`tests/boundary` proves it).
//!
//! An [`Explainer`] makes an [`Explanation`] of an image, [`sort`] finds the rows that are worth looking at, [`page`] shows them, and
//! a [`PrivateFolder`] keeps them.

mod folder;
pub mod page;
mod review;
mod summary;
mod suspects;

use serde::Serialize;
use wardround_learn::bundle::{
    ModelBundle, OwnScale, PredictError, predict, predict_at_site, scores,
};
use wardround_vision::device::{self, DeviceChoice};
use wardround_vision::explain::road::{Faithfulness, trials};
use wardround_vision::explain::sanity::{SHUFFLES, rank_correlation, shuffled};
use wardround_vision::explain::{HeatMap, NoReadout, Occluded, Probe, Readout, paint};
use wardround_vision::{Picture, Preprocess, WeightsError};

pub use self::folder::{FolderError, PrivateFolder};
pub use self::review::{Case, Lists, confusion, sort};
pub use self::summary::{MapSummary, Place, Summary, Trust};
pub use self::suspects::{Suspects, label_suspects};
use crate::features::Ready;

/// How a map is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A class activation map: exact, of linear models.
    Cam,
    /// Covering one part of the image after the other: of every model.
    Occlusion,
}

/// How maps shall be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// By a class activation map where there is one, else by occlusion.
    Auto,
    /// In this way.
    Only(Method),
}

/// Why an image isn't explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The backbone has no class activation map.
    #[error("no class activation map: {0}")]
    NoReadout(String),
    /// The model has none.
    #[error(
        "no class activation map: the model of '{0}' is no weighted sum of features; --method \
         occlusion works for every model"
    )]
    NotLinear(String),
    /// The weights can't be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network failed.
    #[error("backbone: {0}")]
    Backbone(String),
    /// The model refuses the features.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// Bundle and backbone don't belong together.
    #[error("the backbone makes {got} features, the bundle's models take {expected}")]
    Features {
        /// What the bundle says.
        expected: usize,
        /// What the backbone makes.
        got: usize,
    },
    /// The picture can't be drawn.
    #[error("the map can't be drawn")]
    Drawing,
}

/// An image, explained for one of a bundle's models.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// How.
    pub method: Method,
    /// Above 0 where the image speaks for the class. By class activation the score that the image would have if all of it were like this
    /// part, less what the threshold takes; by occlusion what the score loses without this part.
    pub map: HeatMap,
    /// The number that has full colour: the largest, whichever its sign.
    pub strongest: f64,
    /// The probability of the image as it is, without altered views.
    pub probability: f64,
    /// Whether the parts that the map names matter.
    pub faithfulness: Faithfulness,
    /// Mean size of the correlation with maps of shuffled models; `None` where a map is the same everywhere.
    pub likeness: Option<f64>,
    /// What the network sees.
    pub plain: Picture,
    /// The same with the map over it.
    pub painted: Picture,
}

/// Explains images for a bundle's models.
pub struct Explainer<'a> {
    bundle: &'a ModelBundle,
    own: Option<&'a OwnScale>,
    probe: Probe,
    preprocess: Preprocess,
    readout: Result<Readout, String>,
}

impl<'a> Explainer<'a> {
    /// Loads the bundle's backbone. `own` is the site's own scale where the models need one.
    ///
    /// # Errors
    /// The weights can't be read, or make another number of features.
    pub fn new(
        bundle: &'a ModelBundle,
        own: Option<&'a OwnScale>,
        ready: &Ready,
        device: DeviceChoice,
    ) -> Result<Self, ExplainError> {
        let expected = bundle.manifest.features as usize;
        if ready.entry.features != expected {
            return Err(ExplainError::Features { expected, got: ready.entry.features });
        }
        let (place, why) = device::look(device);
        why.into_iter().for_each(|why| tracing::warn!("{why}"));
        let (entry, preprocess) = (ready.entry, ready.preprocess.clone());
        let side = preprocess.crop();
        let say = Box::new(|why: &str| tracing::warn!("{why}"));
        let loaded = device::load(&place, entry, &ready.weights, ready.precision, side, say)?;
        let readout = match Readout::of(entry.architecture(), &ready.weights, side) {
            Ok(readout) => Ok(readout),
            Err(NoReadout::Weights(error)) => return Err(error.into()),
            Err(error) => Err(error.to_string()),
        };
        let probe = Probe::new(loaded.backbone, side, loaded.batch);
        Ok(Self { bundle, own, probe, preprocess, readout })
    }

    /// How a model's maps are made.
    ///
    /// # Errors
    /// [`ExplainError::NoReadout`], [`ExplainError::NotLinear`]: what was wished for can't be had.
    pub fn method(&self, model: usize, wish: Wish) -> Result<Method, ExplainError> {
        let cam = match (&self.readout, self.bundle.models[model].scorer.linear()) {
            (Err(why), _) => Err(ExplainError::NoReadout(why.clone())),
            (Ok(_), None) => Err(ExplainError::NotLinear(self.class(model).to_owned())),
            (Ok(_), Some(_)) => Ok(Method::Cam),
        };
        match wish {
            Wish::Only(Method::Cam) => cam,
            Wish::Only(Method::Occlusion) => Ok(Method::Occlusion),
            Wish::Auto => Ok(cam.unwrap_or(Method::Occlusion)),
        }
    }

    /// Explains a picture for a model.
    ///
    /// # Errors
    /// [`ExplainError`].
    pub fn explain(
        &self,
        picture: &Picture,
        model: usize,
        wish: Wish,
    ) -> Result<Explanation, ExplainError> {
        let image = self.preprocess.apply(picture);
        let method = self.method(model, wish)?;
        let (map, likeness) = match method {
            Method::Cam => self.by_class_activation(&image, model)?,
            Method::Occlusion => self.by_occlusion(&image, model)?,
        };
        let side = self.preprocess.crop();
        let grown = map.grown(side, side);
        let asked = [image.clone()].into_iter().chain(trials(&image, side, &grown));
        let features = self.probe.features(asked).map_err(failed)?;
        let said: Vec<f64> =
            features.iter().map(|f| self.probability(f, model)).collect::<Result<_, _>>()?;
        let faithfulness = Faithfulness::of(&said[1..]).ok_or(ExplainError::Drawing)?;
        let strongest = grown.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let rgb = self.preprocess.resize(picture);
        let painted = paint::overlay(&rgb, side, &grown, strongest);
        let plain = Picture::from_rgb(side, side, rgb).ok_or(ExplainError::Drawing)?;
        let painted = painted.ok_or(ExplainError::Drawing)?;
        let probability = said[0];
        Ok(Explanation {
            method,
            map,
            strongest,
            probability,
            faithfulness,
            likeness,
            plain,
            painted,
        })
    }

    fn by_class_activation(
        &self,
        image: &[f32],
        model: usize,
    ) -> Result<(HeatMap, Option<f64>), ExplainError> {
        let readout = self.readout.as_ref().map_err(|why| ExplainError::NoReadout(why.clone()))?;
        let linear = self.bundle.models[model].scorer.linear();
        let not_linear = || ExplainError::NotLinear(self.class(model).to_owned());
        let folded = linear.ok_or_else(not_linear)?.folded(self.own)?;
        let last = self.probe.last_map(image).map_err(failed)?;
        let (expected, got) = (folded.weights.len(), last.planes().count());
        let map = |weights: &[f64]| {
            let found = readout.map(&last, weights, folded.constant);
            found.ok_or(ExplainError::Features { expected, got })
        };
        let found = map(&folded.weights)?;
        let likeness = likeness(&found.map, expected, |order| {
            let weights: Vec<f64> = order.iter().map(|&at| folded.weights[at]).collect();
            map(&weights).map(|shuffled| shuffled.map)
        })?;
        Ok((found.map.plus(found.constant - self.bar(model)), likeness))
    }

    fn by_occlusion(
        &self,
        image: &[f32],
        model: usize,
    ) -> Result<(HeatMap, Option<f64>), ExplainError> {
        let occluded = Occluded::of(&self.probe, image).map_err(failed)?;
        let map = occluded.map(|features| self.score(features, model))?;
        let likeness = likeness(&map, occluded.plain().len(), |order| {
            occluded.map(|features| {
                let shuffled: Vec<f32> = order.iter().map(|&at| features[at]).collect();
                self.score(&shuffled, model)
            })
        })?;
        Ok((map, likeness))
    }

    /// The score from which the class is called. A softmax has none: what a class takes depends on the others' scores.
    fn bar(&self, model: usize) -> f64 {
        // Beyond these a probability is 0 or 1 in any print.
        const MOST: f64 = 15.0;
        let threshold = self.bundle.models[model].threshold;
        match self.bundle.is_multinomial() {
            true => 0.0,
            false => (threshold / (1.0 - threshold)).ln().clamp(-MOST, MOST),
        }
    }

    fn score(&self, features: &[f32], model: usize) -> Result<f64, ExplainError> {
        let features: Vec<f64> = features.iter().copied().map(f64::from).collect();
        Ok(scores(self.bundle, self.own, &features)?[model])
    }

    fn probability(&self, features: &[f32], model: usize) -> Result<f64, ExplainError> {
        let features: Vec<f64> = features.iter().copied().map(f64::from).collect();
        let all = match self.own {
            Some(own) => predict_at_site(self.bundle, own, &features),
            None => predict(self.bundle, &features),
        };
        Ok(all?[model])
    }

    fn class(&self, model: usize) -> &str {
        let manifest = &self.bundle.manifest;
        let class = manifest.models.get(model).map_or(0, |entry| usize::from(entry.class));
        manifest.classes.get(class).map_or("", String::as_str)
    }
}

/// The mean size of the correlation of a map with those of shuffled models.
fn likeness(
    map: &HeatMap,
    features: usize,
    of_shuffled: impl Fn(&[usize]) -> Result<HeatMap, ExplainError>,
) -> Result<Option<f64>, ExplainError> {
    let mut sizes = Vec::with_capacity(SHUFFLES);
    for shuffle in 0..SHUFFLES {
        let other = of_shuffled(&shuffled(features, shuffle))?;
        sizes.extend(rank_correlation(map.values(), other.values()).map(f64::abs));
    }
    Ok((!sizes.is_empty()).then(|| sizes.iter().sum::<f64>() / sizes.len() as f64))
}

fn failed(error: impl std::fmt::Display) -> ExplainError {
    ExplainError::Backbone(error.to_string())
}
