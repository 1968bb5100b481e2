//! What sites are adjusted to by ComBat: the moments of all sites' training rows, as queries carry them.
//! `wardround-learn` has the adjustment itself.

use serde::{Deserialize, Serialize};

use super::{DecodeError, FoldSet, Query};

/// Mean and deviation of the training rows, in the frame's units; each site works out from these and its
/// own rows how far it is off, and shrinks that towards what is usual of its features (Johnson, Li and
/// Rabinovic, Biostatistics 2007;8:118).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Combat {
    /// Of which folds of the model's repeat a site takes its own rows.
    pub folds: FoldSet,
    /// The mean of each feature over all sites.
    pub mean: Vec<f64>,
    /// The deviation of each feature within sites, pooled over them (n in the denominator); 0 where it
    /// is constant within every site.
    pub deviation: Vec<f64>,
}

impl Query {
    /// Whether the moments fit the rows.
    pub(super) fn check_combat(&self, combat: &Combat) -> Result<(), DecodeError> {
        self.check_folds(combat.folds)?;
        let d = self.schema.features as usize;
        let Combat { mean, deviation, .. } = combat;
        if mean.len() != d || deviation.len() != d {
            let (mean, deviation) = (mean.len(), deviation.len());
            let what = format!("{mean} means, {deviation} deviations for {d} features");
            return Err(DecodeError::Inconsistent(what));
        }
        super::check::check_finite("an adjustment of sites", mean.iter().chain(deviation))?;
        match deviation.iter().all(|s| *s >= 0.0) {
            true => Ok(()),
            false => Err(DecodeError::Inconsistent("a deviation below 0".into())),
        }
    }
}
