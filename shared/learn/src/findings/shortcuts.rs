//! Columns that features tell and scores may follow, and how far sites' features lie apart.

use serde::{Deserialize, Serialize};

use super::Figure;

/// How well features tell a row's site and subgroups, and how much the score follows them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Shortcuts {
    /// The study doesn't ask for it.
    #[default]
    NotAsked,
    /// It does.
    Asked(ShortcutsFound),
    /// It does, and the models that tell sites and levels have no solution.
    Unfit {
        /// Why.
        reason: String,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShortcutsFound {
    /// The penalty's inverse strength.
    pub c: f64,
    /// The sites where there are several, then each subgroup column.
    pub columns: Vec<ShortcutColumn>,
    /// Numbers of the first and the last answered question, counted from 1: lines of the journal.
    pub rounds: [u64; 2],
}

/// A column whose levels features may tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShortcutColumn {
    /// Which.
    pub of: ShortcutOf,
    /// Its levels in their order.
    pub levels: Vec<ShortcutLevel>,
}

/// What a column is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ShortcutOf {
    /// The sites.
    Site,
    /// A subgroup column.
    Subgroup {
        /// Its index.
        column: usize,
    },
}

/// A site or a level of a subgroup column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ShortcutLevel {
    /// It was looked at.
    Judged(Box<JudgedLevel>),
    /// It is the rest of the column's only other level, and told as well as that.
    Rest,
    /// Nobody is of it.
    Empty,
    /// Too few patients are of it, or aren't, at all sites or in a fold of one.
    TooFew,
    /// A question has room for so many levels, and this is one more.
    TooMany,
}

/// A level that was looked at. All figures are out of fold, all sites in one list, of the first deal of the folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedLevel {
    /// Patients with a row of another level, with a row of this one.
    pub patients: [u64; 2],
    /// Rows of other levels, of this one.
    pub rows: [u64; 2],
    /// AUC of a logistic model of the features that tells the level from the rest.
    pub auc: Figure,
    /// One entry per modelled class.
    pub follows: Vec<FollowedLevel>,
}

/// How well the score of a modelled class tells the level among rows that are alike in the class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowedLevel {
    /// The class that counts as positive.
    pub class: u8,
    /// Among its negative, among its positive rows.
    pub among: [Among; 2],
}

/// A level among rows that are alike in the class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Among {
    /// Patients with a row of another level, with a row of this one.
    pub patients: [u64; 2],
    /// AUC of the score for the level: above a half where rows of the level score higher.
    pub auc: Figure,
}

/// How far sites' features lie apart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Shift {
    /// No classifier of the study needs the features' moments by site, or there is one site.
    #[default]
    NotAsked,
    /// From moments that were asked for.
    Known {
        /// Each site beside all others together.
        from_others: Vec<Distance>,
        /// Per pair of sites, the first before the second: (0, 1), (0, 2), ..., (1, 2), ...
        pairs: Vec<Distance>,
    },
}

/// How far the features of some rows lie from those of others. A feature's standardised difference is the difference of its means
/// by the square root of the mean of both variances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Features that vary on both sides; the others have no standardised difference.
    pub features: u32,
    /// Root mean square of standardised differences; 0 without features.
    pub root_mean_square: f64,
    /// What that would be about if only chance told the rows' patients apart.
    pub by_chance: f64,
    /// Share of features whose standardised difference is beyond 0.2, beyond 0.5.
    pub beyond: [f64; 2],
    /// The largest standardised difference, without its sign.
    pub largest: f64,
    /// The feature that has it.
    pub largest_feature: u32,
    /// Geometric mean over features of the first side's variance by the second's.
    pub variance_ratio: f64,
}

impl Shortcuts {
    /// Whether the study doesn't ask for it.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}

impl Shift {
    /// Whether nothing is known.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}
