//! The decision curve of all sites in one list, made from the reliability curve's shown bins and nothing else, so
//! it tells nothing that they don't. Its thresholds are the bins' lower ends.

use serde::{Deserialize, Serialize};
use wardround_learn::metrics::decision::net_benefit;

use super::values::{CalibrationBin, rounded};

/// Net benefit at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionPoint {
    /// Probability from which a row is called positive.
    pub threshold: f64,
    /// Net benefit of the model's calls; that of no call is 0.
    pub model: f64,
    /// Net benefit of calling all positive.
    pub all: f64,
}

/// The curve, by rising threshold; no point where a single bin is shown, or none.
pub(super) fn decision_curve(bins: &[CalibrationBin]) -> Vec<DecisionPoint> {
    let sum = |bins: &[CalibrationBin]| {
        let images: u64 = bins.iter().map(|bin| bin.images).sum();
        // Shares have six decimals.
        let positives = |bin: &CalibrationBin| (bin.images as f64 * bin.observed).round() as u64;
        (images, bins.iter().map(positives).sum::<u64>())
    };
    let (images, positives) = sum(bins);
    let above = (1..bins.len()).map(|at| {
        let threshold = bins[at].from;
        let (called, hits) = sum(&bins[at..]);
        let benefit = |hits: u64, called: u64| {
            net_benefit(hits, called.saturating_sub(hits), images, threshold).map_or(0.0, rounded)
        };
        let (model, all) = (benefit(hits, called), benefit(positives, images));
        DecisionPoint { threshold: rounded(threshold), model, all }
    });
    above.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(from: f64, images: u64, observed: f64) -> CalibrationBin {
        CalibrationBin { from, images, predicted: from + 0.02, observed }
    }

    #[test]
    fn thresholds_are_lower_ends_of_bins() {
        let bins = [bin(0.0, 80, 0.05), bin(0.2, 50, 0.3), bin(0.6, 20, 0.9)];
        let curve = decision_curve(&bins);
        // Of 150: 4, 15 and 18 positives.
        let expected = [
            (0.2, 33.0 - 37.0 * 0.25, 37.0 - 113.0 * 0.25),
            (0.6, 18.0 - 2.0 * 1.5, 37.0 - 113.0 * 1.5),
        ];
        assert_eq!(curve.len(), 2);
        for (point, (threshold, model, all)) in curve.iter().zip(expected) {
            assert_eq!(point.threshold, threshold);
            assert!((point.model - model / 150.0).abs() < 1e-6, "{point:?}");
            assert!((point.all - all / 150.0).abs() < 1e-6, "{point:?}");
        }
        assert!(decision_curve(&bins[..1]).is_empty() && decision_curve(&[]).is_empty());
    }
}
