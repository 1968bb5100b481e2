//! Counts and moments, rounded per patient.

use wardround_core::query::{Column, Frame, Labelling};

use super::site::{Seen, SitePatient};
use super::tally::Tally;
use crate::cohort::CohortError;

/// [`wardround_core::query::Ask::Profile`].
pub(super) fn profile(seen: &Seen<'_>, split: &[Column]) -> Vec<Vec<i64>> {
    let classes = usize::from(seen.query.schema.classes);
    let cells = seen.cells(split);
    let mut tallies = Tally::all(seen.query);
    let labels = usize::from(seen.query.schema.labelling == Labelling::Multi);
    let (of_rows, of_units) = tallies.split_at_mut(3 + labels);
    let [patients, patients_by_class, rows_by_class, rows @ ..] = of_rows else {
        unreachable!("counts of patients and of classes are asked for")
    };
    for patient in &seen.rows.patients {
        // Few rows per patient: looking back is faster than a set.
        for row in patient.rows.clone() {
            let earlier = patient.rows.start..row;
            let (cell, set) = (cells[row], seen.classes[row]);
            let in_cell = earlier.filter(|&other| cells[other] == cell);
            rows.iter_mut().for_each(|rows| rows.count(cell, 1));
            if in_cell.clone().next().is_none() {
                patients.count(cell, 1);
            }
            for class in set.iter() {
                let at = cell * classes + usize::from(class);
                rows_by_class.count(at, 1);
                if in_cell.clone().all(|other| !seen.classes[other].has(class)) {
                    patients_by_class.count(at, 1);
                }
            }
        }
    }
    if let [patients, patients_by_class, by_class, units, rows, mixed] = of_units {
        judged(seen, split, [patients, patients_by_class, by_class, units, rows, mixed]);
    }
    Tally::values(tallies)
}

/// The counts of what is judged.
fn judged(seen: &Seen<'_>, split: &[Column], blocks: [&mut Tally; 6]) {
    let [patients, patients_by_class, by_class, count, rows, mixed] = blocks;
    let (units, cells) = (seen.units(), seen.cells_of_units(split));
    let classes = usize::from(seen.query.schema.classes);
    for patient in &seen.rows.patients {
        let mut of_patient: Vec<usize> =
            patient.rows.clone().map(|row| units.of_row[row]).collect();
        of_patient.sort_unstable();
        of_patient.dedup();
        for (at, &unit) in of_patient.iter().enumerate() {
            let cell = cells[unit];
            let earlier = || of_patient[..at].iter().filter(|&&other| cells[other] == cell);
            count.count(cell, 1);
            rows.count(cell, units.rows[unit] as i64);
            patients.count(cell, i64::from(earlier().next().is_none()));
            if units.mixed[unit] {
                mixed.count(2 * cell, 1);
                let first = earlier().all(|&other| !units.mixed[other]);
                mixed.count(2 * cell + 1, i64::from(first));
            }
            for class in units.classes[unit].iter() {
                let place = cell * classes + usize::from(class);
                by_class.count(place, 1);
                let first = earlier().all(|&other| !units.classes[other].has(class));
                patients_by_class.count(place, i64::from(first));
            }
        }
    }
}

/// [`wardround_core::query::Ask::Moments`].
pub(super) fn moments(
    seen: &Seen<'_>,
    frame: &Frame,
    split: &[Column],
) -> Result<Vec<Vec<i64>>, CohortError> {
    let (d, classes) = (seen.features(), usize::from(seen.query.schema.classes));
    let (split, by_label) = match (seen.query.schema.labelling, split) {
        (Labelling::Multi, [others @ .., Column::Class]) => (others, true),
        _ => (split, false),
    };
    let cells = seen.cells(split);
    // A row counts in the cell of each of its labels.
    let cells_of = |row: usize| -> Vec<usize> {
        let labels = seen.classes[row].iter().map(usize::from);
        match by_label {
            true => labels.map(|label| cells[row] * classes + label).collect(),
            false => vec![cells[row]],
        }
    };
    let framed = seen.rows.framed(frame)?;
    let views = seen.rows.plain(&framed);
    let [mut n, mut rows, mut sum, mut squares] = Tally::of(seen.query);
    for patients in together(&seen.rows.patients, views.at_once()) {
        let (first, last) = (&patients[0], &patients[patients.len() - 1]);
        let block = views.block(first.rows.start..last.rows.end)?;
        for patient in patients {
            let of_row = |row| cells_of(row).into_iter().map(move |cell| (cell, row));
            for (cell, of_cell) in by_cell(patient.rows.clone().flat_map(of_row)) {
                rows.count(cell, of_cell.len() as i64);
                for k in 0..d {
                    let (mut first, mut second) = (0.0, 0.0);
                    // A missing entry is 0 in the matrix and adds nothing.
                    for &row in &of_cell {
                        let z = block.row(row)[k];
                        first += z;
                        second += z * z;
                    }
                    n.count(cell * d + k, of_cell.len() as i64);
                    sum.add(cell * d + k, first)?;
                    squares.add(cell * d + k, second)?;
                }
            }
        }
    }
    for &(row, k) in seen.rows.missing_entries() {
        cells_of(row).into_iter().for_each(|cell| n.count(cell * d + k, -1));
    }
    Ok(Tally::values([n, rows, sum, squares]))
}

/// Patients whose rows are read at once: about so many rows, and those of one patient always.
fn together(patients: &[SitePatient], rows: usize) -> impl Iterator<Item = &[SitePatient]> {
    let mut rest = patients;
    std::iter::from_fn(move || {
        let start = rest.first()?.rows.start;
        let fit = rest.partition_point(|patient| patient.rows.end - start <= rows);
        let (now, later) = rest.split_at(fit.max(1));
        rest = later;
        Some(now)
    })
}

/// What belongs to rows of a patient by cell, in order of first appearance.
pub(super) fn by_cell<T>(of_rows: impl IntoIterator<Item = (usize, T)>) -> Vec<(usize, Vec<T>)> {
    let mut groups: Vec<(usize, Vec<T>)> = Vec::new();
    for (cell, item) in of_rows {
        match groups.iter_mut().find(|(other, _)| *other == cell) {
            Some((_, group)) => group.push(item),
            None => groups.push((cell, vec![item])),
        }
    }
    groups
}
