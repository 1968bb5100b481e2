//! Linear models as one site evaluates them: scalers folded into weights that act on the frame's
//! `z`, and what stands in for missing features.

use std::sync::Arc;

use wardround_core::query::{Fill, LinearModel};

use super::framed::{Block, Framed};
use super::kernel::{Panels, product};
use super::scale::SiteScale;
use super::site::Seen;

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

/// What models say of each view of a block: views by models.
pub(super) fn scores<'a>(
    block: &Block<'_>,
    models: impl Iterator<Item = &'a Folded> + Clone,
) -> Panels {
    let mut weights = Panels::zero(block.z.columns, models.clone().count());
    for (column, model) in models.clone().enumerate() {
        let values = model.weights.iter().enumerate();
        values.for_each(|(k, &weight)| *weights.get_mut(k, column) = weight);
    }
    let mut scores = product(&block.z, &weights);
    for &(view, feature) in block.missing {
        for (column, model) in models.clone().enumerate() {
            *scores.get_mut(view - block.first, column) +=
                model.weights[feature] * model.fill[feature];
        }
    }
    scores
}

/// Numbers of views by models, block by block.
#[derive(Debug, Default)]
pub(super) struct OfViews {
    /// First views, ascending.
    firsts: Vec<usize>,
    blocks: Vec<Panels>,
}

impl OfViews {
    /// Adds those of the next block.
    pub(super) fn push(&mut self, first: usize, of_block: Panels) {
        self.firsts.push(first);
        self.blocks.push(of_block);
    }

    /// The number of a view and a model.
    pub(super) fn get(&self, view: usize, model: usize) -> f64 {
        let at = self.firsts.partition_point(|&first| first <= view) - 1;
        self.blocks[at].get(view - self.firsts[at], model)
    }

    /// Those of the block that begins at a view, which are gone then; none where it has none.
    pub(super) fn take(&mut self, first: usize) -> Option<Panels> {
        let at = self.firsts.binary_search(&first).ok()?;
        Some(std::mem::replace(&mut self.blocks[at], Panels::zero(0, 0)))
    }
}

impl Folded {
    /// Folds a model's scaler. `repeat` is the deal that an own-site scaler's folds are of.
    ///
    /// # Errors
    /// [`CohortError::Unfit`] when a feature is missing that the model calls complete;
    /// [`CohortError::SiteFailed`]: the file of features can't be read.
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
        let scale = seen.scale(framed, repeat, &model.scaler)?;
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

    /// Turns a gradient by weights and constant on the frame's `z` into one by the model's own.
    pub(super) fn unscale(&self, gradient: &mut [f64]) {
        if let (Some(scale), Some((constant, weights))) = (&self.scale, gradient.split_last_mut()) {
            for (k, value) in weights.iter_mut().enumerate() {
                *value = (*value - scale.mean[k] * *constant) * scale.inverse[k];
            }
        }
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
