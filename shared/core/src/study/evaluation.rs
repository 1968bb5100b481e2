//! What a study is for: to fit a model, or to judge one that was fitted before on rows that had no part in it.

use serde::{Deserialize, Serialize};

use super::Study;
use crate::digest::Digest;

/// What a study is for.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum StudyKind {
    /// Models are fitted, and judged by cross-validation.
    #[default]
    Train,
    /// A finished model is judged; nothing is fitted.
    Evaluate(Evaluation),
}

/// Which model is judged, and what would be an alarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// SHA-256 of the model bundle.
    pub model: Digest,
    /// Where the lead's own machine has it, relative to the study file.
    pub file: String,
    /// Limits, each of one figure; none: nothing alarms.
    pub drift: Vec<DriftLimit>,
}

/// A limit of a figure of all sites together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftLimit {
    /// The figure.
    pub figure: DriftFigure,
    /// What it shall not cross. Of [`DriftFigure::AucDrop`] how far the AUC may lie below the training study's.
    pub limit: f64,
}

/// Which figure has a limit, and on which side of it alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftFigure {
    /// The AUC within sites alarms below.
    AucBelow,
    /// The AUC within sites alarms where it lies more than so far below that of the training study's nested folds.
    AucDrop,
    /// Sensitivity at the bundle's threshold alarms below.
    SensitivityBelow,
    /// Specificity at the bundle's threshold alarms below.
    SpecificityBelow,
    /// The Brier score alarms above.
    BrierAbove,
    /// The expected calibration error alarms above. It is never 0 by chance: of few rows even a perfect model's is large.
    EceAbove,
}

impl DriftFigure {
    /// All, in the order in which a report has them.
    pub const ALL: [Self; 6] = [
        Self::AucBelow,
        Self::AucDrop,
        Self::SensitivityBelow,
        Self::SpecificityBelow,
        Self::BrierAbove,
        Self::EceAbove,
    ];

    /// Its key under `[drift]`.
    pub fn key(self) -> &'static str {
        match self {
            Self::AucBelow => "auc_below",
            Self::AucDrop => "auc_drop",
            Self::SensitivityBelow => "sensitivity_below",
            Self::SpecificityBelow => "specificity_below",
            Self::BrierAbove => "brier_above",
            Self::EceAbove => "ece_above",
        }
    }

    /// What it is called.
    pub fn words(self) -> &'static str {
        match self {
            Self::AucBelow | Self::AucDrop => "AUC within sites",
            Self::SensitivityBelow => "sensitivity",
            Self::SpecificityBelow => "specificity",
            Self::BrierAbove => "Brier score",
            Self::EceAbove => "expected calibration error",
        }
    }

    /// Whether values above the limit alarm.
    pub fn alarms_above(self) -> bool {
        matches!(self, Self::BrierAbove | Self::EceAbove)
    }
}

impl StudyKind {
    /// Whether models are fitted.
    pub fn is_train(&self) -> bool {
        *self == Self::Train
    }
}

impl Study {
    /// Which model is judged, where nothing is fitted.
    pub fn evaluation(&self) -> Option<&Evaluation> {
        match &self.kind {
            StudyKind::Train => None,
            StudyKind::Evaluate(evaluation) => Some(evaluation),
        }
    }
}
