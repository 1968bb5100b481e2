//! What the final model looks at: the features with the largest shares of what its trees gained, or of its weights.
//!
//! Of forests it is scikit-learn's `feature_importances_`, of boosted trees XGBoost's `total_gain`, of linear models
//! `|weight|` per standard deviation; see [`TreeGains`]. All of it is known from the fit, no site is asked. Values of
//! the model itself, which the bundle holds whole, so nothing is withheld.

use serde::{Deserialize, Serialize};
use wardround_core::query::TreeOutput;
use wardround_core::study::{Classifier, Input, Learner, Missing, Study, Table};
use wardround_learn::findings::{
    FinalFit, FinalLinear, FinalScaler, FinalTrees, Findings, TargetFindings, TreeGains,
};

use super::check::BuildError;
use super::model::Report;
use super::values::{grouped, rounded};

/// Features that are listed at most.
const LARGEST: usize = 20;

/// What the final model of a class looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportanceSection {
    /// The class that counts as positive.
    pub class: String,
    /// What it looks at.
    pub found: Importance,
}

/// The features that a model looks at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Importance {
    /// Nothing tells them.
    Unknown {
        /// Why.
        reason: String,
    },
    /// Shares of a sum over all features.
    Shares {
        /// What they are shares of.
        of: ShareOf,
        /// Features with a share above 0.
        features: u32,
        /// The largest shares, descending, at most 20.
        largest: Vec<FeatureShare>,
        /// What these add up to, 0 to 1.
        together: f64,
    },
}

/// What a feature has a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareOf {
    /// Of what each tree's splits gained, averaged over trees.
    MeanGain,
    /// Of what all trees' splits gained.
    TotalGain,
    /// Of absolute weights, per deviation of the feature over all rows.
    Weights,
    /// The same, per deviation within sites (ComBat).
    WeightsWithinSites,
    /// The same, per deviation of each site's own rows.
    WeightsOfOwnSites,
}

/// A feature's share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureShare {
    /// Its name: of a table's column, or `f0`, `f1`, ... of a backbone's outputs.
    pub feature: String,
    /// Names of the subgroup columns that are made of the same column.
    pub subgroups: Vec<String>,
    /// Its share, above 0, six decimals.
    pub share: f64,
}

/// Of one modelled class.
///
/// # Errors
/// As many shares as features were expected, or as many names.
pub(super) fn section(
    findings: &Findings,
    study: &Study,
    target: &TargetFindings,
    class: &str,
) -> Result<ImportanceSection, BuildError> {
    let model = &target.model;
    let found = match (&model.fitted, &model.gains) {
        (FinalFit::Trees(FinalTrees { output, .. }), TreeGains::Kept { shares }) => {
            let of = match output {
                TreeOutput::Mean => ShareOf::MeanGain,
                TreeOutput::Sum => ShareOf::TotalGain,
            };
            largest(findings, study, of, shares)?
        }
        (FinalFit::Linear(FinalLinear { scaler, weights, .. }), _) => {
            // Weights are per standardised feature already.
            let of = match scaler {
                FinalScaler::All { .. } => ShareOf::Weights,
                FinalScaler::Combat { .. } => ShareOf::WeightsWithinSites,
                FinalScaler::OwnSite => ShareOf::WeightsOfOwnSites,
            };
            let sum: f64 = weights.iter().map(|weight| weight.abs()).sum();
            let share = |weight: &f64| if sum > 0.0 { weight.abs() / sum } else { 0.0 };
            largest(findings, study, of, &weights.iter().map(share).collect::<Vec<_>>())?
        }
        (fitted, _) => Importance::Unknown { reason: why_none(findings, study, fitted).to_owned() },
    };
    Ok(ImportanceSection { class: class.to_owned(), found })
}

fn why_none(findings: &Findings, study: &Study, fitted: &FinalFit) -> &'static str {
    match fitted {
        FinalFit::Fourier(_) | FinalFit::Kernel(_) => {
            "a Gaussian kernel takes all features together and has no weight of a single one"
        }
        FinalFit::Ensemble(_) => {
            "an ensemble has none of its own: its members' are shares of different things"
        }
        FinalFit::Trees(_) | FinalFit::Linear(_) => {
            let combinations = study.combinations();
            let chosen = combinations.get(findings.combination).map(|chosen| chosen.learner);
            match (findings.evaluated.is_fitted(), chosen) {
                (false, _) => "a bundle doesn't keep what its trees gained",
                (true, Some(Learner::Classifier(Classifier::BaggedForest(_)))) => {
                    "each site grew its trees by itself, and what they gained stays there"
                }
                (true, _) => "what the trees gained wasn't kept",
            }
        }
    }
}

/// The largest of `shares`, one per feature; of equal ones the first.
fn largest(
    findings: &Findings,
    study: &Study,
    of: ShareOf,
    shares: &[f64],
) -> Result<Importance, BuildError> {
    let size = |what, got: usize| match findings.features as usize {
        expected if expected == got => Ok(()),
        expected => Err(BuildError::Size { what, expected, got }),
    };
    size("shares of features", shares.len())?;
    if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
        let what = "a feature's share";
        return Err(BuildError::Probability { what, got: share.to_string() });
    }
    let names = match &study.input {
        Input::Images { .. } => None,
        Input::Table(table) => {
            let names = table.feature_names();
            size("names of features", names.len())?;
            Some((names, made_of_columns(table)))
        }
    };
    let mut order: Vec<usize> = (0..shares.len()).filter(|&at| shares[at] > 0.0).collect();
    let features = order.len() as u32;
    if features == 0 {
        let reason = match of {
            ShareOf::MeanGain | ShareOf::TotalGain => "no tree splits",
            _ => "all weights are 0",
        };
        return Ok(Importance::Unknown { reason: reason.to_owned() });
    }
    order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]).then(a.cmp(&b)));
    order.truncate(LARGEST);
    let made_of = |column: &str| {
        let subgroups = study.subgroups.iter().filter(move |one| one.column == column);
        subgroups.map(|one| one.name.clone()).collect()
    };
    let listed = order.iter().map(|&at| FeatureShare {
        feature: names.as_ref().map_or_else(|| format!("f{at}"), |(names, _)| names[at].clone()),
        subgroups: names.as_ref().map_or_else(Vec::new, |(_, columns)| made_of(columns[at])),
        share: rounded(shares[at]),
    });
    let together = rounded(order.iter().map(|&at| shares[at]).sum());
    Ok(Importance::Shares { of, features, largest: listed.collect(), together })
}

/// The column that each feature of a table is made of, in the order of its names.
fn made_of_columns(table: &Table) -> Vec<&str> {
    let numeric = || table.numeric.iter().map(String::as_str);
    let categorical = || table.categorical.iter().map(|one| (one.column.as_str(), &one.values));
    let one_hot = categorical().flat_map(|(column, values)| values.iter().map(move |_| column));
    let features = numeric().chain(one_hot);
    match table.missing {
        Missing::Drop => features.collect(),
        Missing::Impute => {
            features.chain(numeric()).chain(categorical().map(|(column, _)| column)).collect()
        }
    }
}

impl ShareOf {
    /// Its word in `report.json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::MeanGain => "mean-gain",
            Self::TotalGain => "total-gain",
            Self::Weights => "weights",
            Self::WeightsWithinSites => "weights-within-sites",
            Self::WeightsOfOwnSites => "weights-of-own-sites",
        }
    }

    /// A few words for a column's head.
    pub fn short(self) -> &'static str {
        match self {
            Self::MeanGain | Self::TotalGain => "share of gain",
            _ => "share of weights",
        }
    }

    /// What the shares are of, in a sentence or two.
    fn sentence(self) -> &'static str {
        match self {
            Self::MeanGain => {
                "A feature\u{2019}s share of what the splits of each tree gained (decrease of the Gini impurity), \
                 averaged over trees, as scikit-learn\u{2019}s feature_importances_."
            }
            Self::TotalGain => {
                "A feature\u{2019}s share of what the splits of all trees gained together, as XGBoost\u{2019}s \
                 total_gain."
            }
            Self::Weights => {
                "A feature\u{2019}s share of the sum of absolute weights, each per standard deviation of its \
                 feature over all sites\u{2019} rows. This is no gain: it says how far the score moves with a \
                 feature, not how much better it gets."
            }
            Self::WeightsWithinSites => {
                "A feature\u{2019}s share of the sum of absolute weights, each per standard deviation of its \
                 feature within sites (ComBat). This is no gain: it says how far the score moves with a feature, \
                 not how much better it gets."
            }
            Self::WeightsOfOwnSites => {
                "A feature\u{2019}s share of the sum of absolute weights, each per standard deviation of its \
                 feature among a site\u{2019}s own rows: the model holds no deviation, every site scales by its \
                 own. This is no gain: it says how far the score moves with a feature, not how much better it gets."
            }
        }
    }
}

impl Importance {
    /// What is listed, and with what caution it is to be read; or why nothing is.
    pub fn sentences(&self, report: &Report) -> Vec<String> {
        let (of, features, largest, together) = match self {
            Self::Unknown { reason } => {
                return vec![format!("Nothing says which features this model looks at: {reason}.")];
            }
            Self::Shares { of, features, largest, together } => (of, features, largest, together),
        };
        let shown = match (largest.len(), *features as usize) {
            (shown, all) if shown == all => format!("All {all} features with a share are listed."),
            (shown, all) => format!(
                "The {shown} largest of {} features with a share are listed; they have {:.1} % of all.",
                grouped(all as u64),
                100.0 * together
            ),
        };
        let mut sentences = vec![format!("{} {shown}", of.sentence())];
        sentences.push(
            "Shares are of the rows that the model was fitted to, and say nothing of how well it does on others. \
             Features that go together share what is theirs, so a small share doesn\u{2019}t mean that a feature \
             doesn\u{2019}t matter, and a large one doesn\u{2019}t make it a cause."
                .to_owned(),
        );
        if report.study.row == "image" {
            sentences.push(
                "Features are a backbone\u{2019}s outputs, by number: a single one means little to people. What \
                 in an image speaks for a class, wardround-site explain shows at the hospital."
                    .to_owned(),
            );
        }
        if largest.iter().any(|one| !one.subgroups.is_empty()) {
            sentences.push(
                "A feature that is marked is made of the column of a subgroup: the model knows the subgroup \
                 from it."
                    .to_owned(),
            );
        }
        sentences
    }
}

impl FeatureShare {
    /// The subgroup columns made of its column, in words; empty where there are none.
    pub fn mark(&self) -> String {
        match self.subgroups.is_empty() {
            true => String::new(),
            false => format!("subgroup: {}", self.subgroups.join(", ")),
        }
    }
}
