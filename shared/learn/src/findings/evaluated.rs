//! Which model was judged, where a study fits nothing.

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;

use crate::bundle::Summary;

/// Whether findings are of a finished model that was judged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Evaluated {
    /// Models were fitted, and judged by cross-validation.
    #[default]
    Fitted,
    /// Nothing was fitted.
    Bundle(EvaluatedBundle),
}

/// Where the judged model comes from, as its bundle says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluatedBundle {
    /// SHA-256 of the bundle.
    pub digest: Digest,
    /// The study that fitted it.
    pub study: String,
    /// SHA-256 of that study's file.
    pub study_digest: Digest,
    /// Name and version of the software that fitted it.
    pub software: String,
    /// What it is, in words.
    pub learner: String,
    /// The sites whose rows it was fitted to, sorted.
    pub sites: Vec<SiteId>,
    /// How that study judged it by nested folds, one per modelled class.
    pub figures: Vec<Summary>,
}

impl Evaluated {
    /// Whether models were fitted.
    pub fn is_fitted(&self) -> bool {
        *self == Self::Fitted
    }

    /// The model that was judged.
    pub fn bundle(&self) -> Option<&EvaluatedBundle> {
        match self {
            Self::Fitted => None,
            Self::Bundle(bundle) => Some(bundle),
        }
    }
}
