//! Losses and derivatives of models of all classes at once: one product of the rows with all classes'
//! weights of all models, one product back with all residuals, as `loss` does for models of one class;
//! and the scores of such models.
//!
//! Of a row with probabilities `p` and class `y` the loss is `-ln p_y`, its derivative by the scores
//! `p - e_y`, its second derivative `diag(p) - p p^T`, so that the Hessian's block of two classes is a
//! weighted cross product of the rows.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::query::{Derivatives, Frame, LinearModel, SoftmaxModel, SoftmaxTerm};

use super::cross::{Triangle, design};
use super::derivatives::{Part, add_blocks};
use super::framed::{Block, Framed, Views};
use super::kernel::{self, LANES, Panels};
use super::linear::{Folded, OfViews, scores};
use super::loss::Gradients;
use super::site::Seen;
use crate::cohort::CohortError;

/// A term that has rows here; class `k` of the `i`-th of them has column `i * classes + k` of all products.
struct Active<'a> {
    /// Its index in the query.
    at: usize,
    term: &'a SoftmaxTerm,
    /// One per class.
    models: Vec<Folded>,
}

/// [`wardround_core::query::Ask::Softmax`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    terms: &[SoftmaxTerm],
    derivatives: Derivatives,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let framed = seen.rows.framed(frame)?;
    let mut active = Vec::new();
    for (at, term) in terms.iter().enumerate() {
        if !seen.selected(&term.rows).is_empty() {
            let models = folded(seen, &framed, &term.model, term.rows.repeat)?;
            active.push(Active { at, term, models });
        }
    }
    let all = seen.rows.fitted(&framed)?;
    let parts = Part::of_all(&all, |views| parts(seen, views, &active, derivatives))?;
    let parts: Vec<(usize, Part)> = active.iter().map(|active| active.at).zip(parts).collect();
    Part::answer(seen.query, derivatives, &parts)
}

/// A model's classes, each as a linear model of its own. `repeat` is the deal that an own-site scaler's folds
/// are of.
///
/// # Errors
/// [`CohortError::Unfit`] when a feature is missing that the model calls complete.
pub(super) fn folded(
    seen: &Seen<'_>,
    framed: &Framed,
    model: &SoftmaxModel,
    repeat: u8,
) -> Result<Vec<Folded>, CohortError> {
    let SoftmaxModel { scaler, fill, coefficients } = model;
    let of_class = |(class, of_class): (usize, &[f64])| {
        let (intercept, weights) = of_class.split_last().expect("a class has a constant");
        let (class, scaler, fill) = (class as u8, scaler.clone(), fill.clone());
        let (weights, intercept) = (weights.to_vec(), *intercept);
        Folded::new(seen, framed, &LinearModel { class, scaler, weights, intercept, fill }, repeat)
    };
    coefficients.chunks_exact(seen.features() + 1).enumerate().map(of_class).collect()
}

/// The log-odds of a class against the rest: its score less the logarithm of the sum of the others' exponentials.
pub(super) fn log_odds(class: usize, score: impl Fn(usize) -> f64, classes: usize) -> f64 {
    let others = || (0..classes).filter(|&other| other != class).map(&score);
    let most = others().fold(f64::NEG_INFINITY, f64::max);
    score(class) - most - libm::log(others().map(|other| libm::exp(other - most)).sum())
}

/// What each term's rows, or their copies, add up to.
fn parts(
    seen: &Seen<'_>,
    views: &Views<'_>,
    active: &[Active<'_>],
    derivatives: Derivatives,
) -> Result<Vec<Part>, CohortError> {
    let classes = usize::from(seen.query.schema.classes);
    let models = || active.iter().flat_map(|active| &active.models);
    let mut losses = vec![0.0; active.len()];
    let mut gradients = Gradients::zero(views.columns(), models().count());
    let mut kept = OfViews::default();
    views.for_each(|block| {
        let mut residuals = scores(block, models());
        to_residuals(seen, block, active, &mut residuals, &mut losses);
        if derivatives == Derivatives::Hessian {
            kept.push(block.first, residuals.clone());
        }
        gradients.add(block, residuals);
        Ok(())
    })?;
    gradients.fill(views.missing, models());
    let of_class = |(column, model): (usize, &Folded)| {
        let mut gradient = gradients.of(column, views.features() + 1);
        model.unscale(&mut gradient);
        gradient
    };
    let by_class: Vec<Vec<f64>> = models().enumerate().map(of_class).collect();
    let gradients = by_class.chunks_exact(classes).map(<[_]>::concat);
    let parts = losses.into_iter().zip(gradients).enumerate();
    let part = |(slot, (loss, gradient))| {
        let residual = |view: usize, class: usize| kept.get(view, slot * classes + class);
        let hessian = match derivatives {
            Derivatives::Gradient => Vec::new(),
            Derivatives::Hessian => hessian(seen, views, &active[slot], residual)?,
        };
        Ok(Part { loss, gradient, hessian })
    };
    parts.map(part).collect()
}

/// The class of a row. A question about models of all classes is refused where rows may have several.
fn only(classes: ClassSet) -> usize {
    classes.single().map_or(0, usize::from)
}

/// Replaces scores of a block by the loss's derivative by them, and adds the loss of each model, block by block
/// of the kernel in the order of rows.
fn to_residuals(
    seen: &Seen<'_>,
    block: &Block<'_>,
    active: &[Active<'_>],
    scores: &mut Panels,
    losses: &mut [f64],
) {
    let classes = usize::from(seen.query.schema.classes);
    let classes_of_views = block.spread(&seen.classes);
    let folds_of_views: Vec<Cow<'_, [u8]>> =
        (0..seen.query.folds.repeats).map(|repeat| block.spread(seen.folds(repeat))).collect();
    let of_block = |kernel::Block { first, rows, data }: kernel::Block<'_>| {
        let mut losses = vec![0.0; active.len()];
        let mut of_row = vec![0.0; classes];
        for (slot, (Active { term, .. }, loss)) in active.iter().zip(&mut losses).enumerate() {
            let folds = &folds_of_views[usize::from(term.rows.repeat)];
            // Rows of padding have no fold; their residuals are cleared as well.
            for row in 0..rows {
                let known = folds.get(first + row).zip(classes_of_views.get(first + row));
                let place = |class: usize| {
                    let column = slot * classes + class;
                    (column / LANES * rows + row, column % LANES)
                };
                let Some((_, &own)) = known.filter(|(fold, _)| term.rows.folds.contains(**fold))
                else {
                    (0..classes).map(place).for_each(|(entry, lane)| data[entry][lane] = 0.0);
                    continue;
                };
                for (class, score) in of_row.iter_mut().enumerate() {
                    let (entry, lane) = place(class);
                    *score = data[entry][lane];
                }
                let own = only(own);
                let of_site = (block.first + first + row) / block.each;
                let weight = term.class_weights[own] * seen.rows.weights.of(of_site);
                *loss += weight * to_probabilities(&mut of_row, own);
                of_row[own] -= 1.0;
                for (class, residual) in of_row.iter().enumerate() {
                    let (entry, lane) = place(class);
                    data[entry][lane] = weight * residual;
                }
            }
        }
        losses
    };
    add_blocks(losses, scores.blocks_mut().map(of_block).collect());
}

/// Replaces scores by probabilities; gives the loss of a row of a class.
fn to_probabilities(scores: &mut [f64], own: usize) -> f64 {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let own = scores[own] - most;
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = libm::exp(*score - most);
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
    libm::log(sum) - own
}

/// The upper triangle of a model's Hessian, in its own units. `residual` gives a view's derivative by a class's
/// score.
fn hessian(
    seen: &Seen<'_>,
    views: &Views<'_>,
    Active { term, models, .. }: &Active<'_>,
    residual: impl Fn(usize, usize) -> f64 + Sync,
) -> Result<Vec<f64>, CohortError> {
    let classes = models.len();
    let selected = views.of_rows(&seen.selected(&term.rows));
    let own = |view: usize| only(seen.classes[view / views.each]);
    let weight =
        |view: usize| term.class_weights[own(view)] * seen.rows.weights.of(view / views.each);
    let probability = |view: usize, class: usize| {
        let weight = weight(view);
        let share = if weight > 0.0 { residual(view, class) / weight } else { 0.0 };
        share + f64::from(u8::from(class == own(view)))
    };
    let scale = models[0].scale.as_ref().map(Arc::as_ref);
    let width = seen.features() + 1;
    let pairs: Vec<(usize, usize)> =
        (0..classes).flat_map(|k| (k..classes).map(move |l| (k, l))).collect();
    let mut triangles: Vec<Triangle> = pairs.iter().map(|_| Triangle::zero(width)).collect();
    views.for_each(|block| {
        let of_block = block.of(&selected);
        let x = design(block, seen.features(), of_block, scale, &models[0].fill);
        triangles.par_iter_mut().zip(&pairs).for_each(|(triangle, &(k, l))| {
            let curvature = |&view: &usize| {
                let p = probability(view, k);
                let second = if k == l { p * (1.0 - p) } else { -p * probability(view, l) };
                weight(view) * second
            };
            triangle.add(&x, &of_block.iter().map(curvature).collect::<Vec<_>>());
        });
        Ok(())
    })?;
    let blocks: Vec<Vec<f64>> = triangles.iter().map(|of| of.values().collect()).collect();
    let mut hessian = Vec::with_capacity(classes * width * (classes * width + 1) / 2);
    for k in 0..classes {
        for a in 0..width {
            for l in k..classes {
                let pair = k * classes - k * (k + 1) / 2 + l;
                let first = if l == k { a } else { 0 };
                // A block of two classes is symmetric in itself.
                hessian.extend((first..width).map(|b| blocks[pair][in_triangle(width, a, b)]));
            }
        }
    }
    Ok(hessian)
}

/// Where an upper triangle, row by row, has an entry of a symmetric matrix.
fn in_triangle(width: usize, a: usize, b: usize) -> usize {
    let (row, column) = (a.min(b), a.max(b));
    row * width - row * (row + 1) / 2 + column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_are_those_of_the_probabilities() {
        let scores = [1.5, -700.0, 2.0, 800.0];
        let mut probabilities = scores;
        let loss = to_probabilities(&mut probabilities, 0);
        assert!((loss - 798.5).abs() < 1e-9);
        assert!((log_odds(3, |k| scores[k], 4) - 798.0 + 0.474_076_984_1).abs() < 1e-6);
        let small = [0.3, -0.2, 0.9];
        let mut p = small;
        to_probabilities(&mut p, 1);
        for (class, p) in p.iter().enumerate() {
            let expected = (p / (1.0 - p)).ln();
            assert!((log_odds(class, |k| small[k], 3) - expected).abs() < 1e-12);
        }
    }
}
