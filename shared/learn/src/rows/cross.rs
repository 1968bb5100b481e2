//! Weighted cross products `x' diag(w) x` of `(features, 1)`: the Gram matrix and the Hessians.

use wardround_core::query::{Fill, Frame, GramTerm, RowSet, Scaler};

use super::kernel::{Matrix, Panels, cross_upper};
use super::site::{Seen, SiteScale, Views, gaps};
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
        let framed = seen.rows.framed(frame);
        let scale = seen.scale(&framed, rows.repeat, scaler);
        let views = seen.rows.plain(&framed);
        let x = design(&views, seen.features(), &selected, scale.as_deref(), &[]);
        let weights: Vec<f64> = selected.iter().map(|&row| seen.rows.weights.of(row)).collect();
        let triangle = triangle(&x, seen.features() + 1, &weights);
        for (at, value) in triangle.into_iter().enumerate() {
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
    let framed = seen.rows.framed(frame);
    for (at, GramTerm { rows, scaler, fill }) in terms.iter().enumerate() {
        let selected = seen.selected(rows);
        if selected.is_empty() {
            continue;
        }
        let scale = seen.scale(&framed, rows.repeat, scaler);
        let views = seen.rows.plain(&framed);
        let fill = match fill {
            Fill::Values(values) => values.as_slice(),
            Fill::Complete => {
                seen.complete()?;
                &[]
            }
        };
        let x = design(&views, seen.features(), &selected, scale.as_deref(), fill);
        let weights: Vec<f64> = selected.iter().map(|&row| seen.rows.weights.of(row)).collect();
        let triangle = triangle(&x, columns, &weights);
        let first = at * triangle.len();
        for (k, value) in triangle.into_iter().enumerate() {
            gram.add(first + k, value)?;
        }
        let mut by_class = vec![0.0; classes * columns];
        for (row, &of_site) in selected.iter().enumerate() {
            for class in seen.rows.classes[of_site].iter().map(usize::from) {
                let sums = by_class[class * columns..][..columns].iter_mut();
                sums.zip(x.row(row)).for_each(|(sum, value)| *sum += weights[row] * value);
            }
        }
        for (k, value) in by_class.into_iter().enumerate() {
            sums.add(at * classes * columns + k, value)?;
        }
    }
    Ok(Tally::values([gram, sums]))
}

/// `(features, 1)` of some rows of a matrix, standardised by the site's own scale if there is one. Missing
/// features get `fill` in the frame's units, the own mean if there is a scale, else 0.
pub(super) fn design(
    &Views { z, missing, .. }: &Views<'_>,
    d: usize,
    rows: &[usize],
    scale: Option<&SiteScale>,
    fill: &[f64],
) -> Matrix {
    let mut x = Matrix::zero(rows.len(), d + 1);
    for (at, &row) in rows.iter().enumerate() {
        let out = x.row_mut(at);
        out.copy_from_slice(z.row(row));
        let gaps = gaps(missing, row).iter().map(|&(_, column)| column);
        if let Some(SiteScale { mean, inverse }) = scale {
            for (k, value) in out[..d].iter_mut().enumerate() {
                *value = (*value - mean[k]) * inverse[k];
            }
            gaps.for_each(|column| out[column] = 0.0);
        } else if !fill.is_empty() {
            gaps.for_each(|column| out[column] = fill[column]);
        }
    }
    x
}

/// The upper triangle of `x' diag(w) x` over the first `columns` columns, row by row.
pub(super) fn triangle(x: &Matrix, columns: usize, w: &[f64]) -> Vec<f64> {
    let mut weighted = Panels::zero(x.rows, columns);
    for (row, &w) in w.iter().enumerate() {
        let values = x.row(row)[..columns].iter().enumerate();
        values.for_each(|(column, &value)| *weighted.get_mut(row, column) = w * value);
    }
    let product = cross_upper(x, &weighted);
    (0..columns)
        .flat_map(|k| (k..columns).map(move |l| (k, l)))
        .map(|(k, l)| product.get(k, l))
        .collect()
}
