//! Probabilities for new rows, with the arithmetic that the models were fitted with.

use super::{LinearScorer, Model, ModelBundle, Scorer, fourier};
use crate::findings::FinalScaler;

/// Mean and deviation of a site's own rows, for models that scale each site by itself. Made from the
/// site's unlabelled rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnScale {
    mean: Vec<f64>,
    /// One over the deviation; 0 where the feature is constant.
    inverse: Vec<f64>,
}

/// Why a row isn't judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// Another number of features.
    #[error("the model takes {expected} features, the row has {got}")]
    Features {
        /// Features of the model.
        expected: usize,
        /// Features of the row.
        got: usize,
    },
    /// A feature is missing (NaN) or infinite.
    #[error("feature {0} of the row is {1}, and the model takes complete rows only")]
    Missing(usize, String),
    /// The model needs the site's own scale.
    #[error(
        "the model scales each site by its own rows: give it rows of this site to take mean and \
         deviation from"
    )]
    NeedsOwnRows,
    /// No rows to take a scale from.
    #[error("expected at least two rows to take mean and deviation from, got {0}")]
    TooFewRows(usize),
}

impl OwnScale {
    /// Mean and deviation (n in the denominator) of rows of `features` numbers, row by row; missing
    /// (NaN) entries don't count.
    ///
    /// # Errors
    /// [`PredictError::TooFewRows`]; [`PredictError::Features`] for a broken last row.
    pub fn of(features: usize, rows: &[f64]) -> Result<Self, PredictError> {
        let broken = rows.len() % features.max(1);
        if broken != 0 {
            return Err(PredictError::Features { expected: features, got: broken });
        }
        let count = rows.len() / features.max(1);
        if count < 2 {
            return Err(PredictError::TooFewRows(count));
        }
        let mut scale = Self { mean: vec![0.0; features], inverse: vec![0.0; features] };
        for j in 0..features {
            let column = || rows.iter().skip(j).step_by(features).filter(|x| x.is_finite());
            let n = column().count() as f64;
            if n == 0.0 {
                continue;
            }
            let mean = column().sum::<f64>() / n;
            let variance = column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            scale.mean[j] = mean;
            let first = column().next();
            if column().any(|x| Some(x) != first) {
                scale.inverse[j] = 1.0 / variance.sqrt();
            }
        }
        Ok(scale)
    }
}

/// The probability of each modelled class against the rest, for a row of features; NaN stands for a
/// missing one. Those of a multinomial model add up to 1. Of a support vector machine it is `1 / (1 + exp(-score))`, which ranks rows as the score does and isn't calibrated.
///
/// # Errors
/// [`PredictError`]; [`PredictError::NeedsOwnRows`] asks for [`predict_at_site`].
pub fn predict(bundle: &ModelBundle, features: &[f64]) -> Result<Vec<f64>, PredictError> {
    judge(bundle, None, features)
}

/// As [`predict`], where models may scale the site by its own rows.
///
/// # Errors
/// [`PredictError`].
pub fn predict_at_site(
    bundle: &ModelBundle,
    own: &OwnScale,
    features: &[f64],
) -> Result<Vec<f64>, PredictError> {
    judge(bundle, Some(own), features)
}

fn judge(
    bundle: &ModelBundle,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<Vec<f64>, PredictError> {
    let expected = bundle.manifest.features as usize;
    for got in [Some(features.len()), own.map(|own| own.mean.len())].into_iter().flatten() {
        if got != expected {
            return Err(PredictError::Features { expected, got });
        }
    }
    let each = bundle.models.iter();
    if bundle.is_multinomial() {
        let scores = each.map(|model| match &model.scorer {
            Scorer::Linear(model) => linear_logit(model, own, features),
            // A checked bundle has none.
            Scorer::Trees(_) | Scorer::Fourier(_) => Ok(f64::NAN),
        });
        return Ok(softmax(scores.collect::<Result<_, _>>()?));
    }
    each.map(|model| probability(model, own, features)).collect()
}

/// Probabilities of all classes, which add up to 1.
fn softmax(mut scores: Vec<f64>) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = libm::exp(*score - most));
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
    scores
}

fn probability(
    model: &Model,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<f64, PredictError> {
    let logit = match &model.scorer {
        Scorer::Linear(model) => linear_logit(model, own, features)?,
        Scorer::Trees(trees) => {
            if let Some(j) = features.iter().position(|x| x.is_infinite()) {
                return Err(PredictError::Missing(j, features[j].to_string()));
            }
            trees.logit(features)
        }
        Scorer::Fourier(model) => {
            let own = own.map(|own| (own.mean.as_slice(), own.inverse.as_slice()));
            fourier::logit(model, own, features)?
        }
    };
    let small = libm::exp(-logit.abs());
    Ok(if logit >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) })
}

fn linear_logit(
    model: &LinearScorer,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<f64, PredictError> {
    let mut logit = model.intercept;
    for (j, (x, weight)) in features.iter().zip(&model.weights).enumerate() {
        let fill = model.fill.get(j).copied();
        let refused = || PredictError::Missing(j, x.to_string());
        logit += weight
            * match &model.scaler {
                FinalScaler::All { mean, deviation } => {
                    let x = if x.is_finite() { *x } else { fill.ok_or_else(refused)? };
                    (x - mean[j]) / deviation[j]
                }
                FinalScaler::OwnSite => {
                    let own = own.ok_or(PredictError::NeedsOwnRows)?;
                    match x.is_finite() {
                        true => (x - own.mean[j]) * own.inverse[j],
                        // The site's own mean stands in.
                        false => fill.map(|_| 0.0).ok_or_else(refused)?,
                    }
                }
            };
    }
    Ok(logit)
}
