//! Counts and moments, rounded per patient.

use wardround_core::query::{Column, Frame};

use super::site::Seen;
use super::tally::Tally;
use crate::cohort::CohortError;

/// [`wardround_core::query::Ask::Profile`].
pub(super) fn profile(seen: &Seen<'_>, split: &[Column]) -> Vec<Vec<i64>> {
    let classes = usize::from(seen.query.schema.classes);
    let cells = seen.cells(split);
    let [mut patients, mut patients_by_class, mut rows_by_class] = Tally::of(seen.query);
    for patient in &seen.rows.patients {
        // Few rows per patient: looking back is faster than a set.
        for row in patient.rows.clone() {
            let earlier = patient.rows.start..row;
            let (cell, class) = (cells[row], seen.rows.class[row]);
            let at = cell * classes + usize::from(class);
            rows_by_class.count(at, 1);
            if earlier.clone().all(|other| cells[other] != cell) {
                patients.count(cell, 1);
            }
            if earlier.clone().all(|other| cells[other] != cell || seen.rows.class[other] != class)
            {
                patients_by_class.count(at, 1);
            }
        }
    }
    Tally::values([patients, patients_by_class, rows_by_class])
}

/// [`wardround_core::query::Ask::Moments`].
pub(super) fn moments(
    seen: &Seen<'_>,
    frame: &Frame,
    split: &[Column],
) -> Result<Vec<Vec<i64>>, CohortError> {
    let d = seen.features();
    let cells = seen.cells(split);
    let framed = seen.rows.framed(frame);
    let [mut n, mut rows, mut sum, mut squares] = Tally::of(seen.query);
    for patient in &seen.rows.patients {
        for (cell, of_cell) in by_cell(&cells, patient.rows.clone(), |row| *row) {
            rows.count(cell, of_cell.len() as i64);
            for k in 0..d {
                let (mut first, mut second) = (0.0, 0.0);
                // A missing entry is 0 in the matrix and adds nothing.
                for &row in &of_cell {
                    let z = framed.z.row(row)[k];
                    first += z;
                    second += z * z;
                }
                n.count(cell * d + k, of_cell.len() as i64);
                sum.add(cell * d + k, first)?;
                squares.add(cell * d + k, second)?;
            }
        }
    }
    for &(row, k) in seen.rows.missing_entries() {
        n.count(cells[row] * d + k, -1);
    }
    Ok(Tally::values([n, rows, sum, squares]))
}

/// What belongs to rows of a patient, by the row's cell, in order of first appearance.
pub(super) fn by_cell<T>(
    cells: &[usize],
    of_rows: impl IntoIterator<Item = T>,
    row: impl Fn(&T) -> usize,
) -> Vec<(usize, Vec<T>)> {
    let mut groups: Vec<(usize, Vec<T>)> = Vec::new();
    for item in of_rows {
        let cell = cells[row(&item)];
        match groups.iter_mut().find(|(other, _)| *other == cell) {
            Some((_, group)) => group.push(item),
            None => groups.push((cell, vec![item])),
        }
    }
    groups
}
