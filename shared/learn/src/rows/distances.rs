//! Distances of rows to the nearest class of a training set, as a histogram.

use rayon::prelude::*;
use wardround_core::query::{Bins, Column, DistanceTerm, Fill, Frame};

use super::cross::design;
use super::site::Seen;
use super::tally::Tally;
use crate::cohort::CohortError;
use crate::distance::Ruler;

/// [`wardround_core::query::Ask::Distances`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    terms: &[DistanceTerm],
    split: &[Column],
    bins: &Bins,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let cells = seen.cells(split);
    let [mut rows] = Tally::of(seen.query);
    let framed = seen.rows.framed(frame)?;
    for DistanceTerm { rows: set, measure } in terms {
        let selected = seen.selected(set);
        if selected.is_empty() {
            continue;
        }
        let fill = match &measure.fill {
            Fill::Values(values) => values.as_slice(),
            Fill::Complete => {
                seen.complete()?;
                &[]
            }
        };
        let (ruler, d) = (Ruler::new(measure), seen.features());
        seen.rows.plain(&framed).for_each(|block| {
            let of_block = block.of(&selected);
            let x = design(block, d, of_block, None, fill);
            let bin_of = |at: usize| {
                let squared = ruler.squared_per_column(&x.row(at)[..d]);
                bins.index(libm::log(squared))
            };
            let found: Vec<usize> = (0..of_block.len()).into_par_iter().map(bin_of).collect();
            for (&row, bin) in of_block.iter().zip(found) {
                rows.count(cells[row] * bins.count as usize + bin, 1);
            }
            Ok(())
        })?;
    }
    Ok(Tally::values([rows]))
}
