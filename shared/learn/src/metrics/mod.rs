//! Metrics of binary classifiers from sums alone: what the coordinator computes from score
//! histograms, calibration sums and placement sums, without ever seeing a score.
//!
//! Names and definitions are scikit-learn's. Where scikit-learn warns and answers 0, or a constant
//! stands in elsewhere, a metric here is a `Result<f64, Undefined>` that says why there is no
//! number. Counts are added and multiplied as integers, so a metric is the same bits for every
//! split of the rows into sites and every order in which they are merged.
//!
//! Start with [`cells`] (answers of the sites into cells), then [`ranking`], [`threshold`],
//! [`confusion`], [`calibration`], [`recalibration`], [`interval`], [`resampled`], [`fairness`], [`random_effects`],
//! [`uncertainty`] ([`recalibrate`], [`conformal`], [`abstention`]); [`judge`] puts them together for the report.

pub mod abstention;
pub mod agreement;
pub mod calibration;
pub mod called;
pub mod cells;
pub mod classes;
pub mod conformal;
pub mod confusion;
pub mod decision;
pub mod fairness;
pub mod histogram;
pub mod interval;
pub mod judge;
pub mod random_effects;
pub mod ranking;
pub mod recalibrate;
pub mod recalibration;
pub mod registry;
pub mod resampled;
pub mod steps;
pub mod threshold;
pub mod uncertainty;

pub use calibration::CalibrationSums;
pub use cells::ScoreCell;
pub use confusion::Confusion;
pub use histogram::ScoreHistogram;
pub use interval::PlacementSums;
pub use threshold::Threshold;

/// Why a metric has no value on these rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Undefined {
    /// Nothing to judge.
    #[error("no rows")]
    NoRows,
    /// A share of the positives, or pairs with them, of none.
    #[error("no positive rows")]
    NoPositives,
    /// A share of the negatives, or pairs with them, of none.
    #[error("no negative rows")]
    NoNegatives,
    /// No site has a pair to compare.
    #[error("no site has both positive and negative rows")]
    NoSiteWithBoth,
    /// A share of the rows called positive, of none.
    #[error("no row is called positive at the threshold")]
    NoneCalledPositive,
    /// A share of the rows called negative, of none.
    #[error("no row is called negative at the threshold")]
    NoneCalledNegative,
    /// A variance needs two patients (or, without patients, rows) of each class.
    #[error("fewer than two patients with a positive or with a negative row")]
    TooFewPatients,
    /// The estimated variance is zero: perfect separation, or one score for all.
    #[error("the scores don't vary between patients of a class")]
    NoSpread,
    /// A mean of sites needs two, a prediction for another three.
    #[error(
        "too few sites have an AUC with an interval: two are needed, three to predict another's"
    )]
    TooFewSites,
    /// Both readers gave every row the same class: chance can't disagree.
    #[error("both readers gave every row the same class")]
    OneClass,
    /// A logistic regression of the label on the score has no optimum.
    #[error("the scores separate the classes, or are all the same")]
    Separated,
    /// Even the outermost threshold misses what was asked for.
    #[error("no threshold reaches the rate asked for")]
    Unreachable,
}

/// Sums that make no cell: the fault of whoever computed them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CellError {
    /// Merged, or cut at a threshold, across different bins.
    #[error(
        "expected {expected_count} bins over +-{expected_half_width}, got {count} over +-{half_width}"
    )]
    OtherBins {
        /// Bins expected.
        expected_count: u32,
        /// Half width expected.
        expected_half_width: f64,
        /// Bins that came.
        count: u32,
        /// Half width that came.
        half_width: f64,
    },
    /// A block with too few or too many numbers.
    #[error("expected {expected} numbers in '{block}', got {got}")]
    Shape {
        /// The block.
        block: &'static str,
        /// Numbers expected.
        expected: usize,
        /// Numbers that came.
        got: usize,
    },
    /// A count below zero.
    #[error("expected a count in '{block}', got {got}")]
    NegativeCount {
        /// The block.
        block: &'static str,
        /// What came.
        got: i64,
    },
    /// The same rows counted differently by score and by probability.
    #[error(
        "expected {expected} rows in the calibration bins as in the score histogram, got {got}"
    )]
    RowsDisagree {
        /// Rows of the histogram.
        expected: u64,
        /// Rows of the calibration bins.
        got: u64,
    },
    /// The query asks for something else.
    #[error("expected a query for {expected}, got one for {got}")]
    OtherQuery {
        /// What this reads.
        expected: &'static str,
        /// What was asked.
        got: &'static str,
    },
    /// A threshold that is no probability.
    #[error("expected a probability between 0 and 1, got {0}")]
    Probability(f64),
    /// Nothing to put together.
    #[error("expected at least one cell, got none")]
    NoCells,
    /// A site that neither has a model of its own nor says why, or both.
    #[error("expected a site's own model or one reason why there is none, got {got}")]
    Models {
        /// Models and reasons that came.
        got: i64,
    },
    /// Sites' placement sums that don't belong to the sites' histograms.
    #[error("expected placement sums of {expected} sites, got {got}")]
    Sites {
        /// Sites with a histogram.
        expected: usize,
        /// Sites with placement sums.
        got: usize,
    },
}
