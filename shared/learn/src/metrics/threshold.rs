//! Thresholds from a score histogram: a row is called positive when its bin is at or above the
//! threshold's.
//!
//! Thresholds lie on lower edges of bins, so what the histogram says about one holds for the scores
//! themselves. The outer bins also hold what lies beyond the range, so the lowest threshold is
//! probability 0 (everything is called positive), and none stands above the last bin.

use wardround_core::query::Bins;
use wardround_core::study::ThresholdRule;

use super::interval::expit;
use super::{CellError, ScoreHistogram, Undefined};

/// A threshold on the lower edge of a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    bins: Bins,
    bin: usize,
}

impl Threshold {
    /// The edge nearest to a probability, on the logit scale.
    ///
    /// # Errors
    /// [`CellError::Probability`] outside [0, 1].
    pub fn nearest(bins: Bins, probability: f64) -> Result<Self, CellError> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(CellError::Probability(probability));
        }
        let half_a_bin = bins.half_width / f64::from(bins.count.max(1));
        let logit = libm::log(probability / (1.0 - probability));
        Ok(Self { bin: bins.index(logit + half_a_bin), bins })
    }

    /// The bins whose edge it is.
    pub fn bins(&self) -> &Bins {
        &self.bins
    }

    /// The first bin that is called positive, `0..count`.
    pub fn bin(&self) -> usize {
        self.bin
    }

    /// The probability from which a row is called positive; 0 for the first bin.
    pub fn probability(&self) -> f64 {
        if self.bin == 0 { 0.0 } else { expit(self.bins.lower_edge(self.bin)) }
    }
}

/// The threshold with the largest Youden index, sensitivity + specificity - 1 (Youden 1950).
///
/// Of several with the same index, the lowest: it misses the fewest positives, and a miss usually
/// weighs more than a false alarm. When nothing beats 0 that means calling everything positive.
/// The index of rows it was chosen on is optimistic; judge it on others.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn youden(histogram: &ScoreHistogram) -> Result<Threshold, Undefined> {
    let candidates = Candidates::of(histogram)?;
    // The index times N+ N-, less a constant, so that ties are exact.
    let index = |c: &Called| {
        let hits = u128::from(c.tp) * u128::from(candidates.negatives);
        hits + u128::from(c.tn) * u128::from(candidates.positives)
    };
    let best = candidates.called.iter().map(index).max().ok_or(Undefined::NoRows)?;
    candidates.lowest(|c| index(c) == best)
}

/// The highest threshold whose sensitivity is at least `sensitivity`: the one with the best
/// specificity among them.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`]; [`Undefined::Unreachable`] for more than
/// 1 or NaN.
pub fn fixed_sensitivity(
    histogram: &ScoreHistogram,
    sensitivity: f64,
) -> Result<Threshold, Undefined> {
    let candidates = Candidates::of(histogram)?;
    let positives = candidates.positives as f64;
    candidates.highest(|c| c.tp as f64 / positives >= sensitivity)
}

/// The lowest threshold whose specificity is at least `specificity`: the one with the best
/// sensitivity among them.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`]; [`Undefined::Unreachable`] when too many
/// negatives lie in the last bin.
pub fn fixed_specificity(
    histogram: &ScoreHistogram,
    specificity: f64,
) -> Result<Threshold, Undefined> {
    let candidates = Candidates::of(histogram)?;
    let negatives = candidates.negatives as f64;
    candidates.lowest(|c| c.tn as f64 / negatives >= specificity)
}

/// What each threshold, by ascending bin, calls rightly.
/// The threshold of least cost, where a positive row that is missed costs as much as `miss_cost` negative rows
/// that are called positive; the lowest of equals. With a calibrated model it is near `1 / (1 + miss_cost)`
/// (Pauker and Kassirer 1980).
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`].
pub fn least_cost(histogram: &ScoreHistogram, miss_cost: f64) -> Result<Threshold, Undefined> {
    let candidates = Candidates::of(histogram)?;
    let cost = |c: &Called| {
        let (missed, alarmed) = (candidates.positives - c.tp, candidates.negatives - c.tn);
        missed as f64 * miss_cost + alarmed as f64
    };
    let least = candidates.called.iter().map(cost).reduce(f64::min).ok_or(Undefined::NoRows)?;
    candidates.lowest(|c| cost(c) == least)
}

/// The threshold that a study's rule chooses.
///
/// # Errors
/// [`Undefined::NoPositives`], [`Undefined::NoNegatives`]; [`Undefined::Unreachable`] of a specificity that even
/// the highest threshold doesn't reach.
pub fn by_rule(histogram: &ScoreHistogram, rule: ThresholdRule) -> Result<Threshold, Undefined> {
    match rule {
        ThresholdRule::Youden => youden(histogram),
        ThresholdRule::Sensitivity(share) => fixed_sensitivity(histogram, share),
        ThresholdRule::Specificity(share) => fixed_specificity(histogram, share),
        ThresholdRule::MissCost(cost) => least_cost(histogram, cost),
    }
}

struct Candidates {
    bins: Bins,
    positives: u64,
    negatives: u64,
    called: Vec<Called>,
}

struct Called {
    tp: u64,
    tn: u64,
}

impl Candidates {
    fn of(histogram: &ScoreHistogram) -> Result<Self, Undefined> {
        let (positives, negatives) = (histogram.positive_rows(), histogram.negative_rows());
        if positives == 0 {
            return Err(Undefined::NoPositives);
        }
        if negatives == 0 {
            return Err(Undefined::NoNegatives);
        }
        let (mut tp, mut tn) = (positives, 0);
        let mut called = Vec::with_capacity(histogram.positives().len());
        for (p, n) in histogram.positives().iter().zip(histogram.negatives()) {
            called.push(Called { tp, tn });
            tp -= p;
            tn += n;
        }
        Ok(Self { bins: *histogram.bins(), positives, negatives, called })
    }

    fn lowest(&self, wanted: impl Fn(&Called) -> bool) -> Result<Threshold, Undefined> {
        self.at(self.called.iter().position(wanted))
    }

    fn highest(&self, wanted: impl Fn(&Called) -> bool) -> Result<Threshold, Undefined> {
        self.at(self.called.iter().rposition(wanted))
    }

    fn at(&self, bin: Option<usize>) -> Result<Threshold, Undefined> {
        Ok(Threshold { bins: self.bins, bin: bin.ok_or(Undefined::Unreachable)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::histogram;

    #[test]
    fn a_miss_that_costs_more_lowers_the_threshold() {
        let some = histogram([1, 2, 3, 4], [40, 30, 20, 10]);
        let bin = |cost: f64| least_cost(&some, cost).unwrap().bin();
        // By brute force: false alarms from bin t on, and misses below it.
        for cost in [0.1, 1.0, 3.0, 5.0, 12.0, 30.0, 60.0] {
            let alarms = [100.0, 60.0, 30.0, 10.0];
            let misses = [0.0, 1.0, 3.0, 6.0];
            let costs: Vec<f64> = (0..4).map(|t| alarms[t] + cost * misses[t]).collect();
            let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
            assert_eq!(Some(bin(cost)), costs.iter().position(|c| *c == least), "{cost}");
        }
        assert_eq!([bin(60.0), bin(1.0)], [0, 3]);
        assert_eq!(least_cost(&histogram([0; 4], [1; 4]), 1.0), Err(Undefined::NoPositives));
    }

    #[test]
    fn youden_takes_the_lowest_of_equals() {
        let gap = histogram([0, 0, 0, 5], [5, 0, 0, 0]);
        let threshold = youden(&gap).unwrap();
        assert_eq!(threshold.bin(), 1);
        assert!((threshold.probability() - 0.268_941_421_369_995_1).abs() < 1e-15);
        let inverse = youden(&histogram([5, 0, 0, 0], [0, 0, 0, 5])).unwrap();
        assert_eq!((inverse.bin(), inverse.probability()), (0, 0.0));
    }

    #[test]
    fn fixed_rates_take_the_best_other_rate() {
        let h = histogram([1, 2, 3, 4], [4, 3, 2, 1]);
        assert_eq!(fixed_sensitivity(&h, 0.7).unwrap().bin(), 2);
        assert_eq!(fixed_sensitivity(&h, 1.0).unwrap().bin(), 0);
        assert_eq!(fixed_specificity(&h, 0.7).unwrap().bin(), 2);
        assert_eq!(fixed_specificity(&h, 0.0).unwrap().bin(), 0);
    }

    #[test]
    fn undefined_says_why() {
        let h = histogram([1, 2, 3, 4], [4, 3, 2, 1]);
        assert_eq!(fixed_specificity(&h, 0.95), Err(Undefined::Unreachable));
        assert_eq!(fixed_sensitivity(&h, 1.1), Err(Undefined::Unreachable));
        assert_eq!(fixed_sensitivity(&h, f64::NAN), Err(Undefined::Unreachable));
        assert_eq!(youden(&histogram([0; 4], [1; 4])), Err(Undefined::NoPositives));
        assert_eq!(youden(&histogram([1; 4], [0; 4])), Err(Undefined::NoNegatives));
    }

    #[test]
    fn a_probability_finds_its_edge() {
        let bins = Bins { half_width: 12.0, count: 1024 };
        assert_eq!(Threshold::nearest(bins, 0.5).unwrap().bin(), 512);
        assert_eq!(Threshold::nearest(bins, 0.0).unwrap().bin(), 0);
        assert_eq!(Threshold::nearest(bins, 1.0).unwrap().bin(), 1023);
        for bin in 1..1024 {
            let threshold = Threshold { bins, bin };
            assert_eq!(Threshold::nearest(bins, threshold.probability()), Ok(threshold));
        }
        assert!(matches!(Threshold::nearest(bins, f64::NAN), Err(CellError::Probability(_))));
    }
}
