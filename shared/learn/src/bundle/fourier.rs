//! Models on random Fourier features as a bundle's file keeps them, and what they say of a row.

use std::borrow::Cow;

use wardround_core::query::FourierMap;
use wardround_core::study::{RbfPoint, Standardise};

use super::{OwnScale, PredictError};
use crate::findings::{FourierScaler, MissingFeatures, OwnFourier};
use crate::fourier::Fourier;

/// Most features of a map that is read: their number is rounded up to a power of two.
const MOST_FEATURES: usize = 1 << 17;

/// Whether a model says something finite of every row, and is what its entry says.
pub(super) fn check(model: &OwnFourier, point: &RbfPoint, features: usize) -> Result<(), String> {
    FourierMap::check_parameters(point.components, point.gamma)?;
    if !(point.c > 0.0 && point.gamma == model.gamma) {
        return Err(format!("C {} and gamma {} of {}", point.c, model.gamma, point.gamma));
    }
    if features > MOST_FEATURES {
        return Err(format!("a map of {features} features, at most {MOST_FEATURES} are read"));
    }
    let mut parts = vec![("weights", &model.weights, point.components as usize)];
    let scaler = match &model.scaler {
        FourierScaler::OwnSite => Standardise::Site,
        FourierScaler::All { mean, inverse } => {
            if inverse.iter().any(|value| *value < 0.0) {
                return Err("an inverse deviation below 0".to_owned());
            }
            parts.extend([("mean", mean, features), ("inverse", inverse, features)]);
            Standardise::All
        }
        FourierScaler::Combat { mean, deviation } => {
            if deviation.iter().any(|value| *value < 0.0) {
                return Err("a deviation below 0".to_owned());
            }
            parts.extend([("mean", mean, features), ("deviation", deviation, features)]);
            Standardise::Combat
        }
    };
    if scaler != point.standardise {
        return Err(format!("scaled as {scaler:?}"));
    }
    for (name, values, expected) in parts {
        let got = values.len();
        if got != expected {
            return Err(format!("expected {expected} numbers in {name}, got {got}"));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(format!("{name} isn't finite"));
        }
    }
    if model.intercept.is_finite() {
        return Ok(());
    }
    Err(format!("intercept {}", model.intercept))
}

/// The score of a row; `own` are the moments of the site's rows.
///
/// # Errors
/// [`PredictError::Missing`], also for a feature so far from the mean that no angle can be told;
/// [`PredictError::NeedsOwnRows`].
pub(super) fn logit(
    model: &OwnFourier,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<f64, PredictError> {
    let needed = || own.ok_or(PredictError::NeedsOwnRows);
    let (mean, inverse) = match &model.scaler {
        FourierScaler::All { mean, inverse } => (Cow::from(mean), Cow::from(inverse)),
        FourierScaler::OwnSite => {
            let own = needed()?;
            (Cow::from(&own.mean), Cow::from(&own.inverse))
        }
        FourierScaler::Combat { mean, deviation } => {
            let (mean, inverse) = needed()?.adjusted(mean, deviation);
            (Cow::from(mean), Cow::from(inverse))
        }
    };
    let mut standardised = Vec::with_capacity(features.len());
    for (j, x) in features.iter().enumerate() {
        standardised.push(match (x.is_finite(), model.missing) {
            (true, _) => (x - mean[j]) * inverse[j],
            (false, MissingFeatures::Filled) => 0.0,
            (false, MissingFeatures::Refused) => {
                return Err(PredictError::Missing(j, x.to_string()));
            }
        });
    }
    let components = model.weights.len();
    let mut mapped = vec![0.0; components];
    Fourier::new(model.seed, features.len(), components, model.gamma)
        .map(&standardised, &mut mapped);
    let score = mapped.iter().zip(&model.weights).fold(0.0, |sum, (x, weight)| sum + x * weight);
    if score.is_finite() {
        return Ok(score + model.intercept);
    }
    let size = |j: &usize| standardised[*j].abs();
    let far = (0..features.len()).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(0);
    Err(PredictError::Missing(far, features[far].to_string()))
}
