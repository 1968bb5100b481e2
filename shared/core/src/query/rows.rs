//! Which rows a question is about: folds and sites.

use serde::{Deserialize, Serialize};

use crate::seed::Seed;

/// How patients are dealt into folds; `wardround-learn` has the dealing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FoldPlan {
    /// The study's seed.
    pub seed: Seed,
    /// Folds per repeat, 2 to 64.
    pub folds: u8,
    /// Independent deals, at least 1.
    pub repeats: u8,
}

/// A set of folds of one repeat, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FoldSet(pub u64);

impl FoldSet {
    /// All of `folds` folds.
    pub fn all(folds: u8) -> Self {
        Self(if folds >= 64 { u64::MAX } else { (1 << folds) - 1 })
    }

    /// One fold.
    pub fn only(fold: u8) -> Self {
        Self(1 << fold)
    }

    /// This set less one fold.
    pub fn without(self, fold: u8) -> Self {
        Self(self.0 & !(1 << fold))
    }

    /// Whether a fold is in it.
    pub fn contains(self, fold: u8) -> bool {
        fold < 64 && self.0 >> fold & 1 == 1
    }

    /// The folds in it, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |&fold| self.contains(fold))
    }
}

/// Which sites of the query count; the others answer zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SiteSet {
    /// Every site.
    All,
    /// One site, by its index in [`Query::sites`](super::Query::sites).
    Only(u16),
    /// Every site but one.
    Without(u16),
}

impl SiteSet {
    /// Whether the site with this index is in it.
    pub fn contains(self, site: u16) -> bool {
        match self {
            SiteSet::All => true,
            SiteSet::Only(only) => site == only,
            SiteSet::Without(out) => site != out,
        }
    }
}

/// Which rows count: those of patients in some folds of one repeat, at some sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowSet {
    /// Which deal of the folds.
    pub repeat: u8,
    /// The folds of that deal.
    pub folds: FoldSet,
    /// The sites.
    pub sites: SiteSet,
}
