//! Models that questions know by their scores alone: those that need the rows themselves, fitted and
//! scored in one place by whoever has them (feature-rows mode).
//!
//! Which row gets which score is whatever the asker says, so histograms of them would tell a site's rows one
//! by one: a site answers no such question ([`Query::gives_scores`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ask, DecodeError, EnsembleModel, Model, Query};
use crate::ids::SiteId;

/// Scores of rows by a model that isn't told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GivenScores {
    /// The class that counts as positive; all others are negative.
    pub class: u8,
    /// Per site, the score of each row in the cohort's order.
    pub by_site: BTreeMap<SiteId, Vec<f64>>,
}

impl Query {
    /// Whether it holds scores of rows that somebody else made.
    pub fn gives_scores(&self) -> bool {
        if let Ask::Marked(_) = &self.ask {
            return self.stands_for().gives_scores();
        }
        let (Ask::Scores { models, .. }
        | Ask::Placements { models, .. }
        | Ask::Bootstrap { models, .. }
        | Ask::Resampled { models, .. }
        | Ask::Calls { models, .. }
        | Ask::Stack { models, .. }
        | Ask::OwnSite { models, .. }) = &self.ask
        else {
            return false;
        };
        models.iter().any(is_given)
    }

    /// Whether scores fit the query.
    pub(super) fn check_given(&self, model: &GivenScores) -> Result<(), DecodeError> {
        self.check_class(model.class)?;
        super::check::check_finite("a list of scores", model.by_site.values().flatten())
    }
}

fn is_given(model: &Model) -> bool {
    match model {
        Model::Given(_) => true,
        Model::Ensemble(EnsembleModel { members, .. }) => members.iter().any(is_given),
        Model::Linear(_) | Model::Trees(_) | Model::Fourier(_) | Model::Softmax(_) => false,
    }
}
