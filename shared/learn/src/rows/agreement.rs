//! How often two readers gave which classes ([`wardround_core::query::Ask::Agreement`]), of rows, whatever is judged.

use wardround_core::query::{Column, Labelling};

use super::site::Seen;
use super::tally::Tally;
use crate::cohort::CohortError;

/// The blocks of a site's answer.
pub(super) fn answer(
    seen: &Seen<'_>,
    split: &[Column],
    influences: &[Vec<f64>],
) -> Result<Vec<Vec<i64>>, CohortError> {
    let [of_cell, side] = seen.query.schema.reader_tables();
    let cells = seen.cells(split);
    let mut tallies = Tally::all(seen.query);
    let [read, patients, squares @ ..] = tallies.as_mut_slice() else {
        unreachable!("counts of rows and of patients are asked for")
    };
    for patient in &seen.rows.patients {
        // Of each of its rows that was read twice: table and place in it.
        let mut places: Vec<(usize, usize)> = Vec::new();
        for row in patient.rows.clone() {
            let (first, second) = (seen.rows.classes[row], seen.rows.second_class(row));
            if second.count() == 0 {
                continue;
            }
            match seen.query.schema.labelling {
                Labelling::Single => {
                    let code = |set: wardround_core::class_set::ClassSet| {
                        set.single().map_or(0, usize::from)
                    };
                    places.push((cells[row], code(first) * side + code(second)));
                }
                Labelling::Multi => places.extend((0..of_cell).map(|label| {
                    let [a, b] = [first, second].map(|set| usize::from(set.has(label as u8)));
                    (cells[row] * of_cell + label, a * side + b)
                })),
            }
        }
        places.sort_unstable();
        for rows in places.chunk_by(|a, b| a == b) {
            let (table, place) = rows[0];
            read.count(table * side * side + place, rows.len() as i64);
            patients.count(table * side * side + place, 1);
        }
        if let [squares] = squares {
            for rows in places.chunk_by(|a, b| a.0 == b.0) {
                let table = rows[0].0;
                let moved: f64 = rows.iter().map(|(_, place)| influences[table][*place]).sum();
                squares.add(table, moved * moved)?;
            }
        }
    }
    Ok(Tally::values(tallies))
}
