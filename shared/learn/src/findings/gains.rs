//! What the trees of a model gained by each feature.

use serde::{Deserialize, Serialize};

/// Each feature's share of what a model's splits gained, on its training rows.
///
/// Forests: scikit-learn's `feature_importances_`, each tree's gains divided by their sum, then the mean over
/// trees. Boosted trees: XGBoost's `total_gain`, summed over all trees, then divided by the sum.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TreeGains {
    /// Nobody knows them here: the model has no trees of its own, sites grew them by themselves, or it was read
    /// from a bundle or from an older file.
    #[default]
    NotKept,
    /// Of the trees that the final model has.
    Kept {
        /// One per feature, summing to 1; all 0 where no tree splits.
        shares: Vec<f64>,
    },
}

impl TreeGains {
    /// Whether there are none; such a field isn't written.
    pub fn is_not_kept(&self) -> bool {
        *self == Self::NotKept
    }
}
