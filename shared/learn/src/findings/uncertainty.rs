//! What is learned from some outer folds' scores and judged on another's.

use serde::{Deserialize, Serialize};

use crate::metrics::abstention::Kept;
use crate::metrics::conformal::SetCounts;
use crate::metrics::recalibrate::{Fit, Method};

/// Recalibration, conformal sets and abstention. Everything is cross-fitted over the outer folds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Uncertainty {
    /// Every method.
    pub recalibrated: Vec<Recalibrated>,
    /// Every kind of sets.
    pub conformal: Vec<ConformalSets>,
    /// Calls at thresholds of sites, and of each subgroup column's levels, by themselves.
    pub own_thresholds: Vec<OwnThresholds>,
    /// Calls of the rows that are kept, by [`crate::metrics::abstention::SHARES`].
    pub kept: Vec<Kept>,
}

impl Uncertainty {
    /// Whether there is nothing, as in findings of a format that didn't have it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Probabilities after a map that was fitted to the other folds' scores, all sites in one list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalibrated {
    /// The map.
    pub method: Method,
    /// How far they are from what happens.
    pub fit: RecalibratedFit,
}

/// How far probabilities are from what happens, or why that can't be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RecalibratedFit {
    /// So far.
    Known(Fit),
    /// A map can't be fitted.
    Undefined {
        /// Why.
        reason: String,
    },
}

impl From<Result<Fit, String>> for RecalibratedFit {
    fn from(fit: Result<Fit, String>) -> Self {
        match fit {
            Ok(fit) => Self::Known(fit),
            Err(reason) => Self::Undefined { reason },
        }
    }
}

/// Sets of classes that hold the right one in nine of ten rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConformalSets {
    /// What their limits are taken from.
    pub kind: SetsKind,
    /// All sites in one list.
    pub all: SetCounts,
    /// Each site; nothing for limits by subgroup.
    pub by_site: Vec<SetCounts>,
    /// Each subgroup column and level; for limits by subgroup of that column alone.
    pub by_subgroup: Vec<Vec<SetCounts>>,
}

/// Calls at thresholds that sites, or a column's levels, choose by their own rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnThresholds {
    /// Whose.
    pub of: OwnOf,
    /// True positives, false positives, true negatives, false negatives of each.
    pub calls: Vec<[u64; 4]>,
}

/// Who chooses a threshold of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnOf {
    /// Every site.
    Sites,
    /// Every level of a subgroup column, by the column's number.
    Levels(u8),
}

/// What limits of conformal sets are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetsKind {
    /// All rows of the other folds.
    Together,
    /// Those of the class, class by class.
    ByClass,
    /// Those of the level of a subgroup column, by the column's number.
    BySubgroup(u8),
}

/// What is learned from the scores of all outer folds of the first repeat, for the final model: its own scores of these rows would be
/// those of rows that it was fitted to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FinalLimits {
    /// Nothing, as in findings of a format that didn't have it.
    #[default]
    NotLearned,
    /// Limits of conformal sets, and recalibrations.
    Learned(LearnedLimits),
}

impl FinalLimits {
    /// Whether there are none.
    pub fn is_not_learned(&self) -> bool {
        *self == Self::NotLearned
    }
}

/// Limits of conformal sets of each class, and lines that recalibrate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnedLimits {
    /// The probability below which a row may be of another class; 1 where it always may.
    pub negative_below: f64,
    /// The probability from which a row may be of the class; 0 where it always may.
    pub positive_from: f64,
    /// Platt's map.
    pub platt: LineFit,
    /// Temperature scaling.
    pub temperature: LineFit,
}

/// A straight line on the logit, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum LineFit {
    /// This line.
    Known {
        /// Its constant.
        intercept: f64,
        /// Its slope.
        slope: f64,
    },
    /// It can't be fitted.
    Undefined {
        /// Why.
        reason: String,
    },
}
