//! Dominance: a cell of ten patients in which one has 300 of 320 images is that one patient's. A minimum of
//! patients doesn't see it.
//!
//! The rule is the (n, k) rule of statistical disclosure control with n = 1 (Hundepool and others,
//! Statistical Disclosure Control, 2012, chapter 4; sdcTable's `primarySuppression(type = "nk")`; ACRO's
//! `agg_nk`): a cell is safe where its largest patient has at most the share k of its rows, by default one
//! half. It departs from ACRO, whose `safe_nk_n` is 2 with a larger k: a patient with nearly k of a cell passes
//! that.
//!
//! Why a half. Let a sum be T and the largest patient's part m. Whoever knows nothing else and takes T for
//! the patient's own part errs by T - m; where m <= T / 2 that is at least m, so the patient's part isn't
//! known to within its own size. It also bounds the effective number of patients (Kish 1965: (sum m)^2 / sum
//! m^2) from below: with all m <= T / 2, sum m^2 <= (T / 2) sum m = T^2 / 2, so it is at least 2. A rule on
//! that number alone doesn't do the same below 4: a number of 2.5, half of a minimum of 5, lets one patient
//! have sqrt(1 / 2.5) = 63 % of the rows, since from m^2 <= sum m^2 follows only m / T <= sqrt(1 / number).
//! So the share itself is judged, where it is known: at the site, exactly, on its own rows.
//!
//! Judged are cells with at least the minimum of patients; the other rules see to smaller ones. Of the whole
//! cohort, of a class and of a mark the site's own sums tell by every question, so the site refuses. A level
//! of a subgroup and a class in it are lines of a table: the site says which of them are dominated
//! ([`dominated_levels`]), and the report withholds those that are, as it does with small cells. A cell over
//! several sites passes where it passes at each: m is at most half of its site's rows, and so of all.
//!
//! What it doesn't cover: cells by fold, where a patient of just under half of all rows may have most of a
//! fold's; two columns crossed (levels at a site, intersections); weights of rows; what the coordinator sees
//! of a level while sums are in the open; and a group of patients that knows its own rows, such as a family.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wardround_core::class_set::ClassSet;

use crate::policy::{MinimumPatients, Share};

/// The cell in which one patient has the largest share of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Largest {
    /// The patient's rows.
    pub of: u64,
    /// All rows of the cell; 0 where there is no cell to judge.
    pub all: u64,
}

/// A line of a table by subgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LevelCell {
    /// The subgroup column, in the study's order.
    pub column: u8,
    /// Its level.
    pub level: u8,
    /// Which of its rows.
    pub rows: RowsOfLevel,
}

/// Which rows of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowsOfLevel {
    /// All.
    All,
    /// Those of a class.
    Class(u8),
}

impl Largest {
    /// No cell.
    pub const NONE: Self = Self { of: 0, all: 0 };

    /// The worst of the whole cohort and each class, of rows with their patient and classes.
    pub fn of_cohort<P: Ord>(
        rows: impl Iterator<Item = (P, ClassSet)>,
        minimum: MinimumPatients,
    ) -> Self {
        let cells = rows.flat_map(|(patient, classes)| {
            // Any number of cells of one patient.
            let patient = std::rc::Rc::new(patient);
            let cells: Vec<Option<u8>> =
                std::iter::once(None).chain(classes.iter().map(Some)).collect();
            cells.into_iter().map(move |cell| (cell, patient.clone()))
        });
        largest(cells, minimum).into_values().fold(Self::NONE, Self::larger)
    }

    /// Whether one patient has more than a share of the rows.
    pub fn is_beyond(self, share: Share) -> bool {
        // Both are far below 2^53.
        self.of as f64 > share.get() * self.all as f64
    }

    fn larger(self, other: Self) -> Self {
        // Shares as fractions: a / b < c / d where a d < c b.
        let [ours, theirs] = [(self.of, other.all), (other.of, self.all)]
            .map(|(a, d)| u128::from(a) * u128::from(d));
        if self.all == 0 || (other.all > 0 && ours < theirs) { other } else { self }
    }
}

/// Levels, and classes in them, in which one patient has more than a share of the rows; ascending. Of rows with their
/// patient, classes and level of each column.
pub fn dominated_levels<P: Ord + Clone>(
    rows: impl Iterator<Item = (P, ClassSet, Vec<u8>)>,
    minimum: MinimumPatients,
    share: Share,
) -> Vec<LevelCell> {
    let cells = rows.flat_map(|(patient, classes, levels)| {
        let of_level = move |(column, level): (u8, u8)| {
            let all = std::iter::once(RowsOfLevel::All);
            let rows = all.chain(classes.iter().map(RowsOfLevel::Class));
            rows.map(move |rows| LevelCell { column, level, rows })
        };
        let cells: Vec<LevelCell> = (0..).zip(levels).flat_map(of_level).collect();
        cells.into_iter().map(move |cell| (cell, patient.clone()))
    });
    let all = largest(cells, minimum).into_iter();
    all.filter(|(_, largest)| largest.is_beyond(share)).map(|(cell, _)| cell).collect()
}

/// The largest patient of each cell that has the minimum of them; an entry of `rows` is a row in a cell.
fn largest<C: Ord, P: Ord>(
    rows: impl Iterator<Item = (C, P)>,
    minimum: MinimumPatients,
) -> BTreeMap<C, Largest> {
    let mut cells: BTreeMap<C, BTreeMap<P, u64>> = BTreeMap::new();
    for (cell, patient) in rows {
        *cells.entry(cell).or_default().entry(patient).or_default() += 1;
    }
    let enough = |(_, patients): &(C, BTreeMap<P, u64>)| patients.len() as u64 >= minimum.get();
    let of = |patients: BTreeMap<P, u64>| Largest {
        of: patients.values().copied().max().unwrap_or(0),
        all: patients.values().sum(),
    };
    cells.into_iter().filter(enough).map(|(cell, patients)| (cell, of(patients))).collect()
}

#[cfg(test)]
mod tests;
