//! What more patients would be worth: models fitted to parts of the training patients.

use serde::{Deserialize, Serialize};
use wardround_core::query::Unfit;

use super::Figure;

/// A learning curve. Of several classifiers, for one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LearningCurve {
    /// The study doesn't ask for it.
    #[default]
    NotAsked,
    /// It does.
    Asked {
        /// Index among the study's combinations: of the chosen one, or where that is an ensemble of the best
        /// classifier.
        combination: usize,
        /// One entry per modelled class.
        classes: Vec<CurveOfClass>,
        /// Numbers of the first and the last answered question, counted from 1: lines of the journal.
        rounds: [u64; 2],
    },
}

/// One modelled class of [`LearningCurve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveOfClass {
    /// The class that counts as positive.
    pub class: u8,
    /// Index into the grid: the choice on all rows, which every model of the curve is fitted at.
    pub point: usize,
    /// From the fewest patients to all of them.
    pub steps: Vec<CurveStep>,
    /// AUC within sites of the last step less that of the one before. The interval is of draws of the patients, the same for both
    /// steps; it is of these fitted models.
    pub last_gain: Figure,
}

/// Models that are fitted to so many folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveStep {
    /// How many folds each model is fitted to.
    pub folds: u8,
    /// What the models come to.
    pub models: CurveModels,
}

/// What the models of a step come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum CurveModels {
    /// Out of fold, every fold of the first deal by the model of the folds that follow it.
    Judged {
        /// Over pairs of one site.
        auc_within_sites: Figure,
        /// In one list.
        auc_one_list: Figure,
    },
    /// So few patients can't be fitted.
    Unfit {
        /// Why.
        reason: Unfit,
    },
}

/// Why a part of the training patients can't be fitted, in words.
pub fn why_unfit(reason: Unfit) -> &'static str {
    match reason {
        Unfit::OneClass => "a part holds one class only",
        Unfit::NothingToCompare => "a part has too few of both classes",
        Unfit::NoSolution => "a fit to so few has no solution",
    }
}

impl LearningCurve {
    /// Whether the study doesn't ask for it.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}
