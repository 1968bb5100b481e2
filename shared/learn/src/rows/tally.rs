//! A block of an answer being added up in integers, term by term, never out of range.

use wardround_core::query::Query;
use wardround_core::sum::{BlockSpec, LIMIT, SumError, fix};

/// A block being added up.
#[derive(Debug)]
pub(super) struct Tally {
    spec: BlockSpec,
    values: Vec<i64>,
}

impl Tally {
    /// The query's blocks, all zero. `N` is how many blocks its ask has.
    pub(super) fn of<const N: usize>(query: &Query) -> [Tally; N] {
        let tallies = Self::all(query);
        tallies.try_into().expect("but for labels' rows an ask has a fixed number of blocks")
    }

    /// The query's blocks, all zero, however many they are.
    pub(super) fn all(query: &Query) -> Vec<Tally> {
        let zero = |spec: BlockSpec| Tally { values: vec![0; spec.len()], spec };
        query.layout().into_iter().map(zero).collect()
    }

    /// Adds to a count.
    pub(super) fn count(&mut self, at: usize, more: i64) {
        // Counts are bounded by rows in memory times lists, far below the limit.
        self.values[at] += more;
    }

    /// Rounds a term and adds it.
    pub(super) fn add(&mut self, at: usize, term: f64) -> Result<(), SumError> {
        let BlockSpec { name: block, bits, .. } = self.spec;
        // Both are below 2^62 in magnitude, so their sum fits an i64.
        let sum = self.values[at] + fix(term, bits, block)?;
        if !(-LIMIT..LIMIT).contains(&sum) {
            return Err(SumError::OutOfRange { block, bits });
        }
        self.values[at] = sum;
        Ok(())
    }

    /// The integers of all blocks.
    pub(super) fn values(tallies: impl IntoIterator<Item = Tally>) -> Vec<Vec<i64>> {
        tallies.into_iter().map(|tally| tally.values).collect()
    }
}
