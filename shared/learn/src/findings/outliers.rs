//! How unlike rows are to those that the final model was fitted to.

use serde::{Deserialize, Serialize};
use wardround_core::query::{Bins, Measure};

use super::Profile;
use crate::metrics::steps::{Steps, steps};

/// Whether a study's bundle can say how unlike a row is to its training rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Outliers {
    /// The study doesn't ask for it.
    #[default]
    NotAsked,
    /// By a distance.
    Measured(MeasuredOutliers),
    /// There is no distance.
    Undefined {
        /// Why.
        reason: String,
    },
}

/// The final measure, and the distances of each outer fold's rows by the measure of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredOutliers {
    /// The measure of all rows, in the features' own units.
    pub measure: Measure,
    /// What its means are of.
    pub means: MeansOf,
    /// Bins of the natural logarithm of the squared distance per column.
    pub bins: Bins,
    /// Rows by site and bin.
    pub by_site: Vec<Vec<u64>>,
}

/// What the means of a measure are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeansOf {
    /// Each class.
    Classes,
    /// All rows: labels may stand together, or a class has few patients.
    AllRows,
}

/// Patients, about, in each step of the distances that a bundle tells.
const PATIENTS_IN_A_STEP: u64 = 10;

impl Outliers {
    /// Whether the study doesn't ask for it.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}

impl MeasuredOutliers {
    /// The distances of all sites' rows in steps of about ten patients or more.
    pub fn steps(&self, profile: &Profile) -> Steps {
        let mut all = vec![0; self.bins.count as usize];
        for of_site in &self.by_site {
            all.iter_mut().zip(of_site).for_each(|(all, rows)| *all += rows);
        }
        let (rows, patients) = (profile.all.rows(), profile.all.patients.max(1));
        steps(&self.bins, &all, (PATIENTS_IN_A_STEP * rows).div_ceil(patients))
    }

    /// Rows of each site, and those of them that lie beyond a distance which is an edge of a bin.
    pub fn beyond(&self, limit: f64) -> Vec<[u64; 2]> {
        let first =
            self.bins.index(libm::log(limit) + self.bins.half_width / f64::from(self.bins.count));
        let count = |of_site: &Vec<u64>| [of_site.iter().sum(), of_site[first..].iter().sum()];
        self.by_site.iter().map(count).collect()
    }
}
