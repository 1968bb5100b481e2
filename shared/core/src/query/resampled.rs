//! What [`super::Ask::Resampled`] asks and answers: cells of score lists under draws of the patients.

use serde::{Deserialize, Serialize};

use super::{Bins, CALIBRATION_BINS, Column, DecodeError, MOST_REPLICATES, Query, ScoreList};
use crate::sum::BlockSpec;

/// Groups of bins of each list, at most.
pub const RESAMPLED_GROUPS: usize = 32;

/// Numbers per list, replicate and cell.
pub const RESAMPLED_NUMBERS: usize = 2 * RESAMPLED_GROUPS + 2 + 2 + 3 * CALIBRATION_BINS;

/// What [`super::Ask::Resampled`] with draws of the patients is called in logs and ledgers.
pub const RESAMPLED_PATIENTS: &str = "resampled patients";

/// What is drawn for a replicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Draws {
    /// Patients with replacement: each counts as often as a Poisson draw of mean 1 says that is keyed by the patient, so that all
    /// lists and cells of a study see the same draws.
    Patients,
    /// Whose levels of a subgroup column a patient has: those of another one, or its own, of the same site with rows of the same
    /// sides of the list's class. Where patients have several rows, row `k` takes the level of the other's row `k mod n`.
    Levels(u8),
    /// Likewise which levels of all subgroup columns of the split a patient has, together.
    Cells,
}

/// Where a list's bins are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCuts {
    /// The first bin of every group but the first, ascending.
    pub groups: Vec<u16>,
    /// Per part of the list, the first bin that is called positive.
    pub thresholds: Vec<u16>,
}

impl ListCuts {
    /// The group of a bin.
    pub fn group(&self, bin: usize) -> usize {
        self.groups.partition_point(|&first| usize::from(first) <= bin)
    }
}

/// The blocks of [`super::Ask::Resampled`]'s answer.
pub(super) fn layout(
    query: &Query,
    lists: usize,
    split: &[Column],
    replicates: [u16; 2],
    bits: u8,
) -> Vec<BlockSpec> {
    let r = usize::from(replicates[1].saturating_sub(replicates[0]));
    let cells = query.cells(split);
    let shape = |more: &[usize]| [&[lists, r, cells], more].concat();
    vec![
        BlockSpec::count("positives", &shape(&[RESAMPLED_GROUPS])),
        BlockSpec::count("negatives", &shape(&[RESAMPLED_GROUPS])),
        BlockSpec::count("called", &shape(&[2])),
        BlockSpec::fraction("brier", &shape(&[]), bits),
        BlockSpec::fraction("log_loss", &shape(&[]), bits),
        BlockSpec::count("calibration_rows", &shape(&[CALIBRATION_BINS, 2])),
        BlockSpec::fraction("calibration_scores", &shape(&[CALIBRATION_BINS]), bits),
    ]
}

impl Query {
    /// Whether cuts fit their lists, and draws and replicates the query.
    pub(super) fn check_resampled(
        &self,
        (lists, cuts): (&[ScoreList], &[ListCuts]),
        split: &[Column],
        bins: &Bins,
        draws: Draws,
        replicates: [u16; 2],
    ) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        if lists.len() != cuts.len() {
            return wrong(format!("cuts of {} lists, expected {}", cuts.len(), lists.len()));
        }
        for (list, ListCuts { groups, thresholds }) in lists.iter().zip(cuts) {
            let inside = |bin: &u16| (1..bins.count).contains(&u32::from(*bin));
            if groups.len() >= RESAMPLED_GROUPS
                || !groups.is_sorted_by(|a, b| a < b)
                || !groups.iter().all(inside)
            {
                return wrong(format!("{} cuts between groups of bins", groups.len()));
            }
            let inside = |bin: &u16| u32::from(*bin) < bins.count;
            if thresholds.len() != list.parts.len() || !thresholds.iter().all(inside) {
                let (got, expected) = (thresholds.len(), list.parts.len());
                return wrong(format!("{got} thresholds of {expected} parts"));
            }
        }
        let [first, end] = replicates;
        if first >= end || end > MOST_REPLICATES + 1 {
            return wrong(format!("replicates {first} to {end}"));
        }
        match draws {
            Draws::Patients => Ok(()),
            Draws::Levels(column) if split.contains(&Column::Subgroup(column)) => Ok(()),
            Draws::Cells if split.iter().any(|one| matches!(one, Column::Subgroup(_))) => Ok(()),
            Draws::Cells => wrong("no cells of subgroup columns".to_owned()),
            Draws::Levels(column) => wrong(format!("no cells of subgroup column {column}")),
        }
    }
}
