//! How true probabilities are: Brier score, log loss, expected calibration error, reliability
//! curve.
//!
//! From sums over rows: squared errors, losses, and per equal-width bin of the probability the rows
//! of each class and the sum of probabilities.

use wardround_core::query::CALIBRATION_BINS;

use super::Undefined;
use crate::findings::ReliabilityBin;

/// The sums; one list and cell of [`wardround_core::query::Ask::Scores`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationSums {
    /// Negative and positive rows by equal-width bins of the probability.
    pub rows: [[u64; 2]; CALIBRATION_BINS],
    /// Sum of the probabilities in each bin.
    pub scores: [f64; CALIBRATION_BINS],
    /// Sum of `(p - y)^2`.
    pub brier: f64,
    /// Sum of `-ln` of the probability given to what the row is.
    pub log_loss: f64,
}

impl CalibrationSums {
    /// No rows.
    pub fn empty() -> Self {
        Self {
            rows: [[0; 2]; CALIBRATION_BINS],
            scores: [0.0; CALIBRATION_BINS],
            brier: 0.0,
            log_loss: 0.0,
        }
    }

    /// Adds the rows of another cell. Sums that came in fixed point stay exact up to 2^53 units, so
    /// that order doesn't matter.
    pub fn merge(&mut self, other: &Self) {
        for bin in 0..CALIBRATION_BINS {
            self.rows[bin][0] += other.rows[bin][0];
            self.rows[bin][1] += other.rows[bin][1];
            self.scores[bin] += other.scores[bin];
        }
        self.brier += other.brier;
        self.log_loss += other.log_loss;
    }

    /// Number of rows.
    pub fn total_rows(&self) -> u64 {
        self.rows.iter().map(|[n, p]| n + p).sum()
    }

    /// Mean of `(p - y)^2` (Brier 1950); scikit-learn's `brier_score_loss`; in [0, 1], lower is
    /// better. It mixes calibration with ranking and depends on prevalence: a model that always
    /// says the prevalence f reaches f (1 - f).
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn brier_score(&self) -> Result<f64, Undefined> {
        self.mean(self.brier)
    }

    /// Mean of `-ln` of the probability given to what the row is; scikit-learn's `log_loss`; 0 and
    /// up, lower is better. One sure and wrong row can dominate it.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn log_loss(&self) -> Result<f64, Undefined> {
        self.mean(self.log_loss)
    }

    /// Expected calibration error with equal-width bins: `sum_b n_b / N |mean y - mean p|` (Naeini
    /// et al. 2015; Guo et al. 2017); in [0, 1], lower is better.
    ///
    /// It isn't 0 for a perfectly calibrated model: chance alone gives up to `0.4 sqrt(bins / N)`,
    /// so compare it only between cells of one size. It says nothing about ranking.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn expected_calibration_error(&self) -> Result<f64, Undefined> {
        let gaps = self.rows.iter().zip(&self.scores).map(|([_, p], s)| (*p as f64 - s).abs());
        self.mean(gaps.sum())
    }

    /// The reliability curve: the bins that hold rows, by rising probability; scikit-learn's
    /// `calibration_curve` (strategy "uniform") with counts.
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        let bins = self.rows.iter().zip(&self.scores).filter(|([n, p], _)| n + p > 0);
        bins.map(|([n, p], score)| ReliabilityBin {
            rows: n + p,
            positives: *p,
            mean_score: score / (n + p) as f64,
        })
        .collect()
    }

    fn mean(&self, sum: f64) -> Result<f64, Undefined> {
        match self.total_rows() {
            0 => Err(Undefined::NoRows),
            rows => Ok(sum / rows as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_says_why() {
        let none = CalibrationSums::empty();
        assert_eq!(none.brier_score(), Err(Undefined::NoRows));
        assert_eq!(none.log_loss(), Err(Undefined::NoRows));
        assert_eq!(none.expected_calibration_error(), Err(Undefined::NoRows));
        assert!(none.reliability().is_empty());
    }

    #[test]
    fn a_gap_counts_by_its_rows() {
        let mut sums = CalibrationSums::empty();
        sums.rows[0] = [3, 1];
        sums.scores[0] = 0.0;
        sums.rows[14] = [0, 4];
        sums.scores[14] = 4.0;
        assert_eq!(sums.expected_calibration_error(), Ok(0.125));
        let curve = sums.reliability();
        assert_eq!((curve.len(), curve[1].rows, curve[1].mean_score), (2, 4, 1.0));
    }
}
