//! Losses and derivatives of many linear models at once: one product of the rows with all weights,
//! one product back with all residuals. A model's residual is 0 outside its rows.
//!
//! Where rows have altered copies, the same is done with those; then the row and each of its copies
//! get an equal share, so that a row weighs 1 whatever it has.
//!
//! A synthetic row between two rows is never made for a gradient: what a linear model says of it lies between
//! what it says of the two, and its residual is theirs, in shares. Hessians, asked of few features, make it.

use std::borrow::Cow;

use rayon::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::query::{Derivatives, Frame, LinearTerm};
use wardround_core::study::Loss;

use super::cross::{design, triangle};
use super::derivatives::{Part, sum_of_blocks};
use super::kernel::{Block, LANES, Matrix, Panels, cross};
use super::linear::{Folded, Logit, scores};
use super::resample::{Counts, Made};
use super::site::{Seen, Views, gaps};
use crate::cohort::CohortError;

/// A term that has rows here.
struct Active<'a> {
    /// Its index in the query.
    at: usize,
    term: &'a LinearTerm,
    counts: Counts,
    /// Of each row of the site.
    classes: &'a [ClassSet],
    model: Folded,
    loss: Loss,
}

/// What a term's synthetic rows add up to.
struct OfMade {
    loss: f64,
    /// By view: a synthetic row's residual is its two rows'. Empty where there are no synthetic rows.
    residuals: Vec<f64>,
    /// Column, and what is to be added to the gradient by it.
    gaps: Vec<(usize, f64)>,
}

/// [`wardround_core::query::Ask::Logistic`] and [`wardround_core::query::Ask::SquaredHinge`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    terms: &[LinearTerm],
    derivatives: Derivatives,
    loss: Loss,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let framed = seen.rows.framed(frame);
    let mut active = Vec::new();
    for (at, term) in terms.iter().enumerate() {
        if !seen.selected(&term.rows).is_empty() {
            let model = Folded::new(seen, &framed, &term.model, term.rows.repeat)?;
            let counts = seen.counts(&term.rows, term.model.class, term.weights);
            active.push(Active { at, term, counts, classes: &seen.rows.classes, model, loss });
        }
    }
    let all = seen.rows.fitted(&framed);
    let parts = Part::of_all(&all, |views| parts(seen, views, &active, derivatives));
    let parts: Vec<(usize, Part)> = active.iter().map(|active| active.at).zip(parts).collect();
    Part::answer(seen.query, derivatives, &parts)
}

/// What each term's rows, or their copies, add up to.
fn parts(
    seen: &Seen<'_>,
    views: &Views<'_>,
    active: &[Active<'_>],
    derivatives: Derivatives,
) -> Vec<Part> {
    let mut logits = scores(views, active.iter().map(|active| &active.model));
    let mut hessians = match derivatives {
        Derivatives::Gradient => vec![Vec::new(); active.len()],
        Derivatives::Hessian => hessians(seen, views, active, &logits),
    };
    let of_made: Vec<OfMade> = (0..active.len())
        .into_par_iter()
        .map(|slot| OfMade::new(views, &active[slot], &logits, slot))
        .collect();
    let mut losses = to_residuals(seen, views, active, &mut logits);
    for (slot, (loss, made)) in losses.iter_mut().zip(&of_made).enumerate() {
        *loss += made.loss;
        for (view, residual) in made.residuals.iter().enumerate() {
            *logits.get_mut(view, slot) += residual;
        }
    }
    let gradients = gradients(seen, views, active, &logits, &of_made);
    let parts = losses.into_iter().zip(gradients).zip(hessians.drain(..));
    parts.map(|((loss, gradient), hessian)| Part { loss, gradient, hessian }).collect()
}

/// What is known of a row, for each of its views.
pub(super) fn spread<'a, T: Copy>(of_rows: &'a [T], views: &Views<'_>) -> Cow<'a, [T]> {
    match views.each {
        1 => Cow::Borrowed(of_rows),
        each => of_rows.iter().flat_map(|&value| std::iter::repeat_n(value, each)).collect(),
    }
}

/// Replaces logits by the loss's derivative by them; gives the loss of each model, added up block
/// by block in the order of rows.
fn to_residuals(
    seen: &Seen<'_>,
    views: &Views<'_>,
    active: &[Active<'_>],
    logits: &mut Panels,
) -> Vec<f64> {
    let classes_of_views = spread(&seen.rows.classes, views);
    let folds_of_views: Vec<Cow<'_, [u8]>> =
        (0..seen.query.folds.repeats).map(|repeat| spread(seen.folds(repeat), views)).collect();
    let of_block = |Block { first, rows, data }: Block<'_>| {
        let mut losses = vec![0.0; active.len()];
        for (panel, data) in data.chunks_exact_mut(rows).enumerate() {
            for (lane, loss) in losses[panel * LANES..].iter_mut().take(LANES).enumerate() {
                let Active { term, counts, loss: of_row, .. } = &active[panel * LANES + lane];
                let LinearTerm { rows: set, model, .. } = term;
                let folds = &folds_of_views[usize::from(set.repeat)][first..];
                let classes = &classes_of_views[first..];
                // Rows of padding have no fold and keep the logit of a row of zeros: 0.
                let of_views = folds.iter().zip(classes).zip(first..);
                for (entry, ((&fold, &class), view)) in data.iter_mut().zip(of_views) {
                    let residual = &mut entry[lane];
                    if !set.folds.contains(fold) {
                        *residual = 0.0;
                        continue;
                    }
                    let positive = class.has(model.class);
                    let (value, slope) = of(*of_row, *residual, positive);
                    let weight = counts.of(view / views.each, positive);
                    *loss += weight * value;
                    *residual = weight * slope;
                }
            }
        }
        losses
    };
    sum_of_blocks(logits.blocks_mut().map(of_block).collect(), active.len())
}

/// Gradients by weights and constant, in the model's own units.
fn gradients(
    seen: &Seen<'_>,
    views: &Views<'_>,
    active: &[Active<'_>],
    residuals: &Panels,
    of_made: &[OfMade],
) -> Vec<Vec<f64>> {
    let d = seen.features();
    let mut gradients = cross(views.z, residuals);
    for &(row, column) in views.missing {
        for (slot, Active { model, .. }) in active.iter().enumerate() {
            *gradients.get_mut(column, slot) += residuals.get(row, slot) * model.fill[column];
        }
    }
    let of_model = |(slot, Active { model, .. }): (usize, &Active<'_>)| {
        let mut gradient: Vec<f64> = (0..=d).map(|k| gradients.get(k, slot)).collect();
        of_made[slot].gaps.iter().for_each(|&(column, more)| gradient[column] += more);
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
    views: &Views<'_>,
    active: &[Active<'_>],
    logits: &Panels,
) -> Vec<Vec<f64>> {
    let of_model = |(slot, active): (usize, &Active<'_>)| {
        let Active { term, counts, model, loss, .. } = active;
        let rows = seen.selected(&term.rows).into_iter();
        let rows: Vec<usize> =
            rows.flat_map(|row| row * views.each..(row + 1) * views.each).collect();
        let is_positive = |view: usize| seen.rows.classes[view / views.each].has(term.model.class);
        let curvature = |&row: &usize| {
            let positive = is_positive(row);
            counts.of(row / views.each, positive)
                * curvature(*loss, logits.get(row, slot), positive)
        };
        let mut weights: Vec<f64> = rows.iter().map(curvature).collect();
        let mut x = design(views, seen.features(), &rows, model.scale.as_deref(), &model.fill);
        let made = made_views(counts.made(), views.each);
        if !made.is_empty() {
            let says = |made: &Made| margin(views, model, logits, slot, made);
            let of_made = made.iter().map(|made| {
                let weight = counts.of_made(&Made { row: made.row / views.each, ..*made });
                weight * self::curvature(*loss, says(made), is_positive(made.row))
            });
            weights.extend(of_made);
            x = with_made(views, &x, &rows, &made);
        }
        triangle(&x, seen.features() + 1, &weights)
    };
    active.iter().enumerate().map(of_model).collect()
}

impl OfMade {
    fn new(views: &Views<'_>, active: &Active<'_>, logits: &Panels, slot: usize) -> Self {
        let Active { term, counts, model, loss, .. } = active;
        let mut sums = Self { loss: 0.0, residuals: Vec::new(), gaps: Vec::new() };
        let made = made_views(counts.made(), views.each);
        if !made.is_empty() {
            sums.residuals = vec![0.0; logits.rows()];
        }
        // A synthetic row has its row's class.
        let is_positive = |view: usize| active.classes[view / views.each].has(term.model.class);
        for made in &made {
            let says = margin(views, model, logits, slot, made);
            let (value, slope) = of(*loss, says, is_positive(made.row));
            // Of altered copies each view is made between two of one number.
            let weight = counts.of_made(&Made { row: made.row / views.each, ..*made });
            let slope = weight * slope;
            sums.loss += weight * value;
            sums.residuals[made.row] += (1.0 - made.share) * slope;
            sums.residuals[made.other] += made.share * slope;
            for (column, step) in kept_back(views, model, made) {
                sums.gaps.push((column, -made.share * slope * step));
            }
        }
        sums
    }
}

/// Synthetic rows as views: of altered copies each between the rows' copies of one number.
fn made_views(made: &[Made], each: usize) -> Vec<Made> {
    let of_row = |&Made { row, other, share }: &Made| {
        (0..each).map(move |view| Made {
            row: row * each + view,
            other: other * each + view,
            share,
        })
    };
    made.iter().flat_map(of_row).collect()
}

/// What a model says of a synthetic row: linear in what it says of the two rows, but for features that one
/// of them misses, which stay as they are in the first.
fn margin(views: &Views<'_>, model: &Folded, logits: &Panels, slot: usize, made: &Made) -> f64 {
    let (row, other) = (logits.get(made.row, slot), logits.get(made.other, slot));
    let back: f64 =
        kept_back(views, model, made).map(|(column, step)| model.weights[column] * step).sum();
    row + made.share * (other - row - back)
}

/// Features that one of the rows misses, with the step between them, in the frame's units.
fn kept_back(views: &Views<'_>, model: &Folded, made: &Made) -> impl Iterator<Item = (usize, f64)> {
    let columns = either_misses(views, made);
    columns.into_iter().map(|column| {
        let value = |view: usize| match gaps(views.missing, view).contains(&(view, column)) {
            true => model.fill[column],
            false => views.z.row(view)[column],
        };
        (column, value(made.other) - value(made.row))
    })
}

/// Columns that a synthetic row takes from its first row.
fn either_misses(views: &Views<'_>, made: &Made) -> Vec<usize> {
    let of = |view| gaps(views.missing, view).iter().map(|&(_, column)| column);
    let mut columns: Vec<usize> = of(made.row).chain(of(made.other)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// A design of some views with synthetic rows below.
fn with_made(views: &Views<'_>, x: &Matrix, rows: &[usize], made: &[Made]) -> Matrix {
    let mut all = Matrix::zero(rows.len() + made.len(), x.columns);
    (0..rows.len()).for_each(|at| all.row_mut(at).copy_from_slice(x.row(at)));
    for (at, made) in made.iter().enumerate() {
        let of = |view: usize| {
            let at = rows.binary_search(&view).expect("synthetic rows are made of selected rows");
            x.row(at)
        };
        let (row, other) = (of(made.row), of(made.other));
        let out = all.row_mut(rows.len() + at);
        for ((out, &row), &other) in out.iter_mut().zip(row).zip(other) {
            *out = made.between(row, other);
        }
        for column in either_misses(views, made) {
            out[column] = row[column];
        }
    }
    all
}

/// A row's loss and its derivative by what the model says.
pub(super) fn of(loss: Loss, says: f64, is_positive: bool) -> (f64, f64) {
    match (loss, is_positive) {
        (Loss::Logistic, true) => {
            let logit = Logit::new(says);
            (logit.loss_positive, logit.probability - 1.0)
        }
        (Loss::Logistic, false) => {
            let logit = Logit::new(says);
            (logit.loss_negative, logit.probability)
        }
        (Loss::SquaredHinge, true) => {
            let short = (1.0 - says).max(0.0);
            (short * short, -2.0 * short)
        }
        (Loss::SquaredHinge, false) => {
            let short = (1.0 + says).max(0.0);
            (short * short, 2.0 * short)
        }
    }
}

/// The second derivative; of the squared hinge's two at the margin, 0.
fn curvature(loss: Loss, says: f64, is_positive: bool) -> f64 {
    match loss {
        Loss::Logistic => Logit::new(says).variance,
        Loss::SquaredHinge => {
            let margin = if is_positive { says } else { -says };
            if margin < 1.0 { 2.0 } else { 0.0 }
        }
    }
}
