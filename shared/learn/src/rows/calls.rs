//! How often what is judged was called which class ([`Ask::Calls`]): the one with the largest score, of equal ones the first, as
//! numpy's `argmax` has it. Patients are drawn as in [`super::resampled`], by the same bits.

use rayon::prelude::*;
use wardround_core::query::Ask;

use super::draws::{poisson, uniform};
use super::scores::Scored;
use super::site::Seen;
use crate::cohort::CohortError;

/// A unit of a group of lists.
struct Called {
    patient: usize,
    /// Its cell's number of pairs of classes before it, and its class and call among them.
    place: usize,
}

/// The blocks of a site's answer.
pub(super) fn answer(seen: &Seen<'_>) -> Result<Vec<Vec<i64>>, CohortError> {
    let Ask::Calls { frame, models, lists, split, seed, replicates } = &seen.query.ask else {
        return Ok(Vec::new());
    };
    let classes = usize::from(seen.query.schema.classes);
    let width = seen.query.cells(split) * classes * classes;
    let cells = seen.cells_of_units(split);
    let bits = seen.rows.patient_bits(*seed);
    let (mut calls, mut patients) = (Vec::new(), Vec::new());
    for lists in lists.chunks_exact(classes) {
        let scored = Scored::new(seen, frame, models, lists)?;
        let called = called(seen, &scored, &cells, classes);
        let mut places: Vec<(usize, usize)> =
            called.iter().map(|unit| (unit.patient, unit.place)).collect();
        places.sort_unstable();
        places.dedup();
        let mut with = vec![0; width];
        places.iter().for_each(|(_, place)| with[*place] += 1);
        patients.extend(with);
        let [from, end] = replicates.map(u32::from);
        let replicate = |replicate: u32| {
            let mut counts = vec![0i64; width];
            for unit in &called {
                counts[unit.place] += match replicate {
                    0 => 1,
                    _ => i64::from(poisson(uniform(bits[unit.patient], replicate))),
                };
            }
            counts
        };
        let of_group: Vec<Vec<i64>> = (from..end).into_par_iter().map(replicate).collect();
        calls.extend(of_group.into_iter().flatten());
    }
    Ok(vec![calls, patients])
}

/// What is judged of a group's lists, with its class and call.
fn called(seen: &Seen<'_>, scored: &Scored, cells: &[usize], classes: usize) -> Vec<Called> {
    let by_class: Vec<_> = (0..classes).map(|class| scored.list(class)).collect();
    let mut called = Vec::new();
    for (patient, of_first) in by_class[0].iter().enumerate() {
        // The lists of a group have the same rows, in the same order.
        for (at, (unit, _)) in of_first.iter().enumerate() {
            let mut call = 0;
            for class in 1..classes {
                if by_class[class][patient][at].1 > by_class[call][patient][at].1 {
                    call = class;
                }
            }
            let class = seen.units().classes[*unit].single().map_or(0, usize::from);
            called
                .push(Called { patient, place: (cells[*unit] * classes + class) * classes + call });
        }
    }
    called
}
