//! Which slices' calls of one class are shown: right and wrong ones, in patients.
//!
//! Published: the calls of all patients, and of every slice that shows its own. An attacker knows a
//! slice's patients of the class too, unless they are hidden, so right and wrong calls add up.
//! Of a hidden slice with `a` right and `b` wrong calls, where all hidden ones have `A` and `B`,
//! `a` then lies from `a - min(a, B - b)` to `a + min(b, A - a)`: that interval is exact. Slices
//! whose patients are hidden aren't bound by them: any share of their common calls may be theirs.

use super::choose::hide_until;
use crate::policy::MinimumPatients;

/// A slice's calls of one class, in patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// Right calls, wrong calls.
    pub counts: [u64; 2],
    /// What is known of the slice already.
    pub slice: CallsOf,
}

/// What is shown of a slice beside its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallsOf {
    /// It is judged.
    Judged,
    /// Its figures are withheld, so its calls are too; its patients are shown.
    Withheld,
    /// Its figures and its patients are withheld.
    Unknown,
}

/// Which slices' calls are hidden; all, and the calls of all patients with them, as `Err` when
/// nothing less protects.
///
/// # Errors
/// [`NothingLess`].
pub fn calls(slices: &[Calls], minimum: MinimumPatients) -> Result<Vec<bool>, NothingLess> {
    let enough = minimum.get();
    let total = |side: usize| slices.iter().map(|slice| slice.counts[side]).sum::<u64>();
    if (0..2).any(|side| total(side) < enough) {
        return Err(NothingLess);
    }
    let mut hidden: Vec<bool> = slices
        .iter()
        .map(|slice| {
            let [right, wrong] = slice.counts;
            // Nobody of the class: nothing to hide, unless that itself is hidden.
            let small = right + wrong > 0 && right.min(wrong) < enough;
            small || slice.slice != CallsOf::Judged
        })
        .collect();
    let costs: Vec<u64> = slices.iter().map(|slice| slice.counts.iter().sum()).collect();
    // A slice without the class hides nothing, so it can't help.
    let costs: Vec<u64> = costs.iter().map(|&n| if n == 0 { u64::MAX } else { n }).collect();
    if hide_until(&mut hidden, &costs, |hidden| safe(slices, hidden, enough)) {
        Ok(hidden)
    } else {
        Err(NothingLess)
    }
}

/// Nothing less than hiding everything protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only hiding all of the table protects it")]
pub struct NothingLess;

fn safe(slices: &[Calls], hidden: &[bool], enough: u64) -> bool {
    let held = || slices.iter().zip(hidden).filter(|(_, hidden)| **hidden).map(|(slice, _)| slice);
    let sum = |side: usize| held().map(|slice| slice.counts[side]).sum::<u64>();
    let unknown = |side: usize| {
        held().filter(|s| s.slice == CallsOf::Unknown).map(|s| s.counts[side]).sum::<u64>()
    };
    let (sums, unknown) = ([sum(0), sum(1)], [unknown(0), unknown(1)]);
    held().all(|slice| {
        let [right, wrong] = slice.counts;
        let width = right.min(sums[1] - wrong) + wrong.min(sums[0] - right);
        let free = slice.slice == CallsOf::Unknown && unknown.iter().all(|&n| n >= enough);
        let nobody = right + wrong == 0 && slice.slice != CallsOf::Unknown;
        free || nobody || width >= enough
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIVE: MinimumPatients = MinimumPatients::new(5);

    fn judged(counts: [u64; 2]) -> Calls {
        Calls { counts, slice: CallsOf::Judged }
    }

    #[test]
    fn a_small_cell_takes_the_smallest_slice_that_is_enough() {
        let heart = [judged([68, 4]), judged([67, 25]), judged([147, 46])];
        assert_eq!(calls(&heart, FIVE), Ok(vec![true, true, false]));
        let sites = [
            judged([135, 29]),
            judged([138, 25]),
            Calls { counts: [0, 1], slice: CallsOf::Unknown },
            Calls { counts: [9, 20], slice: CallsOf::Unknown },
        ];
        assert_eq!(calls(&sites, FIVE), Ok(vec![false, false, true, true]));
        assert_eq!(calls(&heart[1..], FIVE), Ok(vec![false, false]));
        assert_eq!(calls(&[judged([20, 2]), judged([30, 2])], FIVE), Err(NothingLess));
    }

    proptest! {
        /// By trying every split of what is left: no hidden call is known to within the minimum.
        #[test]
        fn no_hidden_call_follows(
            counts in prop::collection::vec(prop::array::uniform2(0u64..12), 1..5),
            minimum in 1u32..6,
        ) {
            let slices: Vec<Calls> = counts.iter().map(|&counts| judged(counts)).collect();
            let Ok(hidden) = calls(&slices, MinimumPatients::new(minimum)) else { return Ok(()) };
            let left: Vec<[u64; 2]> =
                counts.iter().zip(&hidden).filter(|(_, h)| **h).map(|(c, _)| *c).collect();
            for (shown, _) in counts.iter().zip(&hidden).filter(|(_, h)| !**h) {
                let [right, wrong] = *shown;
                prop_assert!(right + wrong == 0 || right.min(wrong) >= u64::from(minimum));
            }
            let mut seen = vec![(u64::MAX, 0); left.len()];
            let right: u64 = left.iter().map(|c| c[0]).sum();
            let mut guess = vec![0; left.len()];
            loop {
                if guess.iter().sum::<u64>() == right {
                    for (seen, &value) in seen.iter_mut().zip(&guess) {
                        *seen = (seen.0.min(value), seen.1.max(value));
                    }
                }
                let Some(at) = (0..left.len()).find(|&at| guess[at] < left[at][0] + left[at][1])
                else { break };
                guess[at] += 1;
                guess[..at].fill(0);
            }
            for ((low, high), counts) in seen.into_iter().zip(&left) {
                prop_assert!(counts == &[0, 0] || high - low >= u64::from(minimum));
            }
        }
    }
}
