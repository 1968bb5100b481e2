//! Squared placement deviations, rounded per patient (Obuchowski 1997).

use wardround_core::query::{Bins, Column, Frame, Model, PlacementTable, ScoreList};

use super::counts::by_cell;
use super::scores::{Scored, together};
use super::site::Seen;
use super::tally::Tally;
use crate::cohort::CohortError;

/// [`wardround_core::query::Ask::Placements`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    models: &[Model],
    lists: &[ScoreList],
    split: &[Column],
    bins: &Bins,
    tables: &[PlacementTable],
) -> Result<Vec<Vec<i64>>, CohortError> {
    let cells = seen.cells_of_units(split);
    let width = seen.query.cells(split);
    let [mut patients, mut s10, mut s01, mut s11] = Tally::of(seen.query);
    for (first, lists) in together(seen, lists) {
        let scored = Scored::new(seen, frame, models, lists)?;
        for (at_list, ScoreList { class, .. }) in lists.iter().enumerate() {
            for hits in scored.list(at_list) {
                for (cell, of_cell) in by_cell(hits.into_iter().map(|hit| (cells[hit.0], hit))) {
                    let at = (first + at_list) * width + cell;
                    let PlacementTable { above, below, auc } = &tables[at];
                    let (mut positives, mut negatives, mut a, mut b) = (0.0, 0.0, 0.0, 0.0);
                    for (unit, logit) in of_cell {
                        let bin = bins.index(logit);
                        if seen.units().classes[unit].has(*class) {
                            positives += 1.0;
                            a += above[bin];
                        } else {
                            negatives += 1.0;
                            b += below[bin];
                        }
                    }
                    patients.count(at * 2, i64::from(positives > 0.0));
                    patients.count(at * 2 + 1, i64::from(negatives > 0.0));
                    let (first, second) = (a - positives * auc, b - negatives * auc);
                    s10.add(at, first * first)?;
                    s01.add(at, second * second)?;
                    s11.add(at, first * second)?;
                }
            }
        }
    }
    Ok(Tally::values([patients, s10, s01, s11]))
}
