//! Suppression: what of a table, a rate or a curve may be shown.
//!
//! Everything counts patients. A number below the minimum isn't shown, and neither is one from
//! which such a number follows:
//!
//! - [`cohort()`]: counts of sites, of levels and of sites by levels, as totals and by class.
//! - [`slices`]: which sites or levels are judged by themselves.
//! - [`crossed()`]: which cells of two columns are: levels at a site, intersections of subgroup columns.
//! - [`calls()`]: right and wrong calls; a rate with its n is a count, so numerator and complement
//!   both obey the minimum; 0 % and 100 % are cells. [`rate`] is the same for one rate that stands
//!   in no table.
//! - [`curve_steps`]: a curve goes in steps of at least the minimum in each class.
//!
//! # What an attacker can work out
//!
//! Whoever holds a report knows every shown number and these equations, and that no count is below
//! 0:
//!
//! 1. Counts add up over the sites and over the levels of every column; classes add up to totals.
//!    A site's total is public anyway (the numbers it holds, divided by the features), so it is
//!    shown wherever it reaches the minimum, and only class counts are hidden around a small class.
//! 2. What is an average or a sum over patients (Brier score, calls, and the AUC within sites with
//!    its pairs) gives the sum of the hidden slices' figures as that of all less the shown ones, in
//!    the column of sites and in every subgroup column. So hidden slices are never fewer than two
//!    and together large enough to be judged.
//! 3. Calls of a class add up to its patients, over all and in every shown slice.
//! 4. A figure that is computed from class counts alone tells hidden ones: the AUC of a score that
//!    knows only the site. It must be computed from what is shown.
//! 5. An AUC is a number of won half pairs by the number of pairs. Where the number of pairs hangs
//!    on hidden counts, enough digits tell which counts leave a whole number. It must be rounded to
//!    more than one half pair.
//!
//! What is hidden is safe when 1 to 3 leave it an interval at least the minimum wide; the modules
//! prove it by exhibiting both ends. A left-out site's figures come from other models than the
//! others', so there is no sum that they are a part of: they need only its own counts.
//!
//! What it doesn't cover: successive reports, whose differences are counts too (sites compare their cohorts,
//! [`crate::successive`]; a study with one site less is that site's consent, and `wardround audit history` lists
//! every study on the same sites and target, and who asked for it); and two curves of one cell laid over each other.
//!
//! Terms and method after Hundepool et al., *Statistical Disclosure Control* (2012), chapter 4.

mod calls;
mod choose;
mod cohort;
mod crossed;
mod interior;
mod network;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use calls::{Calls, CallsOf, NothingLess, calls};
pub use cohort::{CellCounts, CellMask, CohortCounts, CohortMask, ColumnCounts, cohort};
pub use crossed::{CrossedCounts, CrossedTable, crossed};

use crate::policy::MinimumPatients;
use choose::hide_until;

/// Something that is shown, or the reason why it isn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown<T> {
    /// It.
    Value(T),
    /// Why not.
    Suppressed(Reason),
}

impl<T> Shown<T> {
    /// The value, if it is shown.
    pub fn value(self) -> Option<T> {
        match self {
            Shown::Value(value) => Some(value),
            Shown::Suppressed(_) => None,
        }
    }

    /// Another value with the same state.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Shown<U> {
        match self {
            Shown::Value(value) => Shown::Value(change(value)),
            Shown::Suppressed(reason) => Shown::Suppressed(reason),
        }
    }
}

/// Why something isn't shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It counts fewer patients than the minimum, or one that does would follow from it. Which of
    /// the two isn't said: it would narrow down the small one.
    SmallCell,
    /// Too few patients of a class to judge the slice, or one of them may have most of its rows, or such a slice would
    /// follow from it.
    SmallSlice,
    /// Nobody is in it, at any site.
    Empty,
    /// The site's owner doesn't allow it.
    RefusedBySite,
}

/// A rate `numerator / of` in patients: shown when numerator and complement both reach the minimum.
pub fn rate(numerator: u64, of: u64, minimum: MinimumPatients) -> Shown<(u64, u64)> {
    if of == 0 {
        return Shown::Suppressed(Reason::Empty);
    }
    let enough = |count: u64| count >= minimum.get();
    match of.checked_sub(numerator) {
        Some(complement) if enough(numerator) && enough(complement) => {
            Shown::Value((numerator, of))
        }
        _ => Shown::Suppressed(Reason::SmallCell),
    }
}

/// A site, or a level of a subgroup, that may be judged by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Patients of each class.
    pub by_class: Vec<u64>,
    /// What is decided already: its counts may be hidden, or its owner may refuse.
    pub given: Shown<()>,
}

/// Which slices of a column are judged. The figures of all patients are shown beside them, so the
/// slices that aren't judged must be at least two and hold enough patients of each class together;
/// beside one that its owner refuses, the others must hold enough, lest they be too few to hide it.
/// The smallest judged one that is enough joins them. Slices without any patient are named as empty.
pub fn slices(slices: &[Slice], minimum: MinimumPatients) -> Vec<Shown<()>> {
    let refused = Shown::Suppressed(Reason::RefusedBySite);
    let sizes: Vec<u64> = slices.iter().map(|slice| slice.by_class.iter().sum()).collect();
    let held: Vec<usize> = (0..slices.len()).filter(|&at| sizes[at] > 0).collect();
    let small = |slice: &Slice| slice.by_class.iter().any(|&n| n < minimum.get());
    let mut hidden: Vec<bool> =
        held.iter().map(|&at| slices[at].given != Shown::Value(()) || small(&slices[at])).collect();
    let costs: Vec<u64> = held.iter().map(|&at| sizes[at]).collect();
    let enough = |members: &[&Slice]| {
        let classes = members.first().map_or(0, |slice| slice.by_class.len());
        let together =
            |class: usize| members.iter().map(|slice| slice.by_class[class]).sum::<u64>();
        !members.is_empty() && (0..classes).all(|class| together(class) >= minimum.get())
    };
    // Without success all are hidden: there is nothing left that the others could be told from.
    hide_until(&mut hidden, &costs, |hidden| {
        let members: Vec<&Slice> = held
            .iter()
            .zip(hidden)
            .filter(|(_, hidden)| **hidden)
            .map(|(&at, _)| &slices[at])
            .collect();
        let without = |one: usize| -> Vec<&Slice> {
            members.iter().enumerate().filter(|(at, _)| *at != one).map(|(_, s)| *s).collect()
        };
        let refusals = (0..members.len()).filter(|&at| members[at].given == refused);
        members.is_empty()
            || members.len() > 1 && enough(&members) && { refusals }.all(|at| enough(&without(at)))
    });
    let mut shown = vec![Shown::Suppressed(Reason::Empty); slices.len()];
    for (&at, hidden) in held.iter().zip(hidden) {
        shown[at] = match (hidden, slices[at].given == refused) {
            (false, _) => Shown::Value(()),
            (true, true) => refused,
            (true, false) => Shown::Suppressed(Reason::SmallSlice),
        };
    }
    shown
}

/// Ranges of neighbouring bins that a curve may step over: each holds at least the minimum of each
/// class, `[negatives, positives]` by bin. What is left at the end joins the last step. No step at
/// all when a class has fewer than the minimum.
pub fn curve_steps(bins: &[[u64; 2]], minimum: MinimumPatients) -> Vec<Range<usize>> {
    let mut steps: Vec<Range<usize>> = Vec::new();
    let (mut start, mut held) = (0, [0u64; 2]);
    for (at, bin) in bins.iter().enumerate() {
        held = [held[0] + bin[0], held[1] + bin[1]];
        if held.iter().all(|&n| n >= minimum.get()) {
            steps.push(start..at + 1);
            (start, held) = (at + 1, [0; 2]);
        }
    }
    if let Some(last) = steps.last_mut() {
        last.end = bins.len();
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIVE: MinimumPatients = MinimumPatients::new(5);

    #[test]
    fn nothing_and_everything_are_cells() {
        assert_eq!(rate(5, 10, FIVE), Shown::Value((5, 10)));
        for numerator in [0, 4, 6, 10, 11] {
            assert_eq!(rate(numerator, 10, FIVE), Shown::Suppressed(Reason::SmallCell));
        }
        assert_eq!(rate(0, 0, FIVE), Shown::Suppressed(Reason::Empty));
    }

    #[test]
    fn shown_things_say_their_state_in_json() {
        let json = serde_json::to_string(&[rate(5, 10, FIVE), rate(1, 10, FIVE)]).unwrap();
        assert_eq!(json, r#"[{"value":[5,10]},{"suppressed":"small-cell"}]"#);
        assert_eq!(rate(5, 10, FIVE).map(|(k, n)| k * n).value(), Some(50));
    }

    #[test]
    fn the_only_small_slice_takes_another_with_it() {
        let state = |slices: &[Shown<()>]| {
            slices
                .iter()
                .map(|s| match s {
                    Shown::Value(()) => 'v',
                    Shown::Suppressed(Reason::Empty) => 'e',
                    Shown::Suppressed(_) => 's',
                })
                .collect::<String>()
        };
        let ten = MinimumPatients::new(10);
        let judge = |counts: &[[u64; 2]], refused: Option<usize>| {
            let of = |(at, by_class): (usize, &[u64; 2])| Slice {
                by_class: by_class.to_vec(),
                given: match refused == Some(at) {
                    true => Shown::Suppressed(Reason::RefusedBySite),
                    false => Shown::Value(()),
                },
            };
            state(&slices(&counts.iter().enumerate().map(of).collect::<Vec<_>>(), ten))
        };
        assert_eq!(judge(&[[50, 50], [30, 30], [0, 0]], None), "vve");
        assert_eq!(judge(&[[50, 50], [30, 30], [90, 9]], None), "vss");
        assert_eq!(judge(&[[50, 50], [90, 5], [90, 5]], None), "vss");
        // Together too small: the smallest judged one joins.
        assert_eq!(judge(&[[50, 50], [30, 30], [4, 4], [4, 4]], None), "vsss");
        assert_eq!(judge(&[[50, 50], [1, 1]], None), "ss");
        assert_eq!(judge(&[[1, 1]], None), "s");
        // Heart disease at four sites: the small one and the smallest that it can hide behind.
        let heart = [[164, 139], [163, 98], [3, 43], [29, 101]];
        assert_eq!(judge(&heart, None), "vvss");
        // Melanoma at four sites, then by sex: all sites; of the sexes the unknown and the smaller.
        assert_eq!(judge(&[[1062, 180], [1092, 264], [3144, 19], [187, 35]], None), "vvvv");
        assert_eq!(judge(&[[2563, 194], [2886, 304], [36, 0]], None), "svs");
        // Three patients don't hide a site whose owner refuses.
        assert_eq!(judge(&heart, Some(0)), "svss");
        assert_eq!(judge(&[[50, 50], [30, 30], [2, 9]], Some(0)), "sss");
    }

    proptest! {
        #[test]
        fn every_step_of_a_curve_holds_the_minimum(
            bins in prop::collection::vec(prop::array::uniform2(0u64..6), 0..60),
            minimum in 1u32..9,
        ) {
            let minimum = MinimumPatients::new(minimum);
            let steps = curve_steps(&bins, minimum);
            let mut next = 0;
            for step in &steps {
                prop_assert_eq!(step.start, next);
                next = step.end;
                for class in 0..2 {
                    let held: u64 = bins[step.clone()].iter().map(|bin| bin[class]).sum();
                    prop_assert!(held >= minimum.get());
                }
            }
            let enough = (0..2).all(|c| bins.iter().map(|b| b[c]).sum::<u64>() >= minimum.get());
            prop_assert_eq!(!steps.is_empty(), enough);
            prop_assert!(steps.is_empty() || next == bins.len());
        }
    }
}
