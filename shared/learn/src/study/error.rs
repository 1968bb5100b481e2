//! Why a study ends without findings.

use wardround_core::ids::SiteId;
use wardround_core::query::DecodeError;
use wardround_core::sum::SumError;

use crate::cohort::CohortError;
use crate::metrics::CellError;

/// Why a study ends without findings. [`StudyError::Cohort`] with
/// [`CohortError::SiteLost`] is the one that a caller may answer by starting again without the site.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StudyError {
    /// One of several classifiers can't be fitted or judged.
    #[error("{classifier}: {source}")]
    Of {
        /// Its name in the study.
        classifier: String,
        /// Why.
        source: Box<StudyError>,
    },
    /// The cohort didn't answer.
    #[error(transparent)]
    Cohort(#[from] CohortError),
    /// Too few sites for what the study asks.
    #[error("{what} needs at least {expected} sites, this study has {got}")]
    TooFewSites {
        /// What needs them.
        what: &'static str,
        /// Sites needed.
        expected: usize,
        /// Sites there are.
        got: usize,
    },
    /// Too few folds for a nested choice.
    #[error(
        "choosing among {points} grid points, or how many trees they have, needs at least 3 folds, this study \
         has {folds}"
    )]
    TooFewFolds {
        /// Grid points.
        points: usize,
        /// Folds.
        folds: u8,
    },
    /// A training set has only one of the two classes, so no model can be fitted to it.
    #[error(
        "the training rows {rows} hold {positives} of class '{class}' among {total}; \
         a model needs both classes"
    )]
    OneClassOnly {
        /// Which rows.
        rows: String,
        /// The class that counts as positive.
        class: String,
        /// Rows of that class.
        positives: u64,
        /// All rows.
        total: u64,
    },
    /// No two rows can be compared, so no model can be chosen.
    #[error("nothing to choose a model by for class '{class}' {when}: {why}")]
    NothingToCompare {
        /// The class that counts as positive.
        class: String,
        /// At which choice.
        when: String,
        /// What is lacking.
        why: String,
    },
    /// A fit made no progress.
    #[error(
        "the fit to rows {rows} with C = {c} stopped after {steps} steps at a gradient of \
         {gradient} without reaching the optimum"
    )]
    NotConverged {
        /// Which rows.
        rows: String,
        /// Its C.
        c: String,
        /// Steps taken.
        steps: u32,
        /// Largest entry of the gradient.
        gradient: String,
    },
    /// A linear system has no solution.
    #[error(
        "the features of rows {rows} depend on each other, and {point} doesn't keep them apart; \
         ways out: more rows, fewer features, or more of a penalty or shrinkage"
    )]
    Singular {
        /// Which rows.
        rows: String,
        /// The grid point.
        point: String,
    },
    /// A number left the fixed point's range at the coarsest scale that is allowed.
    #[error("{phase}: {source}; are there extreme values in a feature?")]
    OutOfRange {
        /// What was asked.
        phase: &'static str,
        /// Which block.
        source: SumError,
    },
    /// An answer isn't one to the question.
    #[error("the cohort's answer doesn't fit the question: {0}")]
    Answer(SumError),
    /// An answer lacks sites of the study or has others.
    #[error("expected the sum over sites {expected}, got one over {got}")]
    OtherSites {
        /// The study's sites.
        expected: String,
        /// The answer's.
        got: String,
    },
    /// A site's answer isn't a forest of its own.
    #[error("site {site} was asked for trees of its own and answered something else: {what}")]
    NoTree {
        /// The site whose place in the answer it is.
        site: SiteId,
        /// What is wrong.
        what: String,
    },
    /// The study doesn't fit the schema or the list of sites.
    #[error("the study doesn't fit: {0}")]
    Unfit(String),
    /// An answer's scores make no histogram.
    #[error("the cohort's scores are inconsistent: {0}")]
    Scores(#[from] CellError),
    /// A question would be malformed.
    #[error(transparent)]
    Question(#[from] DecodeError),
}

impl StudyError {
    /// The same of one of several classifiers; what the cohort says is about the study as a whole.
    pub(crate) fn of(self, classifier: &str) -> Self {
        match self {
            Self::Cohort(_) | Self::Of { .. } => self,
            source => Self::Of { classifier: classifier.to_owned(), source: Box::new(source) },
        }
    }
}
