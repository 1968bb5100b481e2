//! All metrics of a cell by name, so that what must hold for every metric is tested for a new one
//! on the day it is added.

use super::{CellError, Confusion, ScoreCell, Threshold, Undefined};
use super::{ranking, threshold};

/// A metric and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; scikit-learn's where it has one.
    pub name: &'static str,
    /// Smallest and largest value.
    pub range: [f64; 2],
    of: Source,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Scores(fn(&ScoreCell) -> Result<f64, Undefined>),
    Calls(fn(&Confusion) -> Result<f64, Undefined>),
}

impl Metric {
    /// Its value on a cell; calls are made at the threshold.
    ///
    /// # Errors
    /// [`CellError::OtherBins`] when the threshold is one of other bins. The inner result says why
    /// the metric is undefined.
    pub fn value(
        &self,
        cell: &ScoreCell,
        threshold: &Threshold,
    ) -> Result<Result<f64, Undefined>, CellError> {
        let confusion = Confusion::at(&cell.histogram, threshold)?;
        Ok(match self.of {
            Source::Scores(of) => of(cell),
            Source::Calls(of) => of(&confusion),
        })
    }
}

/// Every metric.
pub const METRICS: &[Metric] = &[
    scores("roc_auc_score", [0.0, 1.0], |cell| ranking::roc_auc(&cell.histogram)),
    scores("binning_error", [0.0, 0.5], |cell| ranking::binning_error(&cell.histogram)),
    scores("youden_threshold", [0.0, 1.0], |cell| {
        threshold::youden(&cell.histogram).map(|threshold| threshold.probability())
    }),
    scores("brier_score_loss", [0.0, 1.0], |cell| cell.calibration.brier_score()),
    scores("log_loss", [0.0, f64::INFINITY], |cell| cell.calibration.log_loss()),
    scores("expected_calibration_error", [0.0, 1.0], |cell| {
        cell.calibration.expected_calibration_error()
    }),
    calls("sensitivity", Confusion::sensitivity),
    calls("specificity", Confusion::specificity),
    calls("ppv", Confusion::ppv),
    calls("npv", Confusion::npv),
    calls("accuracy_score", Confusion::accuracy),
    calls("balanced_accuracy_score", Confusion::balanced_accuracy),
    calls("f1_score", Confusion::f1),
];

const fn scores(
    name: &'static str,
    range: [f64; 2],
    of: fn(&ScoreCell) -> Result<f64, Undefined>,
) -> Metric {
    Metric { name, range, of: Source::Scores(of) }
}

const fn calls(name: &'static str, of: fn(&Confusion) -> Result<f64, Undefined>) -> Metric {
    Metric { name, range: [0.0, 1.0], of: Source::Calls(of) }
}
