//! What the sites' AUCs say of sites like them. Made from the rows that the report shows and nothing else,
//! so it tells nothing of a site whose figures are withheld.

use serde::{Deserialize, Serialize};
use wardround_learn::findings::{Figure, Interval};
use wardround_learn::metrics::Undefined;
use wardround_learn::metrics::random_effects::{RandomEffects, SiteAuc, random_effects};

use super::model::SiteRow;
use super::values::Estimate;

/// The mean AUC of sites, and what is to be expected of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SitesTogether {
    /// Sites in it: those whose AUC and interval are shown.
    pub sites: u32,
    /// Random-effects mean on the logit scale, with Hartung and Knapp's interval.
    pub auc: Estimate,
    /// The same mean with the interval in which the AUC of another site is expected, 95 %.
    pub another_site: Estimate,
    /// Standard deviation between sites, of the logit of the AUC.
    pub tau: Estimate,
    /// Share of the variance of sites' AUCs that is between sites rather than chance.
    pub i_squared: Estimate,
}

impl SitesTogether {
    /// Of the rows of a report.
    pub(super) fn of(rows: &[SiteRow]) -> Self {
        let shown = rows.iter().filter_map(|row| {
            let auc = row.figures.auc.value()?;
            Some(SiteAuc { auc, interval: row.figures.auc.ends()? })
        });
        let shown: Vec<SiteAuc> = shown.collect();
        let found = random_effects(&shown);
        let estimate = |of: &dyn Fn(&RandomEffects) -> Result<Figure, Undefined>| {
            Estimate::from(&match found.and_then(|found| of(&found)) {
                Ok(figure) => figure,
                Err(why) => Figure::Undefined { reason: why.to_string() },
            })
        };
        let between = |value: f64, [low, high]: [f64; 2]| Figure::Known {
            value,
            interval: Interval::Between { low, high },
        };
        let alone = |value: f64| Figure::Known { value, interval: Interval::NotComputed };
        Self {
            sites: u32::try_from(shown.len()).unwrap_or(u32::MAX),
            auc: estimate(&|found| Ok(between(found.mean, found.interval))),
            another_site: estimate(&|found| Ok(between(found.mean, found.prediction?))),
            tau: estimate(&|found| Ok(alone(found.tau))),
            i_squared: estimate(&|found| Ok(alone(found.i_squared))),
        }
    }
}
