//! What a hospital gains by joining, as the report shows it: each site's own model beside the federated one, and
//! models of single sites at every site.
//!
//! The same patients are judged as in the table of sites, so what may be shown of the federated model at a site
//! follows that table; a site's own model is masked as a left-out site's is, since its figures add up to
//! nothing. A difference is shown only where both of its figures are.

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_core::study::GridPoint;
use wardround_learn::findings::{
    ComparedClass, Comparison, Figure, Findings, LeftOut, Matrix, MatrixOfClass, Nested, OwnModel,
    OwnSite, OwnSites, TargetFindings, TrainedAt,
};

use super::check::BuildError;
use super::disclose::Minimums;
use super::model::FigureRow;
use super::slices::{TargetMask, figure_row};
use super::values::Estimate;

/// Each site's own model beside the federated one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum OwnSitesSection {
    /// The study doesn't ask for it.
    NotAsked,
    /// It does.
    Asked {
        /// Which of several combinations it is about; left out where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classifier: Option<String>,
        /// One entry per modelled class.
        classes: Vec<OwnSitesClass>,
    },
}

/// One modelled class of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSitesClass {
    /// The class that counts as positive.
    pub class: String,
    /// One entry per site.
    pub sites: Vec<OwnSiteRow>,
}

/// A site's own model beside the federated one, on the site's patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnSiteRow {
    /// The site.
    pub site: SiteId,
    /// Its model.
    pub model: OwnSiteModel,
}

/// A site's own model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum OwnSiteModel {
    /// There is one.
    Fitted {
        /// Its nested figures, at thresholds of its own.
        own: Box<FigureRow>,
        /// The federated model's nested AUC on the same patients.
        federated: Estimate,
        /// The federated model's AUC less the own one's, paired by patient.
        gain: Estimate,
    },
    /// There is none.
    Unfit {
        /// Why.
        reason: String,
    },
}

/// Models of single sites at every site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum MatrixSection {
    /// The study doesn't ask for it.
    NotAsked,
    /// It does.
    Asked {
        /// Which of several combinations it is about; left out where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classifier: Option<String>,
        /// One entry per modelled class.
        classes: Vec<MatrixClass>,
    },
}

/// One modelled class of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixClass {
    /// The class that counts as positive.
    pub class: String,
    /// The federated choice, which the models of single sites are fitted at.
    pub point: GridPoint,
    /// Where models are judged: the columns.
    pub judged_at: Vec<SiteId>,
    /// What they are trained on.
    pub rows: Vec<MatrixRow>,
}

/// Models trained on some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixRow {
    /// Whose rows.
    pub trained_on: TrainedOn,
    /// What they come to.
    pub models: MatrixModels,
}

/// Whose rows models are trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum TrainedOn {
    /// One site's.
    Site {
        /// The site.
        site: SiteId,
    },
    /// All sites': the federated model.
    AllSites,
    /// All sites' but the one where it is judged.
    OtherSites,
}

/// What models come to at each site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum MatrixModels {
    /// They were judged.
    Judged {
        /// AUC at each site, out of fold where the site's rows had a part in training.
        auc: Vec<Estimate>,
    },
    /// The site's owner doesn't let such a model leave.
    Refused,
    /// The site's rows can't be fitted.
    Unfit {
        /// Why.
        reason: String,
    },
}

impl TrainedOn {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Site { site } => site.to_string(),
            Self::AllSites => "all sites".to_owned(),
            Self::OtherSites => "all other sites".to_owned(),
        }
    }
}

impl MatrixModels {
    /// Why there are none; nothing where there are.
    pub fn why(&self) -> String {
        match self {
            Self::Judged { .. } => String::new(),
            Self::Refused => "the owner doesn't let a model of this site alone leave".to_owned(),
            Self::Unfit { reason } => reason.clone(),
        }
    }
}

/// The sites' own models; `shown` has one mask per modelled class.
pub(super) fn own_sites(
    findings: &Findings,
    shown: &[TargetMask],
    minimums: Minimums,
) -> Result<OwnSitesSection, BuildError> {
    let OwnSites::Asked { classes, combination, .. } = &findings.own_sites else {
        return Ok(OwnSitesSection::NotAsked);
    };
    size("classes of the sites' own models", findings.targets.len(), classes.len())?;
    let sites = findings.sites.len();
    let mut made = Vec::new();
    for (of_class, shown) in classes.iter().zip(shown) {
        size("sites' own models", sites, of_class.sites.len())?;
        let row = |(at, one): (usize, &OwnSite)| OwnSiteRow {
            site: findings.sites[at].clone(),
            model: match one {
                OwnSite::Fitted(model) => fitted(model, at, shown, minimums),
                OwnSite::Unfit { reason } => OwnSiteModel::Unfit { reason: reason.to_string() },
            },
        };
        made.push(OwnSitesClass {
            class: name(findings, of_class.class)?,
            sites: of_class.sites.iter().enumerate().map(row).collect(),
        });
    }
    Ok(OwnSitesSection::Asked { classifier: of(findings, *combination), classes: made })
}

fn fitted(model: &OwnModel, at: usize, shown: &TargetMask, minimums: Minimums) -> OwnSiteModel {
    let own = figure_row(&model.own, shown.apart(at, &model.own), minimums);
    let federated = shown.at_site(at, &model.federated);
    let gain = match (&own.auc, &federated) {
        (Estimate::Withheld { reason }, _) | (_, Estimate::Withheld { reason }) => {
            Estimate::Withheld { reason: *reason }
        }
        _ => Estimate::from(&model.gain),
    };
    OwnSiteModel::Fitted { own: Box::new(own), federated, gain }
}

/// Models of single sites, then the federated one and those without a site.
pub(super) fn matrix(
    findings: &Findings,
    shown: &[TargetMask],
) -> Result<MatrixSection, BuildError> {
    let Matrix::Asked { classes, combination, .. } = &findings.matrix else {
        return Ok(MatrixSection::NotAsked);
    };
    size("classes of models of single sites", findings.targets.len(), classes.len())?;
    let classes = classes
        .iter()
        .enumerate()
        .map(|(target, of_class)| {
            let federated = federated(findings, *combination, target)?;
            class(findings, &federated, of_class, &shown[target])
        })
        .collect::<Result<_, _>>()?;
    Ok(MatrixSection::Asked { classifier: of(findings, *combination), classes })
}

/// What the federated model of a combination comes to, for one modelled class.
struct Federated<'a> {
    grid: &'a [GridPoint],
    nested: &'a Nested,
    left_out: &'a [LeftOut],
}

fn federated(
    findings: &Findings,
    combination: usize,
    target: usize,
) -> Result<Federated<'_>, BuildError> {
    if combination == findings.combination {
        let TargetFindings { nested, left_out, .. } = &findings.targets[target];
        return Ok(Federated { grid: &findings.grid, nested, left_out });
    }
    let Comparison::Several(compared) = &findings.comparison else {
        return Err(BuildError::Index {
            what: "a compared classifier",
            below: 1,
            got: combination,
        });
    };
    let below = compared.classifiers.len();
    let one = compared.classifiers.get(combination).ok_or(BuildError::Index {
        what: "a compared classifier",
        below,
        got: combination,
    })?;
    let (grid, classes) = (one.grid.as_slice(), one.classes.len());
    let class = one.classes.get(target).ok_or(BuildError::Index {
        what: "a modelled class of a classifier",
        below: classes,
        got: target,
    })?;
    let ComparedClass { nested, left_out, .. } = class;
    Ok(Federated { grid, nested, left_out })
}

/// The grid of a combination's classifier.
pub(super) fn grid_of(findings: &Findings, combination: usize) -> Result<&[GridPoint], BuildError> {
    federated(findings, combination, 0).map(|federated| federated.grid)
}

/// Which of several combinations it is about; the only one has no name.
pub(super) fn of(findings: &Findings, combination: usize) -> Option<String> {
    let Comparison::Several(compared) = &findings.comparison else { return None };
    compared.classifiers.get(combination).map(|one| one.name.clone())
}

fn class(
    findings: &Findings,
    federated: &Federated<'_>,
    of_class: &MatrixOfClass,
    shown: &TargetMask,
) -> Result<MatrixClass, BuildError> {
    let sites = &findings.sites;
    size("models of single sites", sites.len(), of_class.trained_at.len())?;
    let Federated { grid, nested, left_out } = *federated;
    let by_site = &nested.judged.by_site;
    size("judged sites", sites.len(), by_site.len())?;
    let mut rows = Vec::new();
    for (site, one) in sites.iter().zip(&of_class.trained_at) {
        let models = match one {
            TrainedAt::Judged { auc } => {
                size("sites where a model is judged", sites.len(), auc.len())?;
                let at_site =
                    |(at, auc): (usize, &Figure)| shown.estimate_apart(at, &by_site[at], auc);
                MatrixModels::Judged { auc: auc.iter().enumerate().map(at_site).collect() }
            }
            TrainedAt::Refused => MatrixModels::Refused,
            TrainedAt::Unfit { reason } => MatrixModels::Unfit { reason: reason.to_string() },
        };
        rows.push(MatrixRow { trained_on: TrainedOn::Site { site: site.clone() }, models });
    }
    let of_all = by_site.iter().enumerate().map(|(at, one)| shown.at_site(at, &one.auc));
    let models = MatrixModels::Judged { auc: of_all.collect() };
    rows.push(MatrixRow { trained_on: TrainedOn::AllSites, models });
    if !left_out.is_empty() {
        let without = left_out
            .iter()
            .map(|out| shown.estimate_apart(usize::from(out.site), &out.figures, &out.figures.auc));
        let models = MatrixModels::Judged { auc: without.collect() };
        rows.push(MatrixRow { trained_on: TrainedOn::OtherSites, models });
    }
    let points = grid.len();
    let point = grid.get(of_class.point);
    Ok(MatrixClass {
        class: name(findings, of_class.class)?,
        point: *point.ok_or(BuildError::Index {
            what: "the grid point of models of single sites",
            below: points,
            got: of_class.point,
        })?,
        judged_at: sites.clone(),
        rows,
    })
}

pub(super) fn name(findings: &Findings, class: u8) -> Result<String, BuildError> {
    let (got, below) = (usize::from(class), findings.classes.len());
    let name = findings.classes.get(got).cloned();
    name.ok_or(BuildError::Index { what: "a class", below, got })
}

pub(super) fn size(what: &'static str, expected: usize, got: usize) -> Result<(), BuildError> {
    if expected == got { Ok(()) } else { Err(BuildError::Size { what, expected, got }) }
}
