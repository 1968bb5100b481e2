//! What was found of several classes together: means over classes, and which of them has the largest probability.

use serde::{Deserialize, Serialize};

use super::{Figure, NamedFigure};

/// Means over classes of figures of each class against the rest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ClassMeans {
    /// One class is modelled, or findings are of a format that didn't have them.
    #[default]
    One,
    /// Several are.
    Several(MeansOfCells),
}

/// Means over classes, cell by cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeansOfCells {
    /// All sites in one list.
    pub one_list: Vec<ClassMean>,
    /// Each site.
    pub by_site: Vec<Vec<ClassMean>>,
    /// Each subgroup column and level.
    pub by_subgroup: Vec<Vec<Vec<ClassMean>>>,
}

/// A mean over classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMean {
    /// The metric's name; scikit-learn's where it has one.
    pub name: String,
    /// How classes count.
    pub average: Average,
    /// The mean; a class where the metric is undefined leaves it undefined.
    pub figure: Figure,
}

/// How classes count in a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Average {
    /// All the same.
    Macro,
    /// By how many rows have them.
    Weighted,
    /// Not at all: the calls of all classes make one table.
    Micro,
}

impl Average {
    /// As scikit-learn writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Macro => "macro",
            Self::Weighted => "weighted",
            Self::Micro => "micro",
        }
    }
}

impl ClassMeans {
    /// Whether there are none.
    pub fn are_of_one(&self) -> bool {
        *self == Self::One
    }
}

/// Whether rows are counted by their class and the one with the largest probability.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Calls {
    /// The study doesn't ask.
    #[default]
    NotAsked,
    /// It does.
    Asked(CallTables),
}

/// Rows by class and call, cell by cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallTables {
    /// All sites together.
    pub all: CallTable,
    /// Each site.
    pub by_site: Vec<CallTable>,
    /// Each subgroup column and level.
    pub by_subgroup: Vec<Vec<CallTable>>,
}

/// Rows by class and call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallTable {
    /// Rows by class and, fastest, call; of the first deal of folds.
    pub rows: Vec<u64>,
    /// Patients with such a row.
    pub patients: Vec<u64>,
    /// In the order of [`crate::metrics::called::CALLED`]; means over the deals.
    pub figures: Vec<NamedFigure>,
}

impl Calls {
    /// Whether the study doesn't ask.
    pub fn are_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}
