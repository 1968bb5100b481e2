//! Logistic loss and derivatives of many models at once: one product of the rows with all weights,
//! one product back with all residuals. A model's residual is 0 outside its rows.

use rayon::prelude::*;
use wardround_core::query::{Derivatives, Frame, LinearTerm};

use super::cross::{design, triangle};
use super::kernel::{Block, LANES, Panels, cross, product};
use super::linear::{Folded, Logit};
use super::site::{Framed, Seen};
use super::tally::Tally;
use crate::cohort::CohortError;

/// A term that has rows here.
struct Active<'a> {
    /// Its index in the query.
    at: usize,
    term: &'a LinearTerm,
    model: Folded,
}

/// [`wardround_core::query::Ask::Logistic`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    terms: &[LinearTerm],
    derivatives: Derivatives,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let d = seen.features();
    let framed = seen.rows.framed(frame);
    let mut active = Vec::new();
    for (at, term) in terms.iter().enumerate() {
        if !seen.selected(&term.rows).is_empty() {
            let model = Folded::new(seen, &framed, &term.model, term.rows.repeat)?;
            active.push(Active { at, term, model });
        }
    }
    let mut logits = logits(seen, &framed, &active);
    let hessians = match derivatives {
        Derivatives::Gradient => Vec::new(),
        Derivatives::Hessian => hessians(seen, &framed, &active, &logits),
    };
    let losses = to_residuals(seen, &active, &mut logits);
    let gradients = gradients(seen, &framed, &active, &logits);

    let fill = |loss: &mut Tally, gradient: &mut Tally| -> Result<(), CohortError> {
        for (Active { at, .. }, (value, values)) in active.iter().zip(losses.iter().zip(&gradients))
        {
            loss.add(*at, *value)?;
            for (k, &value) in values.iter().enumerate() {
                gradient.add(at * (d + 1) + k, value)?;
            }
        }
        Ok(())
    };
    match derivatives {
        Derivatives::Gradient => {
            let [mut loss, mut gradient] = Tally::of(seen.query);
            fill(&mut loss, &mut gradient)?;
            Ok(Tally::values([loss, gradient]))
        }
        Derivatives::Hessian => {
            let [mut loss, mut gradient, mut hessian] = Tally::of(seen.query);
            fill(&mut loss, &mut gradient)?;
            for (Active { at, .. }, triangle) in active.iter().zip(&hessians) {
                for (k, &value) in triangle.iter().enumerate() {
                    hessian.add(at * triangle.len() + k, value)?;
                }
            }
            Ok(Tally::values([loss, gradient, hessian]))
        }
    }
}

/// Rows by models.
fn logits(seen: &Seen<'_>, framed: &Framed, active: &[Active<'_>]) -> Panels {
    let mut weights = Panels::zero(framed.z.columns, active.len());
    for (slot, Active { model, .. }) in active.iter().enumerate() {
        let values = model.weights.iter().enumerate();
        values.for_each(|(k, &weight)| *weights.get_mut(k, slot) = weight);
    }
    let mut logits = product(&framed.z, &weights);
    for &(row, column) in seen.rows.missing_entries() {
        for (slot, Active { model, .. }) in active.iter().enumerate() {
            *logits.get_mut(row, slot) += model.weights[column] * model.fill[column];
        }
    }
    logits
}

/// Replaces logits by the loss's derivative by them; gives the loss of each model, added up block
/// by block in the order of rows.
fn to_residuals(seen: &Seen<'_>, active: &[Active<'_>], logits: &mut Panels) -> Vec<f64> {
    let of_block = |Block { first, rows, data }: Block<'_>| {
        let mut losses = vec![0.0; active.len()];
        for (panel, data) in data.chunks_exact_mut(rows).enumerate() {
            for (lane, loss) in losses[panel * LANES..].iter_mut().take(LANES).enumerate() {
                let LinearTerm { rows: set, model } = active[panel * LANES + lane].term;
                let folds = &seen.folds(set.repeat)[first..];
                let classes = &seen.rows.class[first..];
                // Rows of padding have no fold and keep the logit of a row of zeros: 0.
                for (entry, (&fold, &class)) in data.iter_mut().zip(folds.iter().zip(classes)) {
                    let residual = &mut entry[lane];
                    if !set.folds.contains(fold) {
                        *residual = 0.0;
                        continue;
                    }
                    let logit = Logit::new(*residual);
                    if class == model.class {
                        *loss += logit.loss_positive;
                        *residual = logit.probability - 1.0;
                    } else {
                        *loss += logit.loss_negative;
                        *residual = logit.probability;
                    }
                }
            }
        }
        losses
    };
    let by_block: Vec<Vec<f64>> = logits.blocks_mut().map(of_block).collect();
    let mut losses = vec![0.0; active.len()];
    for of_block in by_block {
        losses.iter_mut().zip(of_block).for_each(|(loss, more)| *loss += more);
    }
    losses
}

/// Gradients by weights and constant, in the model's own units.
fn gradients(
    seen: &Seen<'_>,
    framed: &Framed,
    active: &[Active<'_>],
    residuals: &Panels,
) -> Vec<Vec<f64>> {
    let d = seen.features();
    let mut gradients = cross(&framed.z, residuals);
    for &(row, column) in seen.rows.missing_entries() {
        for (slot, Active { model, .. }) in active.iter().enumerate() {
            *gradients.get_mut(column, slot) += residuals.get(row, slot) * model.fill[column];
        }
    }
    let of_model = |(slot, Active { model, .. }): (usize, &Active<'_>)| {
        let mut gradient: Vec<f64> = (0..=d).map(|k| gradients.get(k, slot)).collect();
        if let Some(scale) = &model.scale {
            let constant = gradient[d];
            for (k, value) in gradient[..d].iter_mut().enumerate() {
                *value = (*value - scale.mean[k] * constant) * scale.inverse[k];
            }
        }
        gradient
    };
    active.iter().enumerate().map(of_model).collect()
}

/// Upper triangles of the Hessians, in each model's own units.
fn hessians(
    seen: &Seen<'_>,
    framed: &Framed,
    active: &[Active<'_>],
    logits: &Panels,
) -> Vec<Vec<f64>> {
    let of_model = |(slot, Active { term, model, .. }): (usize, &Active<'_>)| {
        let rows = seen.selected(&term.rows);
        let weights: Vec<f64> =
            rows.iter().map(|&row| Logit::new(logits.get(row, slot)).variance).collect();
        let x = design(seen, framed, &rows, model.scale.as_deref(), &model.fill);
        triangle(&x, seen.features() + 1, &weights)
    };
    active.iter().enumerate().map(of_model).collect()
}
