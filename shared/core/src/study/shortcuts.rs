//! Whether a study looks for shortcuts: columns that features tell and scores may follow.

use serde::Serialize;

use crate::query::MOST_MARKS;

/// Whether models are fitted that tell a row's site, and its level of each subgroup column, from its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shortcuts {
    /// No.
    #[default]
    Off,
    /// Yes, of at most [`MOST_MARKS`] sites and levels.
    On,
}

impl Shortcuts {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// The penalty of those models: inverse strength 1 / features, on standardised features. Before any row was seen, a logit then
    /// has a standard deviation of about 1, however many features there are.
    pub fn c(features: u32) -> f64 {
        1.0 / f64::from(features.max(1))
    }

    /// How many sites and levels are looked at, of so many.
    pub fn marks(all: usize) -> usize {
        all.min(MOST_MARKS)
    }
}
