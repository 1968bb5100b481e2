//! What a study asks so that a hospital sees what it gains by joining.

use serde::Serialize;

/// Whether each site also fits the study's classifier to its own patients alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnSiteBaseline {
    /// No.
    #[default]
    Off,
    /// Yes, locally, with the same folds and the same nested choice; only what judges it leaves.
    On,
}

/// Whether models of one site alone are judged at every site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Matrix {
    /// No.
    #[default]
    Off,
    /// Yes, of the sites whose owners let such a model leave.
    On,
}

impl OwnSiteBaseline {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

impl Matrix {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}
