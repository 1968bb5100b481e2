//! The learning curve, as the report shows it: what fewer patients would have come to, and one site less.
//!
//! Its figures are of all sites together and tell of no site. What a site less costs is a mean over sites whose figures the report
//! shows anyway.

use serde::{Deserialize, Serialize};
use wardround_core::study::GridPoint;
use wardround_learn::findings::{CurveModels, CurveOfClass, Findings, LearningCurve, why_unfit};

use super::check::BuildError;
use super::joining::{name, of, size};
use super::slices::TargetMask;
use super::values::{Estimate, rounded};

/// What more patients would be worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum LearningCurveSection {
    /// The study doesn't ask for it, or nothing was fitted.
    NotAsked,
    /// It does.
    Asked {
        /// Which of several combinations it is about; left out where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classifier: Option<String>,
        /// One entry per modelled class.
        classes: Vec<CurveClass>,
    },
}

/// One modelled class of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveClass {
    /// The class that counts as positive.
    pub class: String,
    /// The choice on all rows, which every model of the curve is fitted at.
    pub point: GridPoint,
    /// From the fewest patients to all of them.
    pub steps: Vec<CurvePoint>,
    /// AUC within sites of the last step less that of the one before.
    pub last_gain: Estimate,
    /// What a site less costs.
    pub site_less: SiteLess,
}

/// Models fitted to a part of the training patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Which share of the training patients, above 0 to 1: so many folds of those that aren't judged.
    pub share: f64,
    /// About how many patients a model of this step is fitted to: folds hold about as many each.
    pub about_patients: u64,
    /// What the models come to.
    pub models: CurvePointModels,
}

/// What the models of a step come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum CurvePointModels {
    /// Out of fold.
    Judged {
        /// Over pairs of one site.
        auc_within_sites: Estimate,
        /// In one list.
        auc_one_list: Estimate,
    },
    /// So few patients can't be fitted.
    Unfit {
        /// Why.
        reason: String,
    },
}

/// What it costs to leave a site out of training, on that site's patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum SiteLess {
    /// The study leaves no site out, the curve is of another classifier than the chosen one, or no such pair of figures is shown.
    Unknown,
    /// Of sites whose AUC is shown with and without it.
    Known {
        /// Mean AUC at a site of models that saw others of its patients, less that of models that saw none.
        mean_loss: f64,
        /// How many sites.
        sites: u64,
    },
}

impl CurvePointModels {
    /// AUC within sites, where the models were judged.
    pub fn within_sites(&self) -> Option<&Estimate> {
        match self {
            Self::Judged { auc_within_sites, .. } => Some(auc_within_sites),
            Self::Unfit { .. } => None,
        }
    }
}

impl CurveClass {
    /// What the curve says, in sentences.
    pub fn verdict(&self, unit: &str) -> String {
        let mut said = match (&self.steps[..], self.last_gain.value()) {
            ([.., before, _], Some(gain)) => {
                let from = (100.0 * before.share).round();
                let (gain, ends) = (format!("{gain:+.3}"), self.last_gain.interval_text());
                let ends = if ends.is_empty() { String::new() } else { format!(" ({ends})") };
                let change = format!(
                    "From {from:.0} to 100 % of the training {unit}s AUC within sites changes by {gain}{ends}"
                );
                match self.last_gain.ends() {
                    Some([low, _]) if low > 0.0 => format!(
                        "{change}: it still rises, so more {unit}s like these are likely to help."
                    ),
                    Some([_, high]) if high < 0.0 => format!(
                        "{change}: it falls, which more {unit}s don't explain; look at the folds."
                    ),
                    Some(_) => format!(
                        "{change}: nothing shows that more {unit}s like these would help, nor that they wouldn't."
                    ),
                    None => format!("{change}; without draws of the {unit}s there is no interval."),
                }
            }
            _ => format!("What the last {unit}s are worth isn't known: {}.", self.last_gain.why()),
        };
        if let SiteLess::Known { mean_loss, sites } = self.site_less {
            said.push_str(&format!(
                " Models that saw no {unit} of a site do {} {} there than those that did (mean AUC of {sites} sites), which is what \
                 a site like these may gain by taking part.",
                format_args!("{:.3}", mean_loss.abs()),
                if mean_loss < 0.0 { "better" } else { "worse" },
            ));
        }
        said
    }
}

/// See [`LearningCurveSection`]; `shown` has one mask per modelled class.
pub(super) fn section(
    findings: &Findings,
    shown: &[TargetMask],
) -> Result<LearningCurveSection, BuildError> {
    let LearningCurve::Asked { combination, classes, .. } = &findings.learning_curve else {
        return Ok(LearningCurveSection::NotAsked);
    };
    size("classes of the learning curve", findings.targets.len(), classes.len())?;
    let mut made = Vec::new();
    for (target, (of_class, shown)) in classes.iter().zip(shown).enumerate() {
        let site_less = match *combination == findings.combination {
            true => site_less(findings, target, shown),
            false => SiteLess::Unknown,
        };
        made.push(class(findings, *combination, of_class, site_less)?);
    }
    Ok(LearningCurveSection::Asked { classifier: of(findings, *combination), classes: made })
}

fn class(
    findings: &Findings,
    combination: usize,
    of_class: &CurveOfClass,
    site_less: SiteLess,
) -> Result<CurveClass, BuildError> {
    let grid = super::joining::grid_of(findings, combination)?;
    let most = of_class.steps.last().map_or(1, |step| step.folds.max(1));
    let patients = findings.profile.all.patients as f64;
    let steps = of_class.steps.iter().map(|step| CurvePoint {
        share: rounded(f64::from(step.folds) / f64::from(most)),
        // The last step leaves one fold out.
        about_patients: (patients * f64::from(step.folds) / f64::from(most + 1)).round() as u64,
        models: match &step.models {
            CurveModels::Judged { auc_within_sites, auc_one_list } => CurvePointModels::Judged {
                auc_within_sites: auc_within_sites.into(),
                auc_one_list: auc_one_list.into(),
            },
            CurveModels::Unfit { reason } => {
                CurvePointModels::Unfit { reason: why_unfit(*reason).to_owned() }
            }
        },
    });
    Ok(CurveClass {
        class: name(findings, of_class.class)?,
        steps: steps.collect(),
        last_gain: (&of_class.last_gain).into(),
        site_less,
        point: *grid.get(of_class.point).ok_or(BuildError::Index {
            what: "the grid point of the learning curve",
            below: grid.len(),
            got: of_class.point,
        })?,
    })
}

fn site_less(findings: &Findings, target: usize, shown: &TargetMask) -> SiteLess {
    let of_target = &findings.targets[target];
    let losses: Vec<f64> = of_target
        .left_out
        .iter()
        .filter_map(|out| {
            let at = usize::from(out.site);
            let seen = shown.at_site(at, &of_target.nested.judged.by_site[at].auc).value()?;
            let unseen = shown.estimate_apart(at, &out.figures, &out.figures.auc).value()?;
            Some(seen - unseen)
        })
        .collect();
    match losses.len() {
        0 => SiteLess::Unknown,
        n => SiteLess::Known {
            mean_loss: rounded(losses.iter().sum::<f64>() / n as f64),
            sites: n as u64,
        },
    }
}
