//! Several classifiers of a study whose scores are put together.

use serde::{Deserialize, Serialize};

use super::Classifier;

/// Classifiers of a study whose scores make one; each member's grid point is the one that was chosen for
/// it, without the rows that are judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ensemble {
    /// How.
    pub kind: EnsembleKind,
    /// Indices into [`super::Study::classifiers`], ascending, at least two.
    pub members: Vec<u8>,
}

/// How members' scores are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnsembleKind {
    /// The mean of the members' probabilities.
    SoftVote,
    /// A logistic regression on the members' logits, fitted to their out-of-fold scores (Wolpert 1992).
    Stacking,
}

/// An ensemble in place of a grid point: it has no grid of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsemblePoint {
    /// How scores are put together.
    pub ensemble: EnsembleKind,
    /// How many members it has.
    pub members: u8,
}

/// What makes the models of a combination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Learner<'a> {
    /// A classifier.
    Classifier(&'a Classifier),
    /// Several together.
    Ensemble(&'a Ensemble),
}

impl EnsembleKind {
    /// The word for it in a study file.
    pub fn word(self) -> &'static str {
        match self {
            Self::SoftVote => "soft-vote",
            Self::Stacking => "stacking",
        }
    }
}

impl Ensemble {
    /// What stands in place of its grid.
    pub fn point(&self) -> EnsemblePoint {
        EnsemblePoint { ensemble: self.kind, members: self.members.len() as u8 }
    }
}
