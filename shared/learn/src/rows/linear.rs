//! Linear models as one site evaluates them: scalers folded into weights that act on the frame's
//! `z`, and what stands in for missing features.

use std::sync::Arc;

use wardround_core::query::{Fill, LinearModel};

use super::kernel::{Panels, product};
use super::site::{Framed, Seen, SiteScale, Views};
use crate::cohort::CohortError;

/// A model that acts on the frame's `(z, 1)`.
#[derive(Debug)]
pub(super) struct Folded {
    /// One weight per feature, then the constant.
    pub(super) weights: Vec<f64>,
    /// What stands in for a missing feature, in the frame's units; empty when nothing is missing.
    pub(super) fill: Vec<f64>,
    /// The site's own scaler, which the answer's derivatives have to go through.
    pub(super) scale: Option<Arc<SiteScale>>,
}

/// What models say of each view: views by models.
pub(super) fn scores<'a>(
    views: &Views<'_>,
    models: impl Iterator<Item = &'a Folded> + Clone,
) -> Panels {
    let mut weights = Panels::zero(views.z.columns, models.clone().count());
    for (column, model) in models.clone().enumerate() {
        let values = model.weights.iter().enumerate();
        values.for_each(|(k, &weight)| *weights.get_mut(k, column) = weight);
    }
    let mut scores = product(views.z, &weights);
    for &(view, feature) in views.missing {
        for (column, model) in models.clone().enumerate() {
            *scores.get_mut(view, column) += model.weights[feature] * model.fill[feature];
        }
    }
    scores
}

impl Folded {
    /// Folds a model's scaler. `repeat` is the deal that an own-site scaler's folds are of.
    ///
    /// # Errors
    /// [`CohortError::Unfit`] when a feature is missing that the model calls complete.
    pub(super) fn new(
        seen: &Seen<'_>,
        framed: &Framed,
        model: &LinearModel,
        repeat: u8,
    ) -> Result<Self, CohortError> {
        let missing = seen.rows.missing_entries();
        let mut fill = match &model.fill {
            Fill::Values(values) if !missing.is_empty() => values.clone(),
            Fill::Values(_) => Vec::new(),
            Fill::Complete => {
                seen.complete()?;
                Vec::new()
            }
        };
        let mut weights = model.weights.clone();
        let mut intercept = model.intercept;
        let scale = seen.scale(framed, repeat, &model.scaler);
        if let Some(scale) = &scale {
            for (k, weight) in weights.iter_mut().enumerate() {
                *weight *= scale.inverse[k];
                intercept -= *weight * scale.mean[k];
            }
            if !missing.is_empty() {
                fill.clone_from(&scale.mean);
            }
        }
        weights.push(intercept);
        Ok(Self { weights, fill, scale })
    }
}

/// What the logistic loss needs of a logit, without overflow, from one exponential.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logit {
    /// The probability of the positive class.
    pub(super) probability: f64,
    /// The probability times one less it.
    pub(super) variance: f64,
    /// Loss if the row is positive: `ln(1 + exp(-t))`.
    pub(super) loss_positive: f64,
    /// Loss if the row is negative: `ln(1 + exp(t))`.
    pub(super) loss_negative: f64,
}

impl Logit {
    /// All of a logit.
    pub(super) fn new(t: f64) -> Self {
        let small = libm::exp(-t.abs());
        let (tail, near) = (libm::log1p(small), 1.0 / (1.0 + small));
        Self {
            probability: if t >= 0.0 { near } else { small * near },
            variance: small * near * near,
            loss_positive: tail + (-t).max(0.0),
            loss_negative: tail + t.max(0.0),
        }
    }
}
