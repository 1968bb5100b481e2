//! Split conformal sets from score histograms (Vovk et al. 2005; LAC: Sadinle, Lei and Wasserman, JASA 2019;114:223): a set of
//! classes that holds the right one at least as often as was asked for, on rows exchangeable with those that its limit is taken from.
//!
//! A row's nonconformity is one less the probability of its class. Bins of the logit lie symmetrically around 0, so that it rises with
//! the bin of a negative row and falls with that of a positive one. A limit is the upper end of a bin: sets are larger than of unbinned
//! scores by at most a bin's width, never smaller. APS is the same for two classes but for its random draw, which we leave out: a set
//! must not depend on a coin.

use wardround_core::query::Bins;

use super::ScoreHistogram;
use super::interval::expit;

/// The last bin of a negative row's that a set still holds, and how many bins before the last a positive row's may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// For the negative class.
    pub negative: usize,
    /// For the positive class.
    pub positive: usize,
}

/// Rows by what their sets hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct SetCounts {
    /// Negative, positive rows.
    pub rows: [u64; 2],
    /// Of these, those whose class is in the set.
    pub covered: [u64; 2],
    /// Rows of either class whose set holds both classes: the model can't tell.
    pub both: u64,
    /// Rows whose set holds neither: unlike what the limit is taken from.
    pub neither: u64,
}

impl Limits {
    /// Of all rows together: the right class is held in a share of `coverage` of all rows.
    pub fn together(histogram: &ScoreHistogram, coverage: f64) -> Self {
        let last = histogram.negatives().len() - 1;
        let rows = |at: usize| histogram.negatives()[at] + histogram.positives()[last - at];
        let limit = limit(last, rows, coverage);
        Self { negative: limit, positive: limit }
    }

    /// Class by class: in a share of `coverage` of each class's rows (Mondrian).
    pub fn by_class(histogram: &ScoreHistogram, coverage: f64) -> Self {
        let last = histogram.negatives().len() - 1;
        Self {
            negative: limit(last, |at| histogram.negatives()[at], coverage),
            positive: limit(last, |at| histogram.positives()[last - at], coverage),
        }
    }

    /// Class by class for use on new rows: a class with fewer than `least` rows beyond its limit has none, and every set holds it. So
    /// a limit never is the score of one of a few rows.
    pub fn for_use(histogram: &ScoreHistogram, coverage: f64, least: u64) -> Self {
        let last = histogram.negatives().len() - 1;
        let limits = Self::by_class(histogram, coverage);
        let beyond = |limit: usize, rows: &dyn Fn(usize) -> u64| {
            let rows: u64 = (limit + 1..=last).map(rows).sum();
            if rows < least { last } else { limit }
        };
        Self {
            negative: beyond(limits.negative, &|at| histogram.negatives()[at]),
            positive: beyond(limits.positive, &|at| histogram.positives()[last - at]),
        }
    }

    /// The probability below which a set holds the negative class, 1 where it always does, and from which it holds the positive one, 0
    /// where it always does.
    pub fn probabilities(&self, bins: &Bins) -> [f64; 2] {
        let last = bins.count as usize - 1;
        let edge = |bin: usize| expit(bins.lower_edge(bin));
        [
            if self.negative >= last { 1.0 } else { edge(self.negative + 1) },
            if self.positive >= last { 0.0 } else { edge(last - self.positive) },
        ]
    }

    /// What the sets of other rows hold.
    pub fn count(&self, histogram: &ScoreHistogram) -> SetCounts {
        let last = histogram.negatives().len() - 1;
        let mut counts = SetCounts::default();
        for (bin, (&n, &p)) in histogram.negatives().iter().zip(histogram.positives()).enumerate() {
            let (holds_negative, holds_positive) =
                (bin <= self.negative, last - bin <= self.positive);
            counts.rows[0] += n;
            counts.rows[1] += p;
            counts.covered[0] += if holds_negative { n } else { 0 };
            counts.covered[1] += if holds_positive { p } else { 0 };
            match (holds_negative, holds_positive) {
                (true, true) => counts.both += n + p,
                (false, false) => counts.neither += n + p,
                _ => {}
            }
        }
        counts
    }
}

impl SetCounts {
    /// Adds other rows.
    pub fn merge(&mut self, other: &Self) {
        for side in 0..2 {
            self.rows[side] += other.rows[side];
            self.covered[side] += other.covered[side];
        }
        self.both += other.both;
        self.neither += other.neither;
    }
}

/// The smallest nonconformity that `ceil((n + 1) coverage)` of `n` rows don't go beyond; the largest there is where they are too few.
fn limit(last: usize, rows: impl Fn(usize) -> u64, coverage: f64) -> usize {
    let all: u64 = (0..=last).map(&rows).sum();
    let needed = ((all + 1) as f64 * coverage).ceil() as u64;
    let mut held = 0;
    for at in 0..=last {
        held += rows(at);
        if held >= needed {
            return at;
        }
    }
    last
}
