//! Counting rounds, and bytes both ways of one site.

use super::{Bound, PlannedCombination};

/// Bytes of a fraction in an answer: fixed point with 40 to 50 binary places as a variable-length
/// integer.
const FRACTION_BYTES: f64 = 7.0;

/// Bytes of a count, and of a zero in another site's cell.
const COUNT_BYTES: f64 = 1.0;

/// Bytes of 32 bits in an answer.
pub(super) const HALF_BYTES: f64 = 5.0;

/// Bytes of a number in a question.
pub(super) const QUESTION_BYTES: f64 = 8.0;

/// Bytes of a tree's node in a question.
pub(super) const NODE_BYTES: f64 = 8.0;

#[derive(Default)]
pub(super) struct Tally {
    pub(super) queries: f64,
    /// Bytes to a site.
    pub(super) down: f64,
    /// Numbers from a site.
    pub(super) numbers: Numbers,
}

#[derive(Default)]
pub(super) struct Numbers {
    /// Small whole numbers and zeros.
    pub(super) counts: f64,
    pub(super) fractions: f64,
}

impl Numbers {
    pub(super) fn counts(counts: f64) -> Self {
        Self { counts, fractions: 0.0 }
    }

    pub(super) fn fractions(fractions: f64) -> Self {
        Self { counts: 0.0, fractions }
    }
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        self.down += other.down;
        self.numbers.counts += other.numbers.counts;
        self.numbers.fractions += other.numbers.fractions;
    }

    pub(super) fn planned(&self, name: String, models: u64, bound: Bound) -> PlannedCombination {
        PlannedCombination {
            name,
            queries: self.queries as u64,
            models,
            bytes_down_per_site: self.down as u64,
            bytes_up_per_site: self.up() as u64,
            bound,
        }
    }

    /// Fits a share of the models, on rungs and for the finalists, with a question about scores on each rung.
    pub(super) fn climb(&mut self, share: f64, rungs: usize) {
        let rungs = rungs as f64;
        self.queries *= rungs + 1.0;
        self.queries += rungs;
        self.down *= share;
        self.numbers.counts *= share;
        self.numbers.fractions *= share;
    }

    /// Bytes from a site.
    pub(super) fn up(&self) -> f64 {
        self.numbers.counts * COUNT_BYTES + self.numbers.fractions * FRACTION_BYTES
    }

    /// Bytes both ways.
    pub(super) fn bytes(&self) -> f64 {
        self.down + self.up()
    }

    pub(super) fn ask(&mut self, question: f64, answer: Numbers) {
        self.queries += 1.0;
        self.down += question * QUESTION_BYTES;
        self.numbers.counts += answer.counts;
        self.numbers.fractions += answer.fractions;
    }
}
