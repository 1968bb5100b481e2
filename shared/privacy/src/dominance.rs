//! Dominance: a cell of ten patients in which one has 300 of 320 images is that one patient's. A minimum of
//! patients doesn't see it.
//!
//! The rule is the (n, k) rule of statistical disclosure control with n = 1 (Hundepool and others, Statistical
//! Disclosure Control, 2012, section 4.2.2; sdcTable's `primarySuppression(type = "nk")`; ACRO's
//! `check_nk`): a cell is safe where its largest patient has at most the share k of its rows, by default one half. It departs
//! from those by n = 1 where ACRO takes n = 2 and k = 0.9, which a patient with 0.89 of a cell passes.
//!
//! Why a half. Let a sum be T and the largest patient's part m. Whoever knows nothing else and takes T for the
//! patient's own part errs by T - m; where m <= T / 2 that is at least m, so the patient's part isn't known to within its own size.
//! It also bounds the effective number of patients (Kish 1965: (sum m)^2 / sum m^2) from below: with all m <= T / 2, sum m^2 <=
//! (T / 2) sum m = T^2 / 2, so it is at least 2. A rule on that number alone doesn't do the same below 4: a number of 2.5, half of
//! a minimum of 5, lets one patient have sqrt(1 / 2.5) = 63 % of the rows, since from m^2 <= sum m^2 follows
//! only m / T <= sqrt(1 / number). So the share itself is judged, where it is known: at the site, exactly, on its own rows.
//!
//! Judged are the cells that the site's own sums show: the whole cohort and each class, which every question is about; and each level of a
//! subgroup with each class in it, where a question is split by subgroups and rows are judged (of patients that are judged as
//! a whole each counts once). Cells below the minimum of patients are left to the other rules, which don't show them.
//! A cell over several sites passes where it passes at each: m is at most half of its site's rows, and so of all.
//!
//! What it doesn't cover: cells by fold, where a patient of just under half of all rows may have most of a fold's;
//! two subgroup columns crossed; weights of rows; and a group of patients that knows its own rows, such as a family.

use std::collections::BTreeMap;

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

/// The largest shares of a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dominance {
    /// Of the whole cohort and each class.
    pub cohort: Largest,
    /// Of each level of a subgroup, and each class in it.
    pub levels: Largest,
}

impl Largest {
    /// No cell.
    pub const NONE: Self = Self { of: 0, all: 0 };

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

impl Dominance {
    /// Nothing to judge.
    pub const NONE: Self = Self { cohort: Largest::NONE, levels: Largest::NONE };

    /// Of rows with their patient, classes and levels; of cells with at least `minimum` patients.
    pub fn of<P: Ord>(
        rows: impl Iterator<Item = (P, ClassSet, Vec<u8>)>,
        minimum: MinimumPatients,
    ) -> Self {
        /// A column with its level, if any, and a class, if any.
        type Cell = (Option<(usize, u8)>, Option<u8>);
        let mut numbers: BTreeMap<P, usize> = BTreeMap::new();
        let mut cells: BTreeMap<Cell, BTreeMap<usize, u64>> = BTreeMap::new();
        for (patient, classes, levels) in rows {
            let next = numbers.len();
            let patient = *numbers.entry(patient).or_insert(next);
            let places = std::iter::once(None).chain(levels.into_iter().enumerate().map(Some));
            for place in places {
                for class in std::iter::once(None).chain(classes.iter().map(Some)) {
                    *cells.entry((place, class)).or_default().entry(patient).or_default() += 1;
                }
            }
        }
        let mut found = Self::NONE;
        for ((place, _), patients) in cells {
            if (patients.len() as u64) < minimum.get() {
                continue;
            }
            let of = patients.values().copied().max().unwrap_or(0);
            let cell = Largest { of, all: patients.values().sum() };
            let slot = if place.is_none() { &mut found.cohort } else { &mut found.levels };
            *slot = slot.larger(cell);
        }
        found
    }
}

#[cfg(test)]
mod tests;
