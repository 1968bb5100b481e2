//! Weighted cross products `x' diag(w) x` of `(features, 1)`: the Gram matrix and the Hessians.

use wardround_core::query::{Fill, Frame, GramTerm, RowSet, Scaler};

use super::framed::{Block, Views};
use super::kernel::{Matrix, Panels, add_cross_upper};
use super::scale::SiteScale;
use super::site::{Seen, gaps};
use super::tally::Tally;
use crate::cohort::CohortError;

/// [`wardround_core::query::Ask::Gram`].
pub(super) fn gram(
    seen: &Seen<'_>,
    frame: &Frame,
    rows: &RowSet,
    scaler: &Scaler,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let [mut gram] = Tally::of(seen.query);
    let selected = seen.selected(rows);
    if !selected.is_empty() {
        let framed = seen.rows.framed(frame)?;
        let scale = seen.scale(&framed, rows.repeat, scaler)?;
        let mut triangle = Triangle::zero(seen.features() + 1);
        seen.rows.plain(&framed).for_each(|block| {
            let of_block = block.of(&selected);
            let x = design(block, seen.features(), of_block, scale.as_deref(), &[]);
            triangle.add(&x, &weights_of(seen, of_block));
            Ok(())
        })?;
        for (at, value) in triangle.values().enumerate() {
            gram.add(at, value)?;
        }
    }
    Ok(Tally::values([gram]))
}

/// [`wardround_core::query::Ask::ClassGram`].
pub(super) fn class_gram(
    seen: &Seen<'_>,
    frame: &Frame,
    terms: &[GramTerm],
) -> Result<Vec<Vec<i64>>, CohortError> {
    let columns = seen.features() + 1;
    let classes = usize::from(seen.query.schema.classes);
    let [mut gram, mut sums] = Tally::of(seen.query);
    let framed = seen.rows.framed(frame)?;
    for (at, GramTerm { rows, scaler, fill }) in terms.iter().enumerate() {
        let selected = seen.selected(rows);
        if selected.is_empty() {
            continue;
        }
        let scale = seen.scale(&framed, rows.repeat, scaler)?;
        let fill = match fill {
            Fill::Values(values) => values.as_slice(),
            Fill::Complete => {
                seen.complete()?;
                &[]
            }
        };
        let mut triangle = Triangle::zero(columns);
        let mut by_class = vec![0.0; classes * columns];
        seen.rows.plain(&framed).for_each(|block| {
            let of_block = block.of(&selected);
            let x = design(block, seen.features(), of_block, scale.as_deref(), fill);
            let weights = weights_of(seen, of_block);
            triangle.add(&x, &weights);
            for (row, &of_site) in of_block.iter().enumerate() {
                for class in seen.classes[of_site].iter().map(usize::from) {
                    let sums = by_class[class * columns..][..columns].iter_mut();
                    sums.zip(x.row(row)).for_each(|(sum, value)| *sum += weights[row] * value);
                }
            }
            Ok(())
        })?;
        let first = at * columns * (columns + 1) / 2;
        for (k, value) in triangle.values().enumerate() {
            gram.add(first + k, value)?;
        }
        for (k, value) in by_class.into_iter().enumerate() {
            sums.add(at * classes * columns + k, value)?;
        }
    }
    Ok(Tally::values([gram, sums]))
}

/// How much some rows count.
fn weights_of(seen: &Seen<'_>, rows: &[usize]) -> Vec<f64> {
    rows.iter().map(|&row| seen.rows.weights.of(row)).collect()
}

/// `(features, 1)` of some views of a block, standardised by the site's own scale if there is one. Missing
/// features get `fill` in the frame's units, the own mean if there is a scale, else 0.
pub(super) fn design(
    block: &Block<'_>,
    d: usize,
    views: &[usize],
    scale: Option<&SiteScale>,
    fill: &[f64],
) -> Matrix {
    let mut x = Matrix::zero(views.len(), d + 1);
    for (at, &view) in views.iter().enumerate() {
        let out = x.row_mut(at);
        out.copy_from_slice(block.row(view));
        standardise(&mut out[..d], gaps(block.missing, view), scale, fill);
    }
    x
}

/// A view that isn't in a block, as [`design`] has it.
///
/// # Errors
/// [`CohortError::SiteFailed`]: the file of features can't be read.
pub(super) fn design_row(
    views: &Views<'_>,
    view: usize,
    scale: Option<&SiteScale>,
    fill: &[f64],
) -> Result<Vec<f64>, CohortError> {
    let mut row = views.row(view)?.into_owned();
    standardise(&mut row[..views.features()], gaps(views.missing, view), scale, fill);
    Ok(row)
}

fn standardise(z: &mut [f64], gaps: &[(usize, usize)], scale: Option<&SiteScale>, fill: &[f64]) {
    let gaps = gaps.iter().map(|&(_, column)| column);
    if let Some(SiteScale { mean, inverse }) = scale {
        for (k, value) in z.iter_mut().enumerate() {
            *value = (*value - mean[k]) * inverse[k];
        }
        gaps.for_each(|column| z[column] = 0.0);
    } else if !fill.is_empty() {
        gaps.for_each(|column| z[column] = fill[column]);
    }
}

/// The upper triangle of `x' diag(w) x` over the first columns, rows added in their order.
#[derive(Debug)]
pub(super) struct Triangle {
    columns: usize,
    sums: Panels,
}

impl Triangle {
    /// No rows yet.
    pub(super) fn zero(columns: usize) -> Self {
        Self { columns, sums: Panels::zero(Matrix::zero(0, columns).columns, columns) }
    }

    /// Adds rows with their weights.
    pub(super) fn add(&mut self, x: &Matrix, w: &[f64]) {
        let mut weighted = Panels::zero(x.rows, self.columns);
        for (row, &w) in w.iter().enumerate() {
            let values = x.row(row)[..self.columns].iter().enumerate();
            values.for_each(|(column, &value)| *weighted.get_mut(row, column) = w * value);
        }
        add_cross_upper(&mut self.sums, x, &weighted);
    }

    /// It, row by row.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        let entries = (0..self.columns).flat_map(|k| (k..self.columns).map(move |l| (k, l)));
        entries.map(|(k, l)| self.sums.get(k, l))
    }
}
