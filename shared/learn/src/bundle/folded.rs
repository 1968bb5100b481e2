//! A linear model with its scale folded in: what a feature adds to the score, in the feature's own units. Explanations need it, since
//! a weight of a standardised feature says nothing about a place of a map.

use super::{LinearScorer, OwnScale, PredictError};
use crate::findings::FinalScaler;

/// `score = constant + sum of weights * features`.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// One per feature.
    pub weights: Vec<f64>,
    /// What no feature decides.
    pub constant: f64,
}

impl LinearScorer {
    /// The model with its scale folded in; equal to [`super::scores`] but for rounding.
    ///
    /// # Errors
    /// [`PredictError::NeedsOwnRows`] when the model scales each site by its own rows and `own` is none.
    pub fn folded(&self, own: Option<&OwnScale>) -> Result<Folded, PredictError> {
        let (mean, inverse): (Vec<f64>, Vec<f64>) = match (&self.scaler, own) {
            (FinalScaler::All { mean, deviation }, _) => {
                (mean.clone(), deviation.iter().map(|deviation| 1.0 / deviation).collect())
            }
            (FinalScaler::OwnSite, Some(own)) => (own.mean.clone(), own.inverse.clone()),
            (FinalScaler::Combat { mean, deviation }, Some(own)) => own.adjusted(mean, deviation),
            (_, None) => return Err(PredictError::NeedsOwnRows),
        };
        let weights: Vec<f64> = self.weights.iter().zip(inverse).map(|(w, i)| w * i).collect();
        let of_means: f64 = weights.iter().zip(mean).map(|(weight, mean)| weight * mean).sum();
        Ok(Folded { weights, constant: self.intercept - of_means })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scorer;
    use super::super::predict::logit;
    use super::*;

    #[test]
    fn a_folded_model_scores_as_the_model_does() {
        let (mean, deviation) = (vec![1.0, -2.0, 0.5], vec![2.0, 0.25, 3.0]);
        let own = OwnScale::of(3, &[1.0, 4.0, 2.0, 3.0, 4.0, -2.0, 0.0, 4.0, 5.0]).unwrap();
        for scaler in [
            FinalScaler::All { mean: mean.clone(), deviation: deviation.clone() },
            FinalScaler::OwnSite,
            FinalScaler::Combat { mean, deviation },
        ] {
            let weights = vec![0.7, -1.5, 2.0];
            let model = LinearScorer { scaler, weights, intercept: 0.3, fill: vec![] };
            let folded = model.folded(Some(&own)).unwrap();
            for row in [[0.0; 3], [1.0, 2.0, 3.0], [-4.0, 0.5, 9.0]] {
                let terms = folded.weights.iter().zip(row).map(|(weight, x)| weight * x);
                let score = logit(&Scorer::Linear(model.clone()), Some(&own), &row).unwrap();
                assert!((folded.constant + terms.sum::<f64>() - score).abs() < 1e-12, "{model:?}");
            }
            let alone = model.folded(None);
            match model.scaler {
                FinalScaler::All { .. } => assert_eq!(alone, Ok(folded)),
                _ => assert_eq!(alone, Err(PredictError::NeedsOwnRows)),
            }
        }
    }
}
