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

    /// The largest gap between a bin's share of positives and its mean probability; in [0, 1]. It is of
    /// whichever bin has the fewest rows as often as not, and grows with fewer rows.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn maximum_calibration_error(&self) -> Result<f64, Undefined> {
        let gaps = self.reliability().into_iter().map(|bin| bin.gap());
        gaps.reduce(f64::max).ok_or(Undefined::NoRows)
    }

    /// The expected calibration error that a model with the same bins has on average if it is perfectly
    /// calibrated: `sum_b n_b / N E|X / n_b - p_b|`, X binomial with n_b rows and the bin's mean probability
    /// (de Moivre's closed form of its mean absolute deviation). What an ECE is to be compared with; rows are
    /// taken as independent, and several of one patient would raise it.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn error_if_calibrated(&self) -> Result<f64, Undefined> {
        let bins = self.reliability().into_iter();
        self.mean(bins.map(|bin| mean_deviation(bin.rows, bin.mean_score)).sum())
    }

    /// The Brier score's parts (Murphy 1973) over the bins: how far they are from what they say (reliability, 0
    /// is best), how far apart they are (resolution), and what the prevalence alone leaves (uncertainty). `Brier
    /// = reliability - resolution + uncertainty` but for what varies inside a bin (Stephenson et al. 2008).
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn brier_parts(&self) -> Result<BrierParts, Undefined> {
        let bins = self.reliability();
        let rows = self.total_rows();
        let positives: u64 = bins.iter().map(|bin| bin.positives).sum();
        let prevalence = self.mean(positives as f64)?;
        let weighted = |of: &dyn Fn(&ReliabilityBin) -> f64| {
            bins.iter().map(|bin| bin.rows as f64 * of(bin).powi(2)).sum::<f64>() / rows as f64
        };
        Ok(BrierParts {
            reliability: weighted(&ReliabilityBin::gap),
            resolution: weighted(&|bin| bin.observed() - prevalence),
            uncertainty: prevalence * (1.0 - prevalence),
        })
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

/// What makes a Brier score: see [`CalibrationSums::brier_parts`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BrierParts {
    /// Squared gaps of the bins; lower is better.
    pub reliability: f64,
    /// Squared distances of the bins' shares of positives from the prevalence; higher is better.
    pub resolution: f64,
    /// `f (1 - f)`, f the prevalence: no merit of the model.
    pub uncertainty: f64,
}

impl ReliabilityBin {
    /// Share of its rows that are positive.
    fn observed(&self) -> f64 {
        self.positives as f64 / self.rows as f64
    }

    fn gap(&self) -> f64 {
        (self.observed() - self.mean_score).abs()
    }
}

/// `E|X - n p|` of a binomial X: `2 k C(n, k) p^k (1 - p)^(n - k + 1)`, k the first whole number above n p.
fn mean_deviation(n: u64, p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return 0.0;
    }
    let all = n as f64;
    let k = (all * p).floor() + 1.0;
    let ways = libm::lgamma(all + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(all - k + 1.0);
    2.0 * k * libm::exp(ways + k * libm::log(p) + (all - k + 1.0) * libm::log1p(-p))
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
        assert_eq!(none.maximum_calibration_error(), Err(Undefined::NoRows));
        assert_eq!(none.error_if_calibrated(), Err(Undefined::NoRows));
        assert_eq!(none.brier_parts(), Err(Undefined::NoRows));
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
        assert_eq!(sums.maximum_calibration_error(), Ok(0.25));
        let parts = sums.brier_parts().unwrap();
        assert_eq!((parts.reliability, parts.uncertainty), (0.25f64.powi(2) / 2.0, 15.0 / 64.0));
        assert_eq!(parts.resolution, 0.375f64.powi(2));
        // Sure of every row: chance has nothing to add.
        assert_eq!(sums.error_if_calibrated(), Ok(0.0));
        let curve = sums.reliability();
        assert_eq!((curve.len(), curve[1].rows, curve[1].mean_score), (2, 4, 1.0));
    }

    #[test]
    fn the_mean_deviation_is_the_binomials() {
        for (n, p) in [(1u32, 0.3f64), (7, 0.5), (40, 0.05), (40, 0.975), (3, 1.0 / 3.0)] {
            let mut chance = (1.0 - p).powi(n as i32);
            let mut expected = 0.0;
            for k in 0..=n {
                expected += chance * (f64::from(k) - f64::from(n) * p).abs();
                chance *= f64::from(n - k) / f64::from(k + 1) * p / (1.0 - p);
            }
            let ours = mean_deviation(u64::from(n), p);
            assert!(
                (ours - expected).abs() < 1e-12 * expected.max(1.0),
                "{n} {p}: {ours} {expected}"
            );
        }
        // Normal: sqrt(2 n p (1 - p) / pi).
        let large = mean_deviation(1_000_000, 0.2);
        assert!((large / (2.0 * 160_000.0 / std::f64::consts::PI).sqrt() - 1.0).abs() < 1e-6);
    }
}
