//! Whether a study of several classes asks which of them has the largest probability.

use serde::Serialize;

/// Whether rows are counted by their class and the one with the largest probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confusion {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
}

impl Confusion {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}
