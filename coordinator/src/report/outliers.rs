//! How unlike rows are to those that the final model was fitted to: how the distance was made, and the share of each site's rows that
//! lie beyond its limit, each by the measure of the other folds. Shares go in steps of the minimum cell, as those of
//! [`super::uncertainty`].

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_learn::findings::{Findings, MeansOf, Outliers};

use super::disclose::Minimums;
use super::slices::TargetMask;
use super::uncertainty::share;
use super::values::{Estimate, with_article};

/// How unlike rows are to those that the final model was fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum OutlierSection {
    /// The study doesn't ask for it.
    NotAsked,
    /// There is no distance.
    Undefined {
        /// Why.
        reason: String,
    },
    /// Mahalanobis distance to the nearest mean.
    Measured {
        /// What the means are of.
        means: MeansOf,
        /// Directions with a variance of their own.
        directions: u64,
        /// Percent of all rows that are nearer than the limit.
        limit_percentile: f64,
        /// The limit: root mean square over features of how many deviations a row is from the nearest mean.
        limit: f64,
        /// Share of all rows beyond it.
        beyond: Estimate,
        /// The same of each site's.
        sites: Vec<OutlierSite>,
    },
}

/// A site's share of rows beyond the limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlierSite {
    /// The site.
    pub site: SiteId,
    /// The share.
    pub beyond: Estimate,
}

/// Of a study's findings; `masks` has one entry per modelled class. All classes' rows are the same, so the first class says what is
/// shown.
pub(super) fn section(
    findings: &Findings,
    masks: &[TargetMask],
    minimums: Minimums,
) -> OutlierSection {
    let measured = match &findings.outliers {
        Outliers::NotAsked => return OutlierSection::NotAsked,
        Outliers::Undefined { reason } => {
            return OutlierSection::Undefined { reason: reason.clone() };
        }
        Outliers::Measured(measured) => measured,
    };
    let last = measured.steps(&findings.profile).last();
    let (Some((limit, share_below)), Some(target), Some(shown)) =
        (last, findings.targets.first(), masks.first())
    else {
        let reason = "too few patients to tell how far rows usually are".to_owned();
        return OutlierSection::Undefined { reason };
    };
    let counts = measured.beyond(limit);
    let [rows, beyond] = [0, 1].map(|at| counts.iter().map(|site| site[at]).sum());
    let judged = &target.nested.judged;
    let sites = findings.sites.iter().zip(&counts).zip(judged.by_site.iter().zip(&shown.sites));
    OutlierSection::Measured {
        means: measured.means,
        directions: measured.measure.directions.len() as u64,
        limit_percentile: 100.0 * share_below,
        limit: limit.sqrt(),
        beyond: share(&judged.one_list, shown.all, minimums.cell, beyond, rows),
        sites: sites
            .map(|((site, [rows, beyond]), (figures, slice))| OutlierSite {
                site: site.clone(),
                beyond: share(figures, *slice, minimums.cell, *beyond, *rows),
            })
            .collect(),
    }
}

impl OutlierSection {
    /// How the distance was made, in a sentence or two; nothing where the study didn't ask for it.
    pub fn words(&self, row: &str) -> Option<String> {
        match self {
            Self::NotAsked => None,
            Self::Undefined { reason } => Some(format!("No distance tells outliers: {reason}.")),
            Self::Measured { means, directions, limit_percentile, limit, .. } => {
                let means = match means {
                    MeansOf::Classes => "the nearest class mean",
                    MeansOf::AllRows => {
                        "the mean of all rows, since labels may stand together or a class has few patients"
                    }
                };
                let one = with_article(row);
                Some(format!(
                    "How unlike {one} is to the training rows: Mahalanobis distance to {means}, with the {directions} largest \
                     directions of the covariance within classes and one variance for the rest. Beyond {limit:.2}, where \
                     {limit_percentile:.1} % of {row}s are nearer, the bundle calls {one} an outlier. Each {row} here was \
                     measured by the other folds."
                ))
            }
        }
    }
}
