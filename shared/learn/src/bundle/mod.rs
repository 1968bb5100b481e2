//! The model bundle: everything that is needed to use a study's models on new images, in one file.
//!
//! A bundle is a safetensors file (<https://github.com/huggingface/safetensors>): numbers as `F64`
//! tensors, the [`Manifest`] as JSON under `wardround` in its metadata. Its bytes are canonical: the
//! same findings give the same bytes, so a replayed study can be compared by hash. Hence no date, no
//! path and no machine is in it.
//!
//! Tensors, per modelled class `k`: `class.k.weights [features]`, `class.k.intercept [1]`,
//! `class.k.threshold [1]`, unless sites are scaled by themselves `class.k.mean [features]` and
//! `class.k.deviation [features]`, and if features may be missing `class.k.fill [features]`. Of a model on
//! random Fourier features `weights` has one number per component, and `class.k.inverse [features]`, one over
//! the deviation, is in place of the latter two. Where sites are adjusted by ComBat, mean and deviation (within
//! sites) are all sites' training rows', and whoever uses the model adjusts by the site's own rows. An ensemble has its members' tensors as `class.k.member.m...`,
//! and if it is stacked `class.k.weights [members]` and `class.k.intercept [1]`. **A support vector machine that
//! is made of rows holds features of patients**, as its entry says ([`Learner::Kernel`]): `class.k.vectors
//! [rows * features]`, standardised, `class.k.coefficients [rows]`, `class.k.intercept [1]`, `class.k.mean` and
//! `class.k.inverse`. What is said beside a probability has tensors of its own (`beside`).

mod beside;
mod file;
mod first_format;
mod folded;
mod fourier;
mod judged;
mod kernel;
mod predict;
mod reduction;
mod trees;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::query::Combine;
use wardround_core::seed::Seed;
use wardround_core::study::{
    self, Alterations, AugmentationRule, ClosedForm, EnsembleKind, Family, GridPoint, Input, Loss,
    Precision, Study,
};

pub use self::beside::{
    Beside, BesideEntry, ConformalEntry, OutlierEntry, OutlierSaid, OutlierScore, Recalibration,
    SetLimits,
};
pub use self::file::{BundleError, LARGEST_BUNDLE};
pub use self::folded::Folded;
pub use self::judged::BundleJudged;
pub use self::predict::{OwnScale, PredictError, predict, predict_at_site, scores, spread};
pub use crate::findings::MissingFeatures;
use crate::findings::{
    Figure, FinalEnsemble, FinalFit, FinalMember, FinalScaler, FinalTrees, Findings, OwnFourier,
    OwnKernel, TargetFindings,
};

/// The format this software writes. It reads format 2 as well, which says nothing beside probabilities, and format 1, which knows
/// linear models only.
pub const FORMAT: u32 = 3;

/// A study's models, ready for use.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelBundle {
    /// What they are and where they come from.
    pub manifest: Manifest,
    /// One per modelled class, in the manifest's order.
    pub models: Vec<Model>,
    /// What is said beside their probabilities.
    pub beside: Beside,
}

/// What a bundle's models are and where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`], or 2 in a bundle as it was made before ([`ModelBundle::in_format`]).
    pub format: u32,
    /// Name and version of the software that fitted the models.
    pub software: String,
    /// The study's name.
    pub study: String,
    /// SHA-256 of the study file.
    pub study_digest: Digest,
    /// The column that was predicted.
    pub target: String,
    /// A name per class code.
    pub classes: Vec<String>,
    /// Where features come from.
    pub input: BundleInput,
    /// Number of features.
    pub features: u32,
    /// The sites whose rows the models were fitted to, sorted.
    pub sites: Vec<SiteId>,
    /// What figures and thresholds are of; left out of the file where it is rows.
    #[serde(default, skip_serializing_if = "is_default")]
    pub judged: BundleJudged,
    /// One per modelled class.
    pub models: Vec<ModelEntry>,
    /// What is said beside their probabilities; left out of the file when it is nothing.
    #[serde(default, skip_serializing_if = "BesideEntry::is_nothing")]
    pub beside: BesideEntry,
}

/// Where a bundle's features come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum BundleInput {
    /// Images through a backbone.
    Images {
        /// The backbone.
        backbone: String,
        /// Where its weights come from.
        weights_source: String,
        /// SHA-256 of the weights' file.
        weights_digest: Digest,
        /// How images are prepared, as the sites' vision code writes it.
        preprocessing: Value,
        /// How exactly the backbone computes; left out of the file when it is the usual one.
        #[serde(default, skip_serializing_if = "is_default")]
        precision: Precision,
        /// Which views of an image are judged; left out of the file when it is the image alone.
        #[serde(default, skip_serializing_if = "is_default")]
        views: BundleViews,
    },
    /// A table's columns.
    Table {
        /// A name per feature.
        features: Vec<String>,
        /// How the features are made from the columns, as the study file says it.
        table: Value,
    },
}

/// Which views of an image are judged.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum BundleViews {
    /// The image as it is.
    #[default]
    Plain,
    /// The mean of the features of several views; for linear models that is the mean of their logits.
    Averaged {
        /// How many: the image itself, then altered copies. At least 2.
        views: u16,
        /// Decides how each copy is altered: the study's.
        seed: Seed,
        /// How copies are altered.
        alter: Alterations,
    },
}

/// One modelled class of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// The class that counts as positive.
    pub class: u8,
    /// What kind of model it is.
    pub learner: Learner,
    /// How the choice was judged, by nested cross-validation.
    pub figures: Summary,
}

/// What kind of model an entry is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Learner {
    /// A weighted sum of features.
    Linear {
        /// What the model minimised or assumed.
        method: LinearMethod,
        /// Its hyperparameters.
        point: GridPoint,
        /// Whether features may be missing.
        missing: MissingFeatures,
    },
    /// A weighted sum of random Fourier features: a support vector machine with a Gaussian kernel.
    Fourier {
        /// Its hyperparameters: [`GridPoint::Rbf`].
        point: GridPoint,
        /// What the frequencies are drawn from.
        seed: Seed,
        /// Whether features may be missing.
        missing: MissingFeatures,
    },
    /// Trees; features may be missing.
    Trees {
        /// How they were grown: [`GridPoint::Forest`] or [`GridPoint::Boosting`].
        point: GridPoint,
    },
    /// Several models in one.
    Ensemble {
        /// How their scores are put together.
        ensemble: EnsembleKind,
        /// Its members, none of them an ensemble.
        members: Vec<Learner>,
    },
    /// A support vector machine that is made of rows.
    Kernel {
        /// Its hyperparameters: [`GridPoint::Kernel`].
        point: GridPoint,
        /// Whether features may be missing.
        missing: MissingFeatures,
        /// How many rows of patients are in it, with their features.
        rows_of_patients: u32,
    },
}

impl Learner {
    /// Whether it is a part of a model of all classes.
    pub fn is_multinomial(&self) -> bool {
        matches!(self, Self::Linear { method: LinearMethod::Multinomial, .. })
    }
}

/// How a linear model was fitted. The scores of a support vector machine are no logits: the probabilities
/// that [`predict`] makes of them rank rows as they do and aren't calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinearMethod {
    /// Logistic regression.
    Logistic,
    /// Support vector machine with the squared hinge loss.
    SquaredHinge,
    /// Ridge regression, its score turned into a logit.
    Ridge,
    /// Linear discriminant analysis.
    Lda,
    /// The nearest class mean, its score turned into a logit.
    NearestMean,
    /// Multinomial logistic regression: the bundle has a model of every class, and the probabilities are the
    /// softmax of their scores.
    Multinomial,
}

impl LinearMethod {
    fn of(family: Family) -> Self {
        match family {
            Family::Linear(Loss::SquaredHinge) => Self::SquaredHinge,
            Family::Multinomial => Self::Multinomial,
            Family::ClosedForm(ClosedForm::Ridge) => Self::Ridge,
            Family::ClosedForm(ClosedForm::Lda) => Self::Lda,
            Family::ClosedForm(ClosedForm::NearestMean) => Self::NearestMean,
            // The others aren't linear, and nobody asks for theirs.
            Family::Linear(Loss::Logistic)
            | Family::Rbf
            | Family::Forest
            | Family::Boosting
            | Family::BaggedForest
            | Family::KernelSvm => Self::Logistic,
        }
    }

    /// Whether points are of this method.
    fn takes(self, point: &GridPoint) -> bool {
        match self {
            Self::Logistic => {
                point.linear().is_some_and(|p| p.c > 0.0 && (0.0..=1.0).contains(&p.l1_ratio))
            }
            Self::SquaredHinge | Self::Multinomial => {
                point.linear().is_some_and(|p| p.c > 0.0 && p.l1_ratio == 0.0)
            }
            Self::Ridge => point.closed_form() == Some(ClosedForm::Ridge),
            Self::Lda => point.closed_form() == Some(ClosedForm::Lda),
            Self::NearestMean => point.closed_form() == Some(ClosedForm::NearestMean),
        }
    }
}

/// The figures of a model that travel with it, to six decimals; `None` where undefined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// AUC over pairs of rows of one site.
    pub auc_within_sites: Option<f64>,
    /// AUC of all sites in one list.
    pub auc_one_list: Option<f64>,
    /// Sensitivity at thresholds chosen without the rows judged.
    pub sensitivity: Option<f64>,
    /// Specificity likewise.
    pub specificity: Option<f64>,
}

/// The numbers of one modelled class.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Probability from which a row is called positive, 0 to 1.
    pub threshold: f64,
    /// What makes a score of a row.
    pub scorer: Scorer,
}

/// What makes a score of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Scorer {
    /// A weighted sum of features.
    Linear(LinearScorer),
    /// Trees.
    Trees(FinalTrees),
    /// A weighted sum of random Fourier features.
    Fourier(OwnFourier),
    /// Several of these in one.
    Ensemble(EnsembleScorer),
    /// A support vector machine that is made of rows.
    Kernel(OwnKernel),
}

/// A weighted sum of features.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearScorer {
    /// How a row is standardised.
    pub scaler: FinalScaler,
    /// One weight per standardised feature.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
    /// What stands in for missing features, in their own units; empty when none may miss.
    pub fill: Vec<f64>,
}

/// Several models in one.
#[derive(Debug, Clone, PartialEq)]
pub struct EnsembleScorer {
    /// Its members, none of them an ensemble.
    pub members: Vec<Scorer>,
    /// How their scores are put together.
    pub combine: Combine,
}

impl Learner {
    /// How many rows of patients are in it, with their features; 0 of all but support vector machines that
    /// are made of rows, and ensembles of those.
    pub fn rows_of_patients(&self) -> u64 {
        let of_one = |one: &Self| match one {
            Self::Kernel { rows_of_patients, .. } => u64::from(*rows_of_patients),
            _ => 0,
        };
        self.singles().iter().map(of_one).sum()
    }

    fn of(study: &Study, learner: study::Learner<'_>, point: GridPoint, fitted: &FinalFit) -> Self {
        match fitted {
            FinalFit::Linear(model) => Self::Linear {
                method: match learner {
                    study::Learner::Classifier(classifier) => LinearMethod::of(classifier.family()),
                    // An ensemble's own fit isn't linear.
                    study::Learner::Ensemble(_) => LinearMethod::Logistic,
                },
                point,
                missing: match model.fill.is_empty() {
                    true => MissingFeatures::Refused,
                    false => MissingFeatures::Filled,
                },
            },
            FinalFit::Trees(_) => Self::Trees { point },
            FinalFit::Fourier(fitted) => {
                let OwnFourier { seed, missing, .. } = fitted.model;
                Self::Fourier { point, seed, missing }
            }
            FinalFit::Kernel(fitted) => {
                let OwnKernel { missing, ref coefficients, .. } = fitted.model;
                // Machines are made of up to 10,000 rows.
                let rows_of_patients = coefficients.len() as u32;
                Self::Kernel { point, missing, rows_of_patients }
            }
            FinalFit::Ensemble(FinalEnsemble { members, combine }) => {
                let member = |member: &FinalMember| {
                    let classifier = &study.classifiers[usize::from(member.classifier)];
                    let learner = study::Learner::Classifier(classifier);
                    Self::of(study, learner, member.point, &member.fitted)
                };
                let kind = match combine {
                    Combine::MeanProbability => EnsembleKind::SoftVote,
                    Combine::Logits { .. } => EnsembleKind::Stacking,
                };
                Self::Ensemble { ensemble: kind, members: members.iter().map(member).collect() }
            }
        }
    }

    /// Itself, or the members of an ensemble.
    pub fn singles(&self) -> &[Self] {
        match self {
            Self::Ensemble { members, .. } => members,
            single => std::slice::from_ref(single),
        }
    }
}

impl Scorer {
    fn of(fitted: &FinalFit) -> Self {
        match fitted {
            FinalFit::Linear(model) => Self::Linear(LinearScorer {
                scaler: model.scaler.clone(),
                weights: model.weights.clone(),
                intercept: model.intercept,
                fill: model.fill.clone(),
            }),
            FinalFit::Trees(trees) => Self::Trees(trees.clone()),
            FinalFit::Fourier(fitted) => Self::Fourier(fitted.model.clone()),
            FinalFit::Kernel(fitted) => Self::Kernel(fitted.model.clone()),
            FinalFit::Ensemble(FinalEnsemble { members, combine }) => {
                let members = members.iter().map(|member| Self::of(&member.fitted)).collect();
                Self::Ensemble(EnsembleScorer { members, combine: combine.clone() })
            }
        }
    }

    /// Itself, or the members of an ensemble.
    pub fn singles(&self) -> &[Self] {
        match self {
            Self::Ensemble(EnsembleScorer { members, .. }) => members,
            single => std::slice::from_ref(single),
        }
    }

    /// The linear model, if it is one.
    pub fn linear(&self) -> Option<&LinearScorer> {
        match self {
            Self::Linear(model) => Some(model),
            Self::Trees(_) | Self::Fourier(_) | Self::Ensemble(_) | Self::Kernel(_) => None,
        }
    }
}

impl LinearScorer {
    /// How many weights aren't 0.
    pub fn weights_not_zero(&self) -> usize {
        self.weights.iter().filter(|weight| **weight != 0.0).count()
    }
}

impl ModelBundle {
    /// How many rows of patients its models hold, with their features; one in two models counts twice.
    pub fn rows_of_patients(&self) -> u64 {
        self.manifest.models.iter().map(|entry| entry.learner.rows_of_patients()).sum()
    }

    /// Whether the models are one model of all classes.
    pub fn is_multinomial(&self) -> bool {
        self.manifest.models.iter().any(|entry| entry.learner.is_multinomial())
    }

    /// The bundle of a finished study. `software` is name and version.
    pub fn new(study: &Study, findings: &Findings, input: BundleInput, software: &str) -> Self {
        let chosen = study.combinations()[findings.combination].learner;
        let entry = |target: &TargetFindings| {
            let mut point = findings.grid[target.model.point];
            if let Some(stopped) = target.trees.of(target.model.point) {
                point = point.with_trees(stopped.all);
            }
            let judged = &target.nested.judged;
            ModelEntry {
                class: target.class,
                learner: Learner::of(study, chosen, point, &target.model.fitted),
                figures: Summary {
                    auc_within_sites: six_decimals(&judged.auc_within_sites),
                    auc_one_list: six_decimals(&judged.one_list.auc),
                    sensitivity: six_decimals(&judged.one_list.sensitivity),
                    specificity: six_decimals(&judged.one_list.specificity),
                },
            }
        };
        let model = |target: &TargetFindings| Model {
            threshold: target.model.threshold,
            scorer: Scorer::of(&target.model.fitted),
        };
        let (entry_beside, beside) = beside::of(study, findings);
        Self {
            manifest: Manifest {
                format: FORMAT,
                software: software.to_owned(),
                study: study.name.clone(),
                study_digest: study.digest,
                target: study.target.column.clone(),
                classes: findings.classes.clone(),
                input: input.sorted(),
                features: findings.features,
                sites: findings.sites.clone(),
                judged: BundleJudged::of(study),
                models: findings.targets.iter().map(entry).collect(),
                beside: entry_beside,
            },
            models: findings.targets.iter().map(model).collect(),
            beside,
        }
    }

    /// The same as an earlier version wrote it, without what its format doesn't know: for whoever compares bytes. From format 2.
    pub fn in_format(mut self, format: u32) -> Self {
        if format < FORMAT {
            self.manifest.format = 2;
            self.manifest.beside = BesideEntry::default();
            self.beside = Beside::default();
        }
        self
    }
}

impl BundleViews {
    /// The views that a study asks for.
    pub fn of(augmentation: &AugmentationRule, seed: Seed) -> Self {
        match *augmentation {
            AugmentationRule::On { views, alter, .. } if views > 1 => {
                Self::Averaged { views, seed, alter }
            }
            AugmentationRule::On { .. } | AugmentationRule::Off => Self::Plain,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl BundleInput {
    /// The input of a study on a table; `None` when the study is on images.
    pub fn of_table(study: &Study) -> Option<Self> {
        match &study.input {
            Input::Images { .. } => None,
            Input::Table(table) => Some(Self::Table {
                features: table.feature_names(),
                table: serde_json::to_value(table).ok()?,
            }),
        }
    }

    /// With the keys of all objects in order, so that equal values are equal bytes.
    fn sorted(self) -> Self {
        match self {
            Self::Images {
                backbone,
                weights_source,
                weights_digest,
                preprocessing,
                precision,
                views,
            } => {
                let preprocessing = sorted(preprocessing);
                Self::Images {
                    backbone,
                    weights_source,
                    weights_digest,
                    preprocessing,
                    precision,
                    views,
                }
            }
            Self::Table { features, table } => Self::Table { features, table: sorted(table) },
        }
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn six_decimals(figure: &Figure) -> Option<f64> {
    match figure {
        Figure::Known { value, .. } => Some((value * 1e6).round() / 1e6),
        Figure::Undefined { .. } => None,
    }
}
