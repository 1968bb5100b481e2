//! Probabilities for new rows, with the arithmetic that the models were fitted with.

use super::{EnsembleScorer, LinearScorer, Model, ModelBundle, Scorer, fourier, kernel};
use crate::combat::{Own, adjust};
use crate::findings::FinalScaler;

/// Mean and deviation of a site's own rows, for models that scale each site by itself. Made from the
/// site's unlabelled rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnScale {
    pub(super) mean: Vec<f64>,
    /// One over the deviation; 0 where the feature is constant.
    pub(super) inverse: Vec<f64>,
    moments: Vec<Own>,
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
        let none = Own { n: 0.0, mean: 0.0, variance: 0.0 };
        let mut scale = Self {
            mean: vec![0.0; features],
            inverse: vec![0.0; features],
            moments: vec![none; features],
        };
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
            scale.moments[j] = Own { n, mean, variance: 0.0 };
            if column().any(|x| Some(x) != first) {
                scale.inverse[j] = 1.0 / variance.sqrt();
                scale.moments[j].variance = variance;
            }
        }
        Ok(scale)
    }

    /// What a row is scaled by, `(x - mean) * inverse`, where all sites have this mean and deviation and
    /// each is adjusted by ComBat.
    pub(super) fn adjusted(&self, mean: &[f64], deviation: &[f64]) -> (Vec<f64>, Vec<f64>) {
        adjust(&self.moments, mean, deviation)
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

/// The score of each modelled class for a row of features, before it becomes a probability: a logit, or of a multinomial model what
/// the softmax takes.
///
/// # Errors
/// As [`predict`].
pub fn scores(
    bundle: &ModelBundle,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<Vec<f64>, PredictError> {
    check(bundle, own, features)?;
    bundle.models.iter().map(|model| logit(&model.scorer, own, features)).collect()
}

/// How far an ensemble's members are from one voice on a row, per modelled class: the standard deviation of
/// their probabilities (n in the denominator), 0 to 0.5; `None` for a model that is no ensemble.
///
/// # Errors
/// As [`predict`].
pub fn spread(
    bundle: &ModelBundle,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<Vec<Option<f64>>, PredictError> {
    check(bundle, own, features)?;
    let of_model = |model: &Model| match &model.scorer {
        Scorer::Linear(_) | Scorer::Trees(_) | Scorer::Fourier(_) | Scorer::Kernel(_) => Ok(None),
        Scorer::Ensemble(EnsembleScorer { members, .. }) => {
            let probabilities: Vec<f64> = members
                .iter()
                .map(|member| logit(member, own, features).map(sigmoid))
                .collect::<Result<_, _>>()?;
            let n = probabilities.len() as f64;
            let mean = probabilities.iter().sum::<f64>() / n;
            let squares = probabilities.iter().map(|p| (p - mean) * (p - mean)).sum::<f64>();
            Ok(Some((squares / n).sqrt()))
        }
    };
    bundle.models.iter().map(of_model).collect()
}

fn judge(
    bundle: &ModelBundle,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<Vec<f64>, PredictError> {
    let scores = scores(bundle, own, features)?;
    match bundle.is_multinomial() {
        true => Ok(softmax(scores)),
        false => Ok(scores.into_iter().map(sigmoid).collect()),
    }
}

fn check(
    bundle: &ModelBundle,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<(), PredictError> {
    let expected = bundle.manifest.features as usize;
    for got in [Some(features.len()), own.map(|own| own.mean.len())].into_iter().flatten() {
        if got != expected {
            return Err(PredictError::Features { expected, got });
        }
    }
    Ok(())
}

/// Probabilities of all classes, which add up to 1.
fn softmax(mut scores: Vec<f64>) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = libm::exp(*score - most));
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
    scores
}

fn sigmoid(logit: f64) -> f64 {
    let small = libm::exp(-logit.abs());
    if logit >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

pub(super) fn logit(
    scorer: &Scorer,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<f64, PredictError> {
    match scorer {
        Scorer::Linear(model) => linear_logit(model, own, features),
        Scorer::Trees(trees) => {
            if let Some(j) = features.iter().position(|x| x.is_infinite()) {
                return Err(PredictError::Missing(j, features[j].to_string()));
            }
            Ok(trees.logit(features))
        }
        Scorer::Fourier(model) => fourier::logit(model, own, features),
        Scorer::Kernel(model) => kernel::logit(model, features),
        Scorer::Ensemble(EnsembleScorer { members, combine }) => {
            let logits: Vec<f64> = members
                .iter()
                .map(|member| logit(member, own, features))
                .collect::<Result<_, _>>()?;
            Ok(combine.logit(logits.into_iter()))
        }
    }
}

fn linear_logit(
    model: &LinearScorer,
    own: Option<&OwnScale>,
    features: &[f64],
) -> Result<f64, PredictError> {
    let adjusted = match (&model.scaler, own) {
        (FinalScaler::Combat { mean, deviation }, Some(own)) => own.adjusted(mean, deviation),
        _ => (Vec::new(), Vec::new()),
    };
    let own = match (&model.scaler, own) {
        (FinalScaler::All { .. }, _) => None,
        (FinalScaler::OwnSite, Some(own)) => Some((&own.mean, &own.inverse)),
        (FinalScaler::Combat { .. }, Some(_)) => Some((&adjusted.0, &adjusted.1)),
        (_, None) => return Err(PredictError::NeedsOwnRows),
    };
    let mut logit = model.intercept;
    for (j, (x, weight)) in features.iter().zip(&model.weights).enumerate() {
        let fill = model.fill.get(j).copied();
        let refused = || PredictError::Missing(j, x.to_string());
        logit += weight
            * match (&model.scaler, own) {
                (FinalScaler::All { mean, deviation }, _) => {
                    let x = if x.is_finite() { *x } else { fill.ok_or_else(refused)? };
                    (x - mean[j]) / deviation[j]
                }
                (_, Some((mean, inverse))) if x.is_finite() => (x - mean[j]) * inverse[j],
                // The site's own mean stands in.
                _ => fill.map(|_| 0.0).ok_or_else(refused)?,
            };
    }
    Ok(logit)
}
