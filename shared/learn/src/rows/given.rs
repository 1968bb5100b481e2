//! Rows of single patients, as a site whose owner allows it gives them away.
//!
//! Patients stand in an order drawn by the study's seed and their keys, so that neither their numbers
//! nor the order of rows says anything about keys.

use wardround_core::query::{JudgedUnit, Labelling, RowPrecision, Weighting};

use super::site::{Seen, SitePatient};
use crate::cohort::CohortError;

/// [`wardround_core::query::Ask::FeatureRows`].
pub(super) fn answer(
    seen: &Seen<'_>,
    [first, end]: [u32; 2],
    precision: RowPrecision,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let site = seen.rows;
    let order = order(seen);
    if end as usize > order.len() {
        let (rows, id) = (order.len(), &site.id);
        return Err(CohortError::Unfit(format!("rows {first} to {end} of {rows} at site {id}")));
    }
    let [mut patients, mut classes] = [Vec::new(), Vec::new()];
    let [mut levels, mut features, mut weights] = [Vec::new(), Vec::new(), Vec::new()];
    let (mut exams, units) = (Vec::new(), seen.units());
    for &(number, row) in &order[first as usize..end as usize] {
        let view = site.view(row);
        patients.push(number);
        classes.push(match seen.query.schema.labelling {
            Labelling::Single => view.classes.single().map_or(0, i64::from),
            // Labels are fewer than 64, and the last bit is of none of them.
            Labelling::Multi => view.classes.0.cast_signed(),
        });
        levels.extend(view.levels.iter().copied().map(i64::from));
        let of_row = view.features().map_err(|error| site.failed(&error))?;
        for &value in of_row.iter() {
            match precision {
                RowPrecision::Single => features.push(i64::from((value as f32).to_bits())),
                RowPrecision::Double => features.extend(halves(value)),
            }
        }
        weights.extend(halves(view.weight));
        let patient = site.patients.partition_point(|patient| patient.rows.end <= row);
        let first = units.of_row[site.patients[patient].rows.start];
        exams.push((units.of_row[row] - first) as i64);
    }
    let mut blocks = vec![patients, classes, levels, features];
    if seen.query.schema.weighting == Weighting::Given {
        blocks.push(weights);
    }
    if let JudgedUnit::Exam(_) = seen.query.schema.judged {
        blocks.push(exams);
    }
    Ok(blocks)
}

/// The upper and the lower 32 bits of a number.
fn halves(value: f64) -> [i64; 2] {
    let bits = value.to_bits();
    [(bits >> 32) as i64, (bits & u64::from(u32::MAX)) as i64]
}

/// Each row with its patient's number, in the order in which rows are given.
fn order(seen: &Seen<'_>) -> Vec<(i64, usize)> {
    let seed = seen.query.folds.seed;
    let drawn = |patient: &SitePatient| {
        let parts = [seen.rows.id.as_str(), &patient.issuer, &patient.key].map(str::as_bytes);
        seed.bits("order of given rows", &parts)
    };
    let mut patients: Vec<(u64, &SitePatient)> =
        seen.rows.patients.iter().map(|patient| (drawn(patient), patient)).collect();
    patients.sort_by_key(|(drawn, patient)| (*drawn, patient.rows.start));
    let numbered = (0..).zip(patients);
    numbered.flat_map(|(at, (_, patient))| patient.rows.clone().map(move |row| (at, row))).collect()
}
