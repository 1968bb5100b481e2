//! Rows in the open, and the sums that sites would send for them.

use wardround_core::query::{Bins, CALIBRATION_BINS};
use wardround_learn::metrics::interval::placement_table;
use wardround_learn::metrics::{CalibrationSums, PlacementSums, ScoreCell, ScoreHistogram};

/// The bins of the product.
pub const BINS: Bins = Bins { half_width: 12.0, count: 1024 };

/// A scored row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub logit: f64,
    pub positive: bool,
    /// Rows of a patient stand together.
    pub patient: usize,
}

pub fn cell(rows: &[Row]) -> ScoreCell {
    let mut histogram = ScoreHistogram::empty(BINS);
    let mut calibration = CalibrationSums::empty();
    for row in rows {
        histogram.add(row.logit, row.positive);
        let y = f64::from(u8::from(row.positive));
        let p = 1.0 / (1.0 + (-row.logit).exp());
        let bin = ((p * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1);
        calibration.rows[bin][usize::from(row.positive)] += 1;
        calibration.scores[bin] += p;
        calibration.brier += (p - y).powi(2);
        calibration.log_loss -= (y * p + (1.0 - y) * (1.0 - p)).ln();
    }
    ScoreCell { histogram, calibration }
}

/// What the sites answer to a placements query with the histogram's table.
pub fn placements(rows: &[Row], histogram: &ScoreHistogram) -> PlacementSums {
    let table = placement_table(histogram);
    let mut sums = PlacementSums::default();
    for patient in rows.chunk_by(|a, b| a.patient == b.patient) {
        let (mut m, mut n, mut a, mut b) = (0.0, 0.0, 0.0, 0.0);
        for row in patient {
            let bin = BINS.index(row.logit);
            if row.positive {
                m += 1.0;
                a += table.above[bin];
            } else {
                n += 1.0;
                b += table.below[bin];
            }
        }
        let (da, db) = (a - m * table.auc, b - n * table.auc);
        sums.with_positive += u64::from(m > 0.0);
        sums.with_negative += u64::from(n > 0.0);
        sums.s10 += da * da;
        sums.s01 += db * db;
        sums.s11 += da * db;
    }
    sums
}
