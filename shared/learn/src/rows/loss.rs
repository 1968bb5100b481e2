//! Losses and derivatives of many linear models at once: one product of the rows with all weights,
//! one product back with all residuals. A model's residual is 0 outside its rows.
//!
//! Where rows have altered copies, the same is done with those; then the row and each of its copies
//! get an equal share of the row's weight, so that it weighs the same whatever it has.
//!
//! A synthetic row between two rows is never made for a gradient: what a linear model says of it lies between
//! what it says of the two, and its residual is theirs, in shares. Hessians, asked of few features, make it.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::query::{Derivatives, Frame, LinearTerm};
use wardround_core::study::Loss;

use super::cross::{Triangle, design, design_row};
use super::derivatives::{Part, add_blocks};
use super::framed::{Block, Views};
use super::kernel::{self, LANES, Matrix, Panels, add_cross};
use super::linear::{Folded, Logit, OfViews, scores};
use super::resample::{Counts, Made};
use super::site::{Seen, gaps};
use crate::cohort::CohortError;

/// Synthetic rows that are made at once.
const MADE_AT_ONCE: usize = 256;

/// A term that has rows here.
struct Active<'a> {
    /// Its index in the query.
    at: usize,
    term: &'a LinearTerm,
    counts: Arc<Counts>,
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
    let framed = seen.rows.framed(frame)?;
    let mut active = Vec::new();
    for (at, term) in terms.iter().enumerate() {
        if !seen.selected(&term.rows).is_empty() {
            let model = Folded::new(seen, &framed, &term.model, term.rows.repeat)?;
            let same = |other: &&Active<'_>| is_same_training(other.term, term);
            let counts = match active.iter().rfind(same) {
                Some(Active { counts, .. }) => counts.clone(),
                None => Arc::new(seen.counts(&term.rows, term.model.class, term.weights)?),
            };
            active.push(Active { at, term, counts, classes: &seen.classes, model, loss });
        }
    }
    let all = seen.rows.fitted(&framed)?;
    let parts = Part::of_all(&all, |views| parts(seen, views, &active, derivatives))?;
    let parts: Vec<(usize, Part)> = active.iter().map(|active| active.at).zip(parts).collect();
    Part::answer(seen.query, derivatives, &parts)
}

/// Whether rows of two terms count as often and have the same synthetic ones.
fn is_same_training(a: &LinearTerm, b: &LinearTerm) -> bool {
    (a.rows, a.model.class, a.weights) == (b.rows, b.model.class, b.weights)
}

/// What each term's rows, or their copies, add up to.
fn parts(
    seen: &Seen<'_>,
    views: &Views<'_>,
    active: &[Active<'_>],
    derivatives: Derivatives,
) -> Result<Vec<Part>, CohortError> {
    let models = || active.iter().map(|active| &active.model);
    // What needs all logits before the first residual.
    let mut logits = OfViews::default();
    let any_made = active.iter().any(|active| !active.counts.made().is_empty());
    if any_made || derivatives == Derivatives::Hessian {
        views.for_each(|block| {
            logits.push(block.first, scores(block, models()));
            Ok(())
        })?;
    }
    let of_model = |(slot, active)| hessian(seen, views, active, &logits, slot);
    let hessians: Vec<Vec<f64>> = match derivatives {
        Derivatives::Gradient => vec![Vec::new(); active.len()],
        Derivatives::Hessian => {
            active.iter().enumerate().map(of_model).collect::<Result<_, _>>()?
        }
    };
    let of_made: Vec<OfMade> = (0..active.len())
        .into_par_iter()
        .map(|slot| OfMade::new(views, &active[slot], &logits, slot))
        .collect::<Result<_, _>>()?;
    let mut losses = vec![0.0; active.len()];
    let mut gradients = Gradients::zero(views.columns(), active.len());
    views.for_each(|block| {
        let known = logits.take(block.first);
        let mut residuals = known.unwrap_or_else(|| scores(block, models()));
        to_residuals(seen, block, active, &mut residuals, &mut losses);
        for (slot, made) in of_made.iter().enumerate().filter(|(_, m)| !m.residuals.is_empty()) {
            for view in block.views() {
                *residuals.get_mut(view - block.first, slot) += made.residuals[view];
            }
        }
        gradients.add(block, residuals);
        Ok(())
    })?;
    losses.iter_mut().zip(&of_made).for_each(|(loss, made)| *loss += made.loss);
    gradients.fill(views.missing, models());
    let gradient = |(slot, Active { model, .. }): (usize, &Active<'_>)| {
        let mut gradient = gradients.of(slot, views.features() + 1);
        of_made[slot].gaps.iter().for_each(|&(column, more)| gradient[column] += more);
        model.unscale(&mut gradient);
        gradient
    };
    let gradients = active.iter().enumerate().map(gradient);
    let parts = losses.into_iter().zip(gradients).zip(hessians);
    Ok(parts.map(|((loss, gradient), hessian)| Part { loss, gradient, hessian }).collect())
}

/// Gradients of models by the columns of the frame's `(z, 1)`, being added up block by block.
pub(super) struct Gradients {
    sums: Panels,
    /// Of blocks with missing features.
    residuals: OfViews,
}

impl Gradients {
    /// No views yet.
    pub(super) fn zero(columns: usize, models: usize) -> Self {
        Self { sums: Panels::zero(columns, models), residuals: OfViews::default() }
    }

    /// Adds a block with its residuals.
    pub(super) fn add(&mut self, block: &Block<'_>, residuals: Panels) {
        add_cross(&mut self.sums, &block.z, &residuals);
        if !block.missing.is_empty() {
            self.residuals.push(block.first, residuals);
        }
    }

    /// Adds what stands in for missing features, after all blocks.
    pub(super) fn fill<'a>(
        &mut self,
        missing: &[(usize, usize)],
        models: impl Iterator<Item = &'a Folded> + Clone,
    ) {
        for &(view, column) in missing {
            for (slot, model) in models.clone().enumerate() {
                *self.sums.get_mut(column, slot) +=
                    self.residuals.get(view, slot) * model.fill[column];
            }
        }
    }

    /// A model's.
    pub(super) fn of(&self, slot: usize, columns: usize) -> Vec<f64> {
        (0..columns).map(|k| self.sums.get(k, slot)).collect()
    }
}

/// Replaces logits of a block by the loss's derivative by them, and adds the loss of each model, block by
/// block of the kernel in the order of rows.
fn to_residuals(
    seen: &Seen<'_>,
    block: &Block<'_>,
    active: &[Active<'_>],
    logits: &mut Panels,
    losses: &mut [f64],
) {
    let each = block.each;
    let classes_of_views = block.spread(&seen.classes);
    let folds_of_views: Vec<Cow<'_, [u8]>> =
        (0..seen.query.folds.repeats).map(|repeat| block.spread(seen.folds(repeat))).collect();
    let of_block = |kernel::Block { first, rows, data }: kernel::Block<'_>| {
        let mut losses = vec![0.0; active.len()];
        for (panel, data) in data.chunks_exact_mut(rows).enumerate() {
            for (lane, loss) in losses[panel * LANES..].iter_mut().take(LANES).enumerate() {
                let Active { term, counts, loss: of_row, .. } = &active[panel * LANES + lane];
                let LinearTerm { rows: set, model, .. } = term;
                let folds = &folds_of_views[usize::from(set.repeat)][first..];
                let classes = &classes_of_views[first..];
                // Rows of padding have no fold and keep the logit of a row of zeros: 0.
                let of_views = folds.iter().zip(classes).zip(block.first + first..);
                for (entry, ((&fold, &class), view)) in data.iter_mut().zip(of_views) {
                    let residual = &mut entry[lane];
                    if !set.folds.contains(fold) {
                        *residual = 0.0;
                        continue;
                    }
                    let positive = class.has(model.class);
                    let (value, slope) = of(*of_row, *residual, positive);
                    let weight = counts.of(view / each, positive);
                    *loss += weight * value;
                    *residual = weight * slope;
                }
            }
        }
        losses
    };
    add_blocks(losses, logits.blocks_mut().map(of_block).collect());
}

/// The upper triangle of a model's Hessian, in its own units.
fn hessian(
    seen: &Seen<'_>,
    views: &Views<'_>,
    active: &Active<'_>,
    logits: &OfViews,
    slot: usize,
) -> Result<Vec<f64>, CohortError> {
    let Active { term, counts, model, loss, .. } = active;
    let (d, scale) = (views.features(), model.scale.as_deref());
    let selected: Vec<usize> = views.of_rows(&seen.selected(&term.rows));
    let is_positive = |view: usize| seen.classes[view / views.each].has(term.model.class);
    let mut hessian = Triangle::zero(d + 1);
    views.for_each(|block| {
        let of_block = block.of(&selected);
        let of_view = |&view: &usize| {
            let positive = is_positive(view);
            counts.of(view / views.each, positive)
                * curvature(*loss, logits.get(view, slot), positive)
        };
        let weights: Vec<f64> = of_block.iter().map(of_view).collect();
        hessian.add(&design(block, d, of_block, scale, &model.fill), &weights);
        Ok(())
    })?;
    for made in made_views(counts.made(), views.each).chunks(MADE_AT_ONCE) {
        let mut x = Matrix::zero(made.len(), d + 1);
        let mut weights = Vec::with_capacity(made.len());
        for (at, made) in made.iter().enumerate() {
            let row = design_row(views, made.row, scale, &model.fill)?;
            let other = design_row(views, made.other, scale, &model.fill)?;
            let out = x.row_mut(at);
            for ((out, &row), &other) in out.iter_mut().zip(&row).zip(&other) {
                *out = made.between(row, other);
            }
            for column in either_misses(views, made) {
                out[column] = row[column];
            }
            let says = margin(views, model, logits, slot, made)?;
            let weight = counts.of_made(made.row / views.each);
            weights.push(weight * curvature(*loss, says, is_positive(made.row)));
        }
        hessian.add(&x, &weights);
    }
    Ok(hessian.values().collect())
}

impl OfMade {
    fn new(
        views: &Views<'_>,
        active: &Active<'_>,
        logits: &OfViews,
        slot: usize,
    ) -> Result<Self, CohortError> {
        let Active { term, counts, model, loss, .. } = active;
        let mut sums = Self { loss: 0.0, residuals: Vec::new(), gaps: Vec::new() };
        let made = made_views(counts.made(), views.each);
        if !made.is_empty() {
            sums.residuals = vec![0.0; views.len()];
        }
        // A synthetic row has its row's class.
        let is_positive = |view: usize| active.classes[view / views.each].has(term.model.class);
        for made in &made {
            let says = margin(views, model, logits, slot, made)?;
            let (value, slope) = of(*loss, says, is_positive(made.row));
            let weight = counts.of_made(made.row / views.each);
            let slope = weight * slope;
            sums.loss += weight * value;
            sums.residuals[made.row] += (1.0 - made.share) * slope;
            sums.residuals[made.other] += made.share * slope;
            for (column, step) in kept_back(views, model, made)? {
                sums.gaps.push((column, -made.share * slope * step));
            }
        }
        Ok(sums)
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
fn margin(
    views: &Views<'_>,
    model: &Folded,
    logits: &OfViews,
    slot: usize,
    made: &Made,
) -> Result<f64, CohortError> {
    let (row, other) = (logits.get(made.row, slot), logits.get(made.other, slot));
    let back = kept_back(views, model, made)?;
    let back: f64 = back.into_iter().map(|(column, step)| model.weights[column] * step).sum();
    Ok(row + made.share * (other - row - back))
}

/// Features that one of the rows misses, with the step between them, in the frame's units.
fn kept_back(
    views: &Views<'_>,
    model: &Folded,
    made: &Made,
) -> Result<Vec<(usize, f64)>, CohortError> {
    let columns = either_misses(views, made);
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let (row, other) = (views.row(made.row)?, views.row(made.other)?);
    let value = |view: usize, z: &[f64], column: usize| match gaps(views.missing, view)
        .contains(&(view, column))
    {
        true => model.fill[column],
        false => z[column],
    };
    let step = |column| value(made.other, &other, column) - value(made.row, &row, column);
    Ok(columns.into_iter().map(|column| (column, step(column))).collect())
}

/// Columns that a synthetic row takes from its first row.
fn either_misses(views: &Views<'_>, made: &Made) -> Vec<usize> {
    let of = |view| gaps(views.missing, view).iter().map(|&(_, column)| column);
    let mut columns: Vec<usize> = of(made.row).chain(of(made.other)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
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
