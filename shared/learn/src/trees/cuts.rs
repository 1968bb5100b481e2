//! Bins of a training set: the grid's counts, merged into at most so many of about the same number of
//! rows. Whole numbers throughout, so that they are the same for every split into sites.

use std::sync::Arc;

use wardround_core::query::{Ask, Column, ColumnCuts, Cuts, Frame, GRID_STEPS, RowSet, SiteSet};

use crate::cohort::Cohort;
use crate::study::StudyError;
use crate::study::asker::{Asker, slices};
use crate::study::profile;

/// Counts of the grid's steps, by site and fold of every repeat.
pub(crate) struct GridCounts {
    folds: usize,
    classes: usize,
    features: usize,
    /// Sites are told apart only where some are left out.
    sites: usize,
    repeats: Vec<RepeatCounts>,
}

struct RepeatCounts {
    /// By cell and class.
    rows: Vec<i64>,
    /// By cell.
    all_rows: Vec<u64>,
    /// By feature, cell and step.
    steps: Vec<Vec<u32>>,
}

/// The bins of a training set, and how many rows it has of each class.
#[derive(Debug, Clone)]
pub(crate) struct Binned {
    /// One per feature.
    pub cuts: Vec<ColumnCuts>,
    /// By class.
    pub rows_by_class: Vec<u64>,
    /// Of all classes.
    pub rows: u64,
}

/// Asks for the counts.
pub(crate) async fn grid_counts<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    by_site: bool,
) -> Result<GridCounts, StudyError> {
    let folds = usize::from(asker.folds.folds);
    let sites = if by_site { asker.sites.len() } else { 1 };
    let features = asker.schema.features as usize;
    let classes = usize::from(asker.schema.classes);
    let mut repeats = Vec::new();
    for repeat in 0..asker.folds.repeats {
        let fold = Column::Fold { repeat };
        let split = if by_site { vec![Column::Site, fold] } else { vec![fold] };
        let cells = sites * folds;
        let mut counts = RepeatCounts {
            rows: Vec::new(),
            all_rows: Vec::new(),
            steps: Vec::with_capacity(features),
        };
        for slice in slices(features, (cells * GRID_STEPS) as u64) {
            let columns = [slice.start as u32, slice.end as u32];
            let (frame, split) = (frame.clone(), split.clone());
            let answer = asker.ask(Ask::Grid { frame, split, columns }).await?;
            counts.rows = answer.counts("rows_by_class").to_vec();
            counts.all_rows = profile::rows(asker.schema, &answer)?;
            let steps = answer.counts("steps");
            let width = slice.len() * GRID_STEPS;
            for column in 0..slice.len() {
                let of_cell =
                    |cell: usize| &steps[cell * width + column * GRID_STEPS..][..GRID_STEPS];
                let of_column = (0..cells).flat_map(of_cell);
                counts.steps.push(of_column.map(|&n| u32::try_from(n).unwrap_or(0)).collect());
            }
        }
        repeats.push(counts);
    }
    Ok(GridCounts { folds, classes, features, sites, repeats })
}

impl GridCounts {
    /// The bins of a training set, at most `bins` per column.
    pub fn binned(&self, rows: &RowSet, bins: u8) -> Binned {
        let counts = &self.repeats[usize::from(rows.repeat)];
        let cells: Vec<usize> = (0..self.sites)
            .filter(|&site| {
                self.sites == 1 && rows.sites == SiteSet::All || rows.sites.contains(site as u16)
            })
            .flat_map(|site| {
                rows.folds.iter().map(move |fold| site * self.folds + usize::from(fold))
            })
            .collect();
        let rows_by_class: Vec<u64> = (0..self.classes)
            .map(|class| {
                let of_cell = |cell: &usize| counts.rows[cell * self.classes + class].max(0) as u64;
                cells.iter().map(of_cell).sum()
            })
            .collect();
        let of_cells = |rows: &[u64]| cells.iter().map(|&cell| rows[cell]).sum();
        let total: u64 = of_cells(&counts.all_rows);
        let cuts = (0..self.features)
            .map(|column| {
                let mut steps = vec![0u64; GRID_STEPS];
                for &cell in &cells {
                    let of_cell = &counts.steps[column][cell * GRID_STEPS..][..GRID_STEPS];
                    steps.iter_mut().zip(of_cell).for_each(|(sum, n)| *sum += u64::from(*n));
                }
                let present: u64 = steps.iter().sum();
                let missing = present < total;
                ColumnCuts { column: column as u32, steps: merge(&steps, bins), missing }
            })
            .collect();
        Binned { cuts, rows_by_class, rows: total }
    }
}

impl Binned {
    /// The bins of some columns, which ascend.
    pub fn of(&self, columns: &[u32]) -> Cuts {
        Cuts(columns.iter().map(|&column| self.cuts[column as usize].clone()).collect())
    }
}

/// Cuts that leave at most `bins` bins of about the same number of rows. A cut lies half-way between the
/// occupied steps on its two sides.
fn merge(steps: &[u64], bins: u8) -> Vec<u16> {
    let occupied: Vec<(usize, u64)> =
        steps.iter().copied().enumerate().filter(|(_, n)| *n > 0).collect();
    let bins = u64::from(bins);
    let mut cuts = Vec::new();
    let (mut rest, mut bins_left, mut in_bin) =
        (occupied.iter().map(|(_, n)| n).sum::<u64>(), bins, 0u64);
    for (at, &(step, n)) in occupied.iter().enumerate() {
        in_bin += n;
        let Some(&(next, of_next)) = occupied.get(at + 1) else { break };
        let steps_left = (occupied.len() - at - 1) as u64;
        // As many steps as bins: each its own. Else a bin is full once it has its part of what is left,
        // or would have more than its part and half of the next step.
        let full =
            steps_left < bins_left || (2 * in_bin + of_next).saturating_mul(bins_left) >= 2 * rest;
        if full && bins_left > 1 {
            cuts.push((step + next).div_ceil(2) as u16);
            rest -= in_bin;
            bins_left -= 1;
            in_bin = 0;
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_keep_a_bin_each() {
        let mut steps = vec![0; GRID_STEPS];
        for at in [0, 10, 11, 500, 1023] {
            steps[at] = 7;
        }
        assert_eq!(merge(&steps, 64), [5, 11, 256, 762]);
        assert_eq!(merge(&steps, 5), [5, 11, 256, 762]);
        assert_eq!(merge(&steps, 2).len(), 1);
        assert!(merge(&vec![0; GRID_STEPS], 64).is_empty());
        steps.fill(0);
        steps[3] = 9;
        assert!(merge(&steps, 64).is_empty());
    }

    #[test]
    fn many_values_make_even_bins() {
        let steps: Vec<u64> = (0..GRID_STEPS as u64).map(|at| 1 + at % 7).collect();
        let cuts = merge(&steps, 64);
        assert_eq!(cuts.len(), 63);
        let total: u64 = steps.iter().sum();
        let ends = cuts.iter().map(|&cut| usize::from(cut)).chain([GRID_STEPS]);
        let mut start = 0;
        for end in ends {
            let rows: u64 = steps[start..end].iter().sum();
            assert!(rows.abs_diff(total / 64) <= 8, "{rows} of {total}");
            start = end;
        }
    }

    #[test]
    fn one_heavy_value_leaves_bins_for_the_others() {
        let mut steps = vec![1; GRID_STEPS];
        steps[400] = 100_000;
        let cuts = merge(&steps, 16);
        assert!(cuts.contains(&400) || cuts.contains(&401));
        assert!(cuts.len() >= 3, "{cuts:?}");
    }

    #[test]
    fn lines_of_the_grid_are_coarse_numbers() {
        let frame = Frame { center: vec![123.4, -0.02], scale: vec![9.1, 0.0003] };
        let grid = frame.grid();
        assert_eq!(grid.scale, [8.0, 0.000_244_140_625]);
        assert_eq!(grid.center[0], 120.0);
        // A row more or less moves the frame, and not the grid.
        let moved = Frame { center: vec![123.9, -0.020_01], scale: vec![9.3, 0.000_301] };
        assert_eq!(moved.grid(), grid);
    }
}
