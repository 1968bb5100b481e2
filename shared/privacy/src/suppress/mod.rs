//! Suppression: what of a table, a rate or a curve may be shown.
//!
//! Everything counts patients. A number below the minimum isn't shown, and neither is one from
//! which such a number follows:
//!
//! - [`tables()`]: counts of sites x levels with their margins (and a list as a table of one
//!   column); secondary suppression until no hidden count is known to within the minimum.
//! - [`rate`]: a rate with its n is a count, so numerator and complement both obey the minimum;
//!   0 % and 100 % are cells.
//! - [`slices`]: a site or subgroup is judged only with enough patients of each class, and never so
//!   that the only slice that isn't judged follows from all less the others.
//! - [`curve_steps`]: a curve goes in steps of at least the minimum in each class.
//!
//! What it doesn't cover: nested subgroups and successive reports, whose differences are counts too.
//!
//! Terms and method after Hundepool et al., *Statistical Disclosure Control* (2012), chapter 4.

mod protect;
mod tables;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use tables::{ShownTable, list, tables};

use crate::policy::MinimumPatients;

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
    /// Too few patients of a class to judge the slice, or such a slice would follow from it.
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

/// Which slices of a column (sites, or levels of a subgroup) are judged, given each one's patients
/// by class. The figures of all patients are shown beside them, so the slices that aren't judged
/// must hold enough patients of each class *together* and be at least two, else the smallest judged
/// one joins them. Slices without any patient are named as empty.
pub fn slices(patients_by_class: &[Vec<u64>], minimum: MinimumPatients) -> Vec<Shown<()>> {
    let enough = |counts: &[u64]| counts.iter().all(|&n| n >= minimum.get());
    let size = |at: &usize| patients_by_class[*at].iter().sum::<u64>();
    let (empty, held): (Vec<usize>, Vec<usize>) =
        (0..patients_by_class.len()).partition(|at| size(at) == 0);
    let (mut judged, mut hidden): (Vec<usize>, Vec<usize>) =
        held.into_iter().partition(|&at| enough(&patients_by_class[at]));
    judged.sort_by_key(|at| std::cmp::Reverse(size(at)));
    while !hidden.is_empty() && !judged.is_empty() {
        let classes = patients_by_class[hidden[0]].len();
        let together: Vec<u64> = (0..classes)
            .map(|class| hidden.iter().map(|&at| patients_by_class[at][class]).sum())
            .collect();
        if hidden.len() >= 2 && enough(&together) {
            break;
        }
        hidden.extend(judged.pop());
    }
    let mut shown = vec![Shown::Value(()); patients_by_class.len()];
    hidden.iter().for_each(|&at| shown[at] = Shown::Suppressed(Reason::SmallSlice));
    empty.iter().for_each(|&at| shown[at] = Shown::Suppressed(Reason::Empty));
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
        let judge = |counts: &[[u64; 2]]| {
            let counts: Vec<Vec<u64>> = counts.iter().map(|c| c.to_vec()).collect();
            state(&slices(&counts, ten))
        };
        assert_eq!(judge(&[[50, 50], [30, 30], [0, 0]]), "vve");
        assert_eq!(judge(&[[50, 50], [30, 30], [90, 9]]), "vss");
        assert_eq!(judge(&[[50, 50], [90, 5], [90, 5]]), "vss");
        // Together too small: the smallest judged one joins.
        assert_eq!(judge(&[[50, 50], [30, 30], [4, 4], [4, 4]]), "vsss");
        assert_eq!(judge(&[[50, 50], [1, 1]]), "ss");
        assert_eq!(judge(&[[1, 1]]), "s");
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
