//! What a hospital gains by joining: each site's own model beside the federated one, and models of single
//! sites at every site.

use serde::{Deserialize, Serialize};
use wardround_core::query::Unfit;

use super::{Figure, Figures};

/// Each site's own model beside the federated one, on the site's own patients. Of several classifiers, for one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OwnSites {
    /// The study doesn't ask for it.
    #[default]
    NotAsked,
    /// It does.
    Asked {
        /// Index among the study's combinations: of the chosen one, or where that is an ensemble of the best
        /// classifier.
        combination: usize,
        /// One entry per modelled class.
        classes: Vec<OwnSitesOfClass>,
        /// Numbers of the first and the last answered question, counted from 1: lines of the journal.
        rounds: [u64; 2],
    },
}

/// One modelled class of [`OwnSites`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnSitesOfClass {
    /// The class that counts as positive.
    pub class: u8,
    /// One entry per site.
    pub sites: Vec<OwnSite>,
}

/// A site's own model: fitted to, chosen on and judged on its own patients alone, with the study's folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum OwnSite {
    /// There is one.
    Fitted(Box<OwnModel>),
    /// There is none.
    Unfit {
        /// Why.
        reason: Unfit,
    },
}

/// What a site's own model comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnModel {
    /// Its nested out-of-fold figures.
    pub own: Figures,
    /// The federated model's nested out-of-fold AUC on the same patients.
    pub federated: Figure,
    /// The federated model's AUC less the site's own model's. The interval is paired by patient: DeLong's of
    /// a difference, clustered as Obuchowski's; conditional on both models.
    pub gain: Figure,
}

impl OwnSites {
    /// Whether the study doesn't ask for it.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}

/// Models of single sites, judged at every site. Of several classifiers, for one. What its federated model and those
/// without a site reach there stands in [`super::TargetFindings`] or, where it isn't the chosen one, in
/// [`super::ComparedClass`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Matrix {
    /// The study doesn't ask for it.
    #[default]
    NotAsked,
    /// It does.
    Asked {
        /// Index among the study's combinations: of the chosen one, or where that is an ensemble of the best
        /// classifier.
        combination: usize,
        /// One entry per modelled class.
        classes: Vec<MatrixOfClass>,
        /// Numbers of the first and the last answered question, counted from 1: lines of the journal.
        rounds: [u64; 2],
    },
}

/// One modelled class of [`Matrix`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixOfClass {
    /// The class that counts as positive.
    pub class: u8,
    /// Index into the grid: the federated choice, which all of these models are fitted at.
    pub point: usize,
    /// One entry per site.
    pub trained_at: Vec<TrainedAt>,
}

/// A model fitted to one site's rows alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum TrainedAt {
    /// It was fitted.
    Judged {
        /// Its AUC at each site: at its own out of fold, the mean over repeats; at the others of all their rows.
        auc: Vec<Figure>,
    },
    /// The site's owner doesn't let such a model leave.
    Refused,
    /// The site's rows can't be fitted.
    Unfit {
        /// Why.
        reason: Unfit,
    },
}

impl Matrix {
    /// Whether the study doesn't ask for it.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}
