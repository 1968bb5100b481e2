//! Support vector machines that are made of rows: models that hold features of patients.

use serde::{Deserialize, Serialize};

use super::MissingFeatures;

/// A support vector machine with a Gaussian kernel, with how it was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalKernel {
    /// The model.
    pub model: OwnKernel,
    /// By how much it misses the optimality conditions, in units of a score.
    pub violation: f64,
}

/// A support vector machine with the Gaussian kernel `exp(-gamma / features |z - z'|^2)` of standardised rows
/// `z = (x - mean) * inverse`. **It holds the features of patients**: its support vectors are training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnKernel {
    /// The kernel's width.
    pub gamma: f64,
    /// Mean of each feature.
    pub mean: Vec<f64>,
    /// One over each feature's deviation; 0 where it is constant.
    pub inverse: Vec<f64>,
    /// What becomes of a missing feature.
    pub missing: MissingFeatures,
    /// The support vectors, standardised, row by row.
    pub vectors: Vec<f64>,
    /// One per support vector: its multiplier, signed by its class.
    pub coefficients: Vec<f64>,
    /// The constant.
    pub intercept: f64,
}

impl OwnKernel {
    /// The score of a standardised row.
    pub fn score(&self, standardised: &[f64]) -> f64 {
        let features = standardised.len();
        let scale = self.gamma / features as f64;
        let mut score = 0.0;
        for (vector, coefficient) in self.vectors.chunks_exact(features).zip(&self.coefficients) {
            let differences = vector.iter().zip(standardised).map(|(a, b)| (a - b) * (a - b));
            score += coefficient * libm::exp(-scale * differences.sum::<f64>());
        }
        score + self.intercept
    }
}
