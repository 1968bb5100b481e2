//! What a study asks beside its models, for whoever uses them: how unlike a row is to those that they were fitted to, and
//! probabilities that come true.

use serde::{Deserialize, Serialize};

/// Whether the study's bundle can say how unlike a row is to its training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outliers {
    /// No.
    #[default]
    Off,
    /// Yes, by the Mahalanobis distance to the nearest class mean. It takes cross products of all features by fold, which are wide.
    On,
}

impl Outliers {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// Which recalibrated probability stands beside the model's own when it is used. Isotonic regression isn't offered: its steps are
/// shares of few patients, which a report may withhold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recalibrate {
    /// None.
    #[default]
    Off,
    /// A slope and a constant on the logit (Platt 1999).
    Platt,
    /// A slope on the logit (Guo et al. 2017).
    Temperature,
}

impl Recalibrate {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// As a study file writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Platt => "platt",
            Self::Temperature => "temperature",
        }
    }
}
