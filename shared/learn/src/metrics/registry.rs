//! All metrics of a cell by name, so that what must hold for every metric is tested for a new one
//! on the day it is added, and reports list it.

use super::{CellError, Confusion, ScoreCell, Threshold, Undefined};
use super::{ranking, recalibration, threshold};
use crate::findings::NamedFigure;
use crate::metrics::judge::without_interval;

/// A metric and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; scikit-learn's where it has one.
    pub name: &'static str,
    /// What a report calls it.
    pub words: &'static str,
    /// Smallest and largest value.
    pub range: [f64; 2],
    /// What it says, in half a sentence; empty where its name does.
    pub says: &'static str,
    /// Where a report has it.
    pub place: Place,
    /// How an interval is made of draws of the patients.
    pub spread: Spread,
    of: Source,
}

/// How a metric's interval is made of its values under draws of the patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// A share of rows: Wilson's interval for as many independent rows as the draws' variance says.
    Share,
    /// The draws' percentiles.
    Percentiles,
    /// As far to each side as 1.96 times the draws' root mean square distance from the rows as they are. What is never below 0
    /// lies above it by chance alone, and its draws lie above it once more: that bias counts as uncertainty.
    WithBias,
    /// None: the metric has one from elsewhere, or is itself about the spread.
    Nothing,
}

/// Where a report has a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is a field of [`crate::findings::Figures`].
    Field,
    /// In the list of all others ([`crate::findings::Figures::more`]).
    List,
    /// Nowhere: on the rows that are judged it would mislead, or say too much of single patients.
    Nowhere,
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
        Ok(self.of_called(cell, &confusion))
    }

    /// Its value on a cell whose rows were called already.
    ///
    /// # Errors
    /// Why the metric is undefined.
    pub fn of_called(&self, cell: &ScoreCell, confusion: &Confusion) -> Result<f64, Undefined> {
        match self.of {
            Source::Scores(of) => of(cell),
            Source::Calls(of) => of(confusion),
        }
    }

    /// Whether it follows from the calls at the threshold.
    pub fn is_of_calls(&self) -> bool {
        matches!(self.of, Source::Calls(_))
    }
}

/// A metric by its name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// All metrics of the list, of a cell whose rows were called already. Their intervals aren't in its sums.
pub fn listed(cell: &ScoreCell, confusion: &Confusion) -> Vec<NamedFigure> {
    let list = METRICS.iter().filter(|metric| metric.place == Place::List);
    list.map(|metric| NamedFigure {
        name: metric.name.to_owned(),
        figure: without_interval(metric.of_called(cell, confusion)),
    })
    .collect()
}

/// The metrics by which subgroups are compared, in the order of [`METRICS`].
pub const FAIRNESS: &[&str] = &[
    "roc_auc_score",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "accuracy_score",
    "selection_rate",
    "brier_score_loss",
    "expected_calibration_error",
    "calibration_in_the_large",
];

/// Those by which cells of two columns are compared: what is left are sums that would tell single cells.
pub const CROSSED: &[&str] =
    &["roc_auc_score", "sensitivity", "specificity", "selection_rate", "calibration_in_the_large"];

/// Every metric, in the order in which a report lists them.
pub const METRICS: &[Metric] = &[
    scores("roc_auc_score", "area under the ROC curve", Place::Field, |cell| {
        ranking::roc_auc(&cell.histogram)
    })
    // From placement sums.
    .spread(Spread::Nothing),
    scores("average_precision_score", "average precision", Place::List, |cell| {
        ranking::average_precision(&cell.histogram)
    })
    .saying("area under the precision-recall curve; a score that knows nothing has the prevalence"),
    scores("binning_error", "most that binning scores moves the AUC", Place::List, |cell| {
        ranking::binning_error(&cell.histogram)
    })
    .within([0.0, 0.5])
    .spread(Spread::Nothing)
    .saying("every AUC here may be off by so much at most, since scores leave in bins"),
    // Chosen on the rows that it would be judged on.
    scores("youden_threshold", "threshold of the largest Youden index", Place::Nowhere, |cell| {
        threshold::youden(&cell.histogram).map(|threshold| threshold.probability())
    })
    .spread(Spread::Nothing),
    calls("sensitivity", "sensitivity", Place::Field, Confusion::sensitivity).spread(Spread::Share),
    calls("specificity", "specificity", Place::Field, Confusion::specificity).spread(Spread::Share),
    calls("ppv", "positive predictive value", Place::List, Confusion::ppv)
        .spread(Spread::Share)
        .saying("of those called positive, how many are; depends on prevalence"),
    calls("npv", "negative predictive value", Place::List, Confusion::npv)
        .spread(Spread::Share)
        .saying("of those called negative, how many are; depends on prevalence"),
    calls("accuracy_score", "accuracy", Place::List, Confusion::accuracy)
        .spread(Spread::Share)
        .saying("share of right calls; depends on prevalence"),
    calls(
        "balanced_accuracy_score",
        "balanced accuracy",
        Place::List,
        Confusion::balanced_accuracy,
    )
    .saying("mean of sensitivity and specificity; 0.5 knows nothing"),
    calls("f1_score", "F1", Place::List, Confusion::f1)
        .saying("harmonic mean of sensitivity and positive predictive value"),
    calls("matthews_corrcoef", "Matthews' correlation", Place::List, Confusion::matthews)
        .within([-1.0, 1.0])
        .saying("correlation of labels and calls; 0 knows nothing"),
    calls("cohen_kappa_score", "Cohen's kappa", Place::List, Confusion::kappa)
        .within([-1.0, 1.0])
        .saying("agreement of labels and calls beyond chance"),
    calls("lift", "lift", Place::List, Confusion::lift)
        .within([0.0, f64::INFINITY])
        .saying("how many times more often a case that is called positive is so than any case"),
    calls("selection_rate", "called positive", Place::List, Confusion::selection_rate)
        .spread(Spread::Share)
        .saying("share that is called positive"),
    scores("brier_score_loss", "Brier score", Place::Field, |cell| cell.calibration.brier_score()),
    scores("brier_reliability", "Brier score: reliability", Place::List, |cell| {
        cell.calibration.brier_parts().map(|parts| parts.reliability)
    })
    .spread(Spread::WithBias)
    .saying("how far probabilities are from what happens; 0 is best"),
    scores("brier_resolution", "Brier score: resolution", Place::List, |cell| {
        cell.calibration.brier_parts().map(|parts| parts.resolution)
    })
    .spread(Spread::WithBias)
    .within([0.0, 0.25])
    .saying("how far apart cases of different risk are held; more is better"),
    scores("brier_uncertainty", "Brier score: uncertainty", Place::List, |cell| {
        cell.calibration.brier_parts().map(|parts| parts.uncertainty)
    })
    .within([0.0, 0.25])
    .saying("what the prevalence alone leaves; no merit of the model"),
    scores("log_loss", "log loss", Place::List, |cell| cell.calibration.log_loss())
        .within([0.0, f64::INFINITY])
        .saying("mean of -ln of the probability given to what a case is; lower is better"),
    scores("expected_calibration_error", "expected calibration error", Place::Field, |cell| {
        cell.calibration.expected_calibration_error()
    })
    .spread(Spread::WithBias),
    scores(
        "expected_calibration_error_if_calibrated",
        "ECE that chance gives a calibrated model",
        Place::List,
        |cell| cell.calibration.error_if_calibrated(),
    )
    .spread(Spread::Nothing)
    .saying("what chance gives with as many cases in the same bins; compare the ECE with it"),
    // As often as not it is that of a bin with one patient.
    scores("maximum_calibration_error", "largest calibration error", Place::Nowhere, |cell| {
        cell.calibration.maximum_calibration_error()
    })
    .spread(Spread::Nothing),
    scores("calibration_slope", "calibration slope", Place::List, |cell| {
        recalibration::calibration_line(&cell.histogram).map(|[_, slope]| slope)
    })
    .within([f64::NEG_INFINITY, f64::INFINITY])
    .saying("1 is best; below, probabilities are too extreme"),
    scores("calibration_intercept", "calibration intercept", Place::List, |cell| {
        recalibration::calibration_line(&cell.histogram).map(|[intercept, _]| intercept)
    })
    .within([f64::NEG_INFINITY, f64::INFINITY])
    .saying("0 is best, beside a slope of 1"),
    scores("calibration_in_the_large", "calibration in the large", Place::List, |cell| {
        recalibration::calibration_in_the_large(&cell.histogram)
    })
    .within([f64::NEG_INFINITY, f64::INFINITY])
    .saying("above 0, probabilities are too low on the whole (in logits)"),
];

const fn scores(
    name: &'static str,
    words: &'static str,
    place: Place,
    of: fn(&ScoreCell) -> Result<f64, Undefined>,
) -> Metric {
    let (range, spread) = ([0.0, 1.0], Spread::Percentiles);
    Metric { name, words, range, says: "", place, spread, of: Source::Scores(of) }
}

const fn calls(
    name: &'static str,
    words: &'static str,
    place: Place,
    of: fn(&Confusion) -> Result<f64, Undefined>,
) -> Metric {
    let (range, spread) = ([0.0, 1.0], Spread::Percentiles);
    Metric { name, words, range, says: "", place, spread, of: Source::Calls(of) }
}

impl Metric {
    const fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    const fn spread(self, spread: Spread) -> Self {
        Self { spread, ..self }
    }

    /// With another range than from 0 to 1.
    const fn within(self, range: [f64; 2]) -> Self {
        Self { range, ..self }
    }
}
