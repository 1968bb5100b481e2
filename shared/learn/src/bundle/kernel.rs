//! Support vector machines that are made of rows as a bundle's file keeps them, and what they say of a row.

use wardround_core::query::MOST_GAMMA;
use wardround_core::study::KernelPoint;

use super::PredictError;
use crate::findings::{MissingFeatures, OwnKernel};
use crate::kernel_machine::MOST_ROWS;

/// Whether a model says something finite of every row, and is what its entry says.
pub(super) fn check(
    model: &OwnKernel,
    point: &KernelPoint,
    rows: u32,
    features: usize,
) -> Result<(), String> {
    let KernelPoint { c, gamma, .. } = *point;
    if !(c > 0.0 && c.is_finite() && gamma == model.gamma && gamma > 0.0 && gamma <= MOST_GAMMA) {
        return Err(format!("C {c} and gamma {} of {gamma}", model.gamma));
    }
    let numbers = numbers(rows, features)?;
    let parts = [
        ("vectors", &model.vectors, numbers),
        ("coefficients", &model.coefficients, rows as usize),
        ("mean", &model.mean, features),
        ("inverse", &model.inverse, features),
    ];
    for (name, values, expected) in parts {
        let got = values.len();
        if got != expected {
            return Err(format!("expected {expected} numbers in {name}, got {got}"));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(format!("{name} isn't finite"));
        }
    }
    if model.inverse.iter().any(|value| *value < 0.0) {
        return Err("an inverse deviation below 0".to_owned());
    }
    if model.intercept.is_finite() {
        return Ok(());
    }
    Err(format!("intercept {}", model.intercept))
}

/// Numbers of so many support vectors.
///
/// # Errors
/// None, or more than a machine is fitted to.
pub(super) fn numbers(rows: u32, features: usize) -> Result<usize, String> {
    let count = rows as usize;
    match count.checked_mul(features) {
        Some(numbers) if (1..=MOST_ROWS).contains(&count) => Ok(numbers),
        _ => Err(format!("{rows} support vectors, expected 1 to {MOST_ROWS}")),
    }
}

/// The score of a row.
///
/// # Errors
/// [`PredictError::Missing`], also for a feature so far from the mean that no distance can be told.
pub(super) fn logit(model: &OwnKernel, features: &[f64]) -> Result<f64, PredictError> {
    let mut standardised = Vec::with_capacity(features.len());
    for (j, x) in features.iter().enumerate() {
        standardised.push(match (x.is_finite(), model.missing) {
            (true, _) => (x - model.mean[j]) * model.inverse[j],
            (false, MissingFeatures::Filled) => 0.0,
            (false, MissingFeatures::Refused) => {
                return Err(PredictError::Missing(j, x.to_string()));
            }
        });
    }
    let score = model.score(&standardised);
    if score.is_finite() {
        return Ok(score);
    }
    let size = |j: &usize| standardised[*j].abs();
    let far = (0..features.len()).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(0);
    Err(PredictError::Missing(far, features[far].to_string()))
}
