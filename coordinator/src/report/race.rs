//! Races of grid points in the report: which point was judged on how many folds, for which choice.

use serde::{Deserialize, Serialize};
use wardround_core::study::GridPoint;
use wardround_learn::findings::{Findings, RaceOf, RaceResult, Races, TargetFindings};

use super::check::{BuildError, below};
use super::slices::TargetMask;
use super::values::Estimate;

/// The race for one choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaceSection {
    /// What was chosen by it: the final model, that of an outer fold, or that without a site.
    pub of: String,
    /// One per grid point.
    pub trials: Vec<TrialRow>,
}

/// How far a grid point came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRow {
    /// The grid point.
    pub point: GridPoint,
    /// Held-out folds that it was judged on before it left, or all.
    pub folds: u32,
    /// Its AUC on them, of the kind that the study chooses by.
    pub auc: Estimate,
}

/// The races of a modelled class.
pub(super) fn races(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    folds: usize,
) -> Result<Vec<RaceSection>, BuildError> {
    let Races::Halved { races, .. } = &target.races else { return Ok(Vec::new()) };
    let section = |race: &RaceResult| {
        let (what, expected, got) = ("points of a race", findings.grid.len(), race.trials.len());
        if expected != got {
            return Err(BuildError::Size { what, expected, got });
        }
        let of = match race.of {
            RaceOf::All => "final model".to_owned(),
            RaceOf::Fold { repeat, fold } => format!("repeat {}, fold {}", repeat + 1, fold + 1),
            RaceOf::Site { site } => {
                below("a site of a race", usize::from(site), findings.sites.len())?;
                format!("without {}", findings.sites[usize::from(site)])
            }
        };
        let trials = findings.grid.iter().zip(&race.trials).map(|(point, trial)| TrialRow {
            point: *point,
            folds: u32::from(trial.folds),
            auc: shown.within(&trial.auc, folds),
        });
        Ok(RaceSection { of, trials: trials.collect() })
    };
    races.iter().map(section).collect()
}
