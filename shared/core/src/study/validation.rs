//! How a study is validated: folds, what is judged, how a grid point and a threshold are chosen, and what stands beside.

use serde::{Deserialize, Serialize};

use super::{
    Bootstrap, Confusion, LearningCurve, Matrix, Outliers, OwnSiteBaseline, Recalibrate, Shortcuts,
};
use crate::query::JudgedUnit;

/// How a study is validated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// Folds, 2 to 64 (3 to 64 with nested selection, which the figure of a chosen model needs).
    pub folds: u8,
    /// Repeats of the deal, 1 to 20.
    pub repeats: u8,
    /// Whether every site is left out once.
    pub leave_one_site_out: bool,
    /// What is judged: each row, or the rows of an exam or a patient together.
    #[serde(skip_serializing_if = "JudgedUnit::is_row")]
    pub judge: JudgedUnit,
    /// Which figure chooses among grid points.
    pub choose_by: ChooseBy,
    /// Which grid point it chooses.
    pub choose: Choose,
    /// Which points of a grid are tried.
    pub search: Search,
    /// From which probability a row is called positive.
    #[serde(skip_serializing_if = "ThresholdRule::is_youden")]
    pub threshold: ThresholdRule,
    /// How often patients are drawn again for intervals.
    #[serde(skip_serializing_if = "Bootstrap::is_usual")]
    pub bootstrap: Bootstrap,
    /// Whether each site also fits the classifier to its own patients alone.
    #[serde(skip_serializing_if = "OwnSiteBaseline::is_off")]
    pub own_site_baseline: OwnSiteBaseline,
    /// Whether models of one site alone are judged at every site.
    #[serde(skip_serializing_if = "Matrix::is_off")]
    pub matrix: Matrix,
    /// Whether the bundle can say how unlike a row is to its training rows.
    #[serde(skip_serializing_if = "Outliers::is_off")]
    pub outliers: Outliers,
    /// Which recalibrated probability stands beside the model's own when it is used.
    #[serde(skip_serializing_if = "Recalibrate::is_off")]
    pub recalibrate: Recalibrate,
    /// Whether it is looked at how well features tell site and subgroups, and whether scores follow them.
    #[serde(skip_serializing_if = "Shortcuts::is_off")]
    pub shortcuts: Shortcuts,
    /// Whether the chosen model is fitted to parts of its training patients as well.
    #[serde(skip_serializing_if = "LearningCurve::is_off")]
    pub learning_curve: LearningCurve,
    /// Whether rows are counted by their class and the one with the largest probability.
    #[serde(skip_serializing_if = "Confusion::is_off")]
    pub confusion: Confusion,
}

/// Which grid point is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    /// The one with the largest AUC.
    Best,
    /// The simplest one whose AUC is within one standard error of the largest (Breiman, Friedman, Olshen and Stone 1984, section
    /// 3.4.3).
    OneStandardError,
}

/// From which probability a row is called positive: always chosen on scores of rows that had no part in the model, and
/// never on those that it is judged on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdRule {
    /// The one with the largest sum of sensitivity and specificity (Youden 1950).
    #[default]
    Youden,
    /// The highest one that calls at least this share of the positive rows so; above 0, below 1.
    Sensitivity(f64),
    /// The lowest one that calls at least this share of the negative rows so; above 0, below 1.
    Specificity(f64),
    /// The one of least cost where a missed positive row costs as much as so many false alarms; above 0.
    MissCost(f64),
}

impl ThresholdRule {
    /// Whether it is the usual one.
    pub fn is_youden(&self) -> bool {
        *self == Self::Youden
    }

    /// What it wants, in words.
    pub fn words(self) -> String {
        match self {
            Self::Youden => "the largest sum of sensitivity and specificity".to_owned(),
            Self::Sensitivity(share) => format!("a sensitivity of at least {share}"),
            Self::Specificity(share) => format!("a specificity of at least {share}"),
            Self::MissCost(cost) => format!("least cost, a miss costing {cost} false alarms"),
        }
    }
}

/// Which points of a grid are tried, and on how many folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Search {
    /// All.
    Grid,
    /// So many of each classifier, at least 1, drawn by the study's seed; all where there are no more (Bergstra and Bengio 2012).
    Random(u16),
    /// They race (successive halving: Jamieson and Talwalkar 2016).
    Halving(Halving),
}

/// A race of grid points. The resource is folds, not rows: every point is judged on one inner fold, the best of
/// them on `eta` times as many, and so on; those that are judged on all inner folds are chosen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Halving {
    /// Of so many points one goes on, 2 to 256.
    pub eta: u16,
    /// Which points start.
    pub candidates: Candidates,
}

/// Which points of a grid start a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Candidates {
    /// All.
    Grid,
    /// So many, drawn as [`Search::Random`] draws them.
    Random(u16),
}

/// Which AUC chooses among grid points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChooseBy {
    /// Pairs of patients of one site only.
    WithinSites,
    /// All sites in one list.
    OneList,
}
