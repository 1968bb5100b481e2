//! The study file: what a study predicts, on whom, with which features, how it is validated.
//! Declarative; no code is ever shipped to a site.
//!
//! [`Study::parse`] reads TOML, refuses unknown fields and reports *all* mistakes with line and
//! column. [`Study`] itself can't be wrong: whoever holds one may rely on the ranges below.
//! Column names in a study are *logical*: a site's own file may map them to the headers of its
//! manifest.

mod bootstrap;
mod classifier;
mod confusion;
mod curve;
mod ensemble;
mod evaluation;
mod fairness;
mod grid_point;
mod joining;
mod outliers;
mod parse;
mod recipe;
mod reduce;
mod shortcuts;
mod target;
mod template;
mod validation;

use serde::Serialize;

pub use bootstrap::Bootstrap;
pub use classifier::{
    Balance, BoostingGrid, Classifier, ClosedForm, ColumnSample, EarlyStopping, Family, ForestGrid,
    LeafLimit, Loss, MultiClass, Standardise, TreeRules,
};
pub use confusion::Confusion;
pub use curve::LearningCurve;
pub use ensemble::{Ensemble, EnsembleKind, EnsemblePoint, Learner};
pub use evaluation::{DriftFigure, DriftLimit, Evaluation, StudyKind};
pub use fairness::{BySite, FairnessRule};
pub use grid_point::{
    BoostingPoint, ForestPoint, GridPoint, KernelPoint, LdaPoint, LinearPoint, NearestMeanPoint,
    RbfPoint, RidgePoint,
};
pub use joining::{Matrix, OwnSiteBaseline};
pub use outliers::{Outliers, Recalibrate};
pub use recipe::Recipe;
pub use reduce::{MOST_KEPT, Reduction};
pub use shortcuts::Shortcuts;
pub use target::{Classes, NONE_OF_THEM, Negative, SecondReader, Target};
pub use template::{Header, HeaderColumn, template};
pub use validation::{Candidates, Choose, ChooseBy, Halving, Search, ThresholdRule, Validation};

use crate::digest::Digest;
use crate::ids::SiteId;
use crate::query::{FoldPlan, GRID_STEPS, Schema, Weighting};
pub use crate::query::{JudgedUnit, UnitScore};
pub use crate::read::{Mistake, Mistakes};
use crate::seed::Seed;

/// A study, checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// What it is for; not written where models are fitted.
    #[serde(skip_serializing_if = "StudyKind::is_train")]
    pub kind: StudyKind,
    /// What people call it; 1 to 200 characters.
    pub name: String,
    /// Seeds folds and everything else that is random.
    pub seed: Seed,
    /// What it predicts.
    pub target: Target,
    /// Who is in it.
    pub cohort: CohortRule,
    /// Whose rows belong together.
    pub patient: PatientRule,
    /// Columns by which results are shown, in the order of the file.
    pub subgroups: Vec<Subgroup>,
    /// Which of them are judged by two columns at once; not written where none are.
    #[serde(skip_serializing_if = "FairnessRule::is_off")]
    pub fairness: FairnessRule,
    /// Where features come from.
    pub input: Input,
    /// What is fitted, 1 to 64; where there are several they are compared on the same folds. None where a finished model is judged.
    pub classifiers: Vec<Classifier>,
    /// What is made of several of them, up to 64; not written where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ensembles: Vec<Ensemble>,
    /// How it is validated.
    pub validation: Validation,
    /// How the sites work together.
    pub federation: FederationRule,
    /// SHA-256 of the file's bytes.
    pub digest: Digest,
}

/// Who is in the study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CohortRule {
    /// Which sites are asked.
    pub sites: StudySites,
    /// Rows that don't pass every filter are left out, and counted.
    pub filters: Vec<Filter>,
    /// How much rows count in fits; not written where all count the same.
    #[serde(skip_serializing_if = "RowWeights::is_equal")]
    pub weight: RowWeights,
}

/// How much rows count in what models are fitted to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowWeights {
    /// All the same.
    #[default]
    Equal,
    /// By a column of numbers from 0 to [`crate::query::MOST_ROW_WEIGHT`].
    Column(String),
}

impl RowWeights {
    /// Whether all rows count the same.
    pub fn is_equal(&self) -> bool {
        *self == Self::Equal
    }

    /// What it means for rows.
    pub fn weighting(&self) -> Weighting {
        match self {
            Self::Equal => Weighting::Equal,
            Self::Column(_) => Weighting::Given,
        }
    }
}

/// Which sites are asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StudySites {
    /// Every site that is enrolled when the study is submitted.
    Enrolled,
    /// These, sorted and distinct.
    Named(Vec<SiteId>),
}

/// A condition on a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Filter {
    /// The value is one of these texts.
    Keep {
        /// The column.
        column: String,
        /// The texts.
        values: Vec<String>,
    },
    /// The value is a number in this closed range; a missing or unreadable value doesn't pass.
    Range {
        /// The column.
        column: String,
        /// Lowest value; minus infinity when open.
        min: f64,
        /// Highest value; infinity when open.
        max: f64,
    },
}

/// Whose rows belong together in folds and weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PatientRule {
    /// The key column, read as text.
    pub key: String,
    /// What the key names, for reports: "patient" unless the file says otherwise ("lesion").
    pub unit: String,
    /// Which column says which exam a row is of.
    #[serde(skip_serializing_if = "ExamKey::is_none")]
    pub exam: ExamKey,
}

/// Which column says which exam of its patient a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExamKey {
    /// None: exams aren't judged.
    #[default]
    None,
    /// This one, read as text.
    Column(String),
}

impl ExamKey {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A column by which results are shown. The last level is always "unknown".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subgroup {
    /// Its name in results.
    pub name: String,
    /// The column.
    pub column: String,
    /// How values become levels.
    pub levels: Levels,
}

/// How a subgroup column's values become levels.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Levels {
    /// One level per text; anything else is unknown.
    Values {
        /// The texts, at least one.
        values: Vec<String>,
    },
    /// Bands of a number: `[edge 0, edge 1)`, ... and everything from the last edge on; below the
    /// first edge is unknown.
    Bands {
        /// Ascending edges, at least one.
        edges: Vec<f64>,
    },
}

impl Subgroup {
    /// A name per level, "unknown" last.
    pub fn level_names(&self) -> Vec<String> {
        let mut names = match &self.levels {
            Levels::Values { values } => values.clone(),
            Levels::Bands { edges } => edges
                .iter()
                .enumerate()
                .map(|(at, edge)| match edges.get(at + 1) {
                    Some(next) => format!("{edge} to <{next}"),
                    None => format!("{edge} and over"),
                })
                .collect(),
        };
        names.push("unknown".to_owned());
        names
    }

    /// The level of a value; texts that are numbers compare as numbers, so `1` is also `1.0`.
    pub fn level(&self, value: &str) -> u8 {
        let value = value.trim();
        let (found, unknown) = match &self.levels {
            Levels::Values { values } => {
                (values.iter().position(|known| same_value(known, value)), values.len())
            }
            Levels::Bands { edges } => {
                let number = value.parse::<f64>().ok().filter(|v| v.is_finite());
                (number.and_then(|v| edges.iter().rposition(|edge| v >= *edge)), edges.len())
            }
        };
        found.unwrap_or(unknown) as u8
    }
}

/// Whether two values of a column are the same: as texts, or as numbers when both are finite ones.
pub fn same_value(a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite());
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

/// Where features come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Input {
    /// Images through a pretrained backbone.
    Images {
        /// The column with the image's path.
        column: String,
        /// The backbones, 1 to 16; each is an input of its own.
        backbones: Vec<BackboneRule>,
        /// Whether altered copies of images are used.
        augmentation: AugmentationRule,
    },
    /// Numbers from the manifest itself.
    Table(Table),
}

/// A classifier, or an ensemble of them, on an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Combination<'a> {
    /// The number of the backbone, from 0; 0 for a table.
    pub input: u8,
    /// What makes its models.
    pub learner: Learner<'a>,
    /// The classifier's or ensemble's name, and the backbone's where there are several.
    pub name: String,
}

/// Which backbone with which weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackboneRule {
    /// Its name as `wardround-site backbones` lists it.
    pub name: String,
    /// Where its weights come from.
    pub weights: WeightsRule,
    /// How images are prepared.
    pub preprocess: PreprocessRule,
    /// How exactly it computes.
    pub precision: Precision,
}

/// How exactly a backbone computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// bfloat16 in products, sums in single precision: faster where the machine has instructions for it.
    Bf16,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

/// Which weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsRule {
    /// The entry's own source and digest, as the software ships them.
    Shipped,
    /// A source (`pip:`, `hf:` or `file:`) with its SHA-256.
    Pinned {
        /// The source.
        source: String,
        /// The digest that every site's file must have.
        sha256: Digest,
    },
}

/// How images are prepared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreprocessRule {
    /// As the weights' entry says.
    Shipped,
    /// The study's own.
    Own {
        /// Pixels that the shorter side is resized to.
        shorter_side: u32,
        /// Pixels of the centre crop; at most `shorter_side`.
        crop: u32,
        /// Mean of each channel, in 0 to 1.
        mean: [f64; 3],
        /// Deviation of each channel, positive.
        std: [f64; 3],
    },
}

/// Whether altered copies of images are used.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum AugmentationRule {
    /// Images as they are.
    Off,
    /// Altered copies; the study's seed decides how each is altered.
    On {
        /// Altered copies of each image that models are fitted to beside the image itself, 0 to 32. A row keeps its weight: its image
        /// and each copy have an equal share of it. Nothing is ever judged on a copy.
        copies: u16,
        /// Views of an image whose features are averaged when the finished model is used on it, 1 to 32: the image itself, then
        /// altered copies.
        views: u16,
        /// How they are altered.
        alter: Alterations,
    },
}

/// How copies of an image are altered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alterations {
    /// Rotation by up to so many degrees either way, 0 to 180.
    pub rotation: f64,
    /// A part of between these shares of the image's area, above 0 and up to 1; none: the part that is always seen.
    pub crop: CropRule,
    /// Mirrored left to right, every other time.
    pub flip: bool,
    /// Brightness times 1 - x to 1 + x, 0 to 1.
    pub brightness: f64,
    /// Contrast times 1 - x to 1 + x, 0 to 1.
    pub contrast: f64,
}

impl Alterations {
    /// Copies are as the image is.
    pub const NOTHING: Self =
        Self { rotation: 0.0, crop: CropRule::Off, flip: false, brightness: 0.0, contrast: 0.0 };
}

/// Which part of an image a copy shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CropRule {
    /// What the image itself shows.
    Off,
    /// A part of between these shares of its area, ascending, above 0 and up to 1.
    Area([f64; 2]),
}

/// A table of numbers instead of images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Columns taken as numbers.
    pub numeric: Vec<String>,
    /// Columns taken as one feature per listed value (one-hot), in the order of the file.
    pub categorical: Vec<Categorical>,
    /// What happens to rows with missing values.
    pub missing: Missing,
}

/// A column taken as one feature per value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Categorical {
    /// The column.
    pub column: String,
    /// Its values; numbers compare as numbers, so `1` is also `1.0`.
    pub values: Vec<String>,
}

/// What happens to rows with missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The row is set aside, and counted.
    Drop,
    /// The training folds' mean stands in, and one more feature per numeric column says so.
    Impute,
}

impl Table {
    /// A name per feature: numeric columns, one-hot features, then (with imputation) a
    /// `... is missing` feature per numeric column and per categorical column.
    pub fn feature_names(&self) -> Vec<String> {
        let mut names = self.numeric.clone();
        for c in &self.categorical {
            names.extend(c.values.iter().map(|value| format!("{} = {value}", c.column)));
        }
        if self.missing == Missing::Impute {
            let columns = self.numeric.iter().chain(self.categorical.iter().map(|c| &c.column));
            names.extend(columns.map(|column| format!("{column} is missing")));
        }
        names
    }
}

/// How the sites work together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FederationRule {
    /// How many sites a fit needs at least.
    pub quorum: Quorum,
    /// What happens when a site doesn't come back.
    pub on_site_lost: OnSiteLost,
    /// A site without progress for this long counts as lost, in seconds (10 to 30 days).
    pub patience_s: u32,
    /// What leaves a site; not written where it is sums.
    #[serde(skip_serializing_if = "Mode::is_sums")]
    pub mode: Mode,
}

/// What leaves a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Sums over its patients.
    #[default]
    Sums,
    /// The rows of features themselves, where every site's owner allows that by name; the coordinator computes on them.
    FeatureRows,
}

impl Mode {
    fn is_sums(&self) -> bool {
        *self == Self::Sums
    }
}

/// How many sites a fit needs at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quorum {
    /// Every site of the study.
    All,
    /// At least this many, 1 or more.
    AtLeast(u16),
}

/// What happens when a site doesn't come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSiteLost {
    /// The fit waits for it.
    Wait,
    /// The unfinished fits start again without it, as long as the quorum holds.
    Restart,
}

impl Study {
    /// The most numbers that a question about its models asks for per model, for the rule on wide sums;
    /// what [`crate::query::Query::numbers_per_model`] will say of them.
    pub fn widest_numbers_per_model(&self, features: u32) -> u64 {
        let columns = u64::from(features) + 1;
        let classes = u64::from(self.target.classes.count());
        let of_reductions = |classifier: &Classifier| {
            let of_one = |reduction: &Reduction| match reduction {
                Reduction::None | Reduction::Variance(_) => 0,
                Reduction::Univariate(_) => u64::from(features) * classes,
                Reduction::Pca(_) => columns * classes,
            };
            classifier.reductions().iter().map(of_one).max().unwrap_or(0)
        };
        let of_family = |classifier: &Classifier| match classifier.family() {
            Family::Linear(_) => columns,
            Family::Rbf => {
                let points = classifier.grid();
                let components = points.iter().filter_map(GridPoint::rbf).map(|p| p.components);
                components.max().map_or(columns, |most| columns.max(u64::from(most) + 1))
            }
            Family::ClosedForm(_) | Family::Multinomial => columns * classes,
            // The counts on the grid that bins are made of.
            Family::Forest | Family::Boosting | Family::BaggedForest => {
                u64::from(features) * GRID_STEPS as u64
            }
            // Its rows leave: nothing is summed.
            Family::KernelSvm => 0,
        };
        let widest = |one: &Classifier| of_family(one).max(of_reductions(one));
        // Cross products of all features, and sums by class.
        let of_distances = match self.validation.outliers {
            Outliers::Off => 0,
            Outliers::On => columns * classes,
        };
        self.classifiers.iter().map(widest).fold(of_distances, u64::max)
    }

    /// Whether it asks sites for models of their own patients alone.
    pub fn asks_for_own_models(&self) -> bool {
        self.classifiers.iter().any(|one| one.family() == Family::BaggedForest)
    }

    /// What is fitted and judged: every classifier and then every ensemble on every input, input by input.
    pub fn combinations(&self) -> Vec<Combination<'_>> {
        let inputs: Vec<Option<&str>> = match &self.input {
            Input::Images { backbones, .. } if backbones.len() > 1 => {
                backbones.iter().map(|backbone| Some(backbone.name.as_str())).collect()
            }
            Input::Images { .. } | Input::Table(_) => vec![None],
        };
        let names = classifier_names(&self.classifiers);
        let classifiers = self.classifiers.iter().map(Learner::Classifier);
        let mut learners: Vec<(String, Learner<'_>)> = names.into_iter().zip(classifiers).collect();
        for ensemble in &self.ensembles {
            let of_kind = format!("{} of {}", ensemble.kind.word(), ensemble.members.len());
            let name = free_name(of_kind, |name| learners.iter().any(|(known, _)| known == name));
            learners.push((name, Learner::Ensemble(ensemble)));
        }
        let of_input = |(input, backbone): (u8, &Option<&str>)| {
            let with = learners.iter().map(|(name, learner)| {
                let name = match backbone {
                    Some(backbone) => format!("{backbone}: {name}"),
                    None => name.clone(),
                };
                Combination { input, learner: *learner, name }
            });
            with.collect::<Vec<_>>()
        };
        (0..).zip(&inputs).flat_map(of_input).collect()
    }

    /// The points of a classifier's grid that are tried, in the grid's order.
    pub fn grid(&self, classifier: &Classifier) -> Vec<GridPoint> {
        let all = classifier.grid();
        let points = match self.validation.search {
            Search::Grid | Search::Halving(Halving { candidates: Candidates::Grid, .. }) => {
                return all;
            }
            Search::Random(points)
            | Search::Halving(Halving { candidates: Candidates::Random(points), .. }) => points,
        };
        let kind = classifier.kind().as_bytes();
        let drawn =
            |at: &usize| self.seed.bits("random search", &[kind, &(*at as u64).to_le_bytes()]);
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(drawn);
        order.truncate(usize::from(points));
        order.sort_unstable();
        order.into_iter().map(|at| all[at]).collect()
    }

    /// How many inputs there are: the backbones, or one table.
    pub fn inputs(&self) -> usize {
        match &self.input {
            Input::Images { backbones, .. } => backbones.len(),
            Input::Table(_) => 1,
        }
    }

    /// Reads a study file.
    ///
    /// # Errors
    /// [`Mistakes`] lists every mistake with line, column and what would be right.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        parse::study(text)
    }

    /// How folds are dealt.
    pub fn fold_plan(&self) -> FoldPlan {
        let Validation { folds, repeats, .. } = self.validation;
        FoldPlan { seed: self.seed, folds, repeats }
    }

    /// [`Study::schema`] of each input, given their numbers of features.
    pub fn schemas(&self, features: &[u32]) -> Vec<Schema> {
        features.iter().map(|&wide| self.schema(wide)).collect()
    }

    /// What every row looks like, given the number of features (the backbone's, or the table's).
    pub fn schema(&self, features: u32) -> Schema {
        Schema {
            features,
            classes: self.target.classes.count(),
            labelling: self.target.classes.labelling(),
            weighting: self.cohort.weight.weighting(),
            judged: self.validation.judge,
            levels: self.subgroups.iter().map(|s| s.level_names().len() as u8).collect(),
        }
    }
}

/// A name per classifier: its kind, what is done about classes of different size where that tells them
/// apart, and a number where several would have the same.
pub(crate) fn classifier_names(classifiers: &[Classifier]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for classifier in classifiers {
        let mut name = classifier.kind().to_owned();
        if classifiers.len() > 1 && classifier.family() == Family::Multinomial {
            name.push_str(", multinomial");
        }
        if let [balance] = classifier.balances()
            && !balance.is_none()
            && classifiers.len() > 1
        {
            name.push_str(", ");
            name.push_str(balance.name());
        }
        names.push(free_name(name, |name| names.contains(name)));
    }
    names
}

/// The name, or with the first number from 2 that makes it one that isn't taken.
fn free_name(name: String, is_taken: impl Fn(&String) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name));
    free.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_numbers_compare_as_numbers() {
        let sex = Subgroup {
            name: "sex".into(),
            column: "sex".into(),
            levels: Levels::Values { values: vec!["0.0".into(), "1.0".into(), "w".into()] },
        };
        let levels: Vec<u8> = ["0", "1", " 1.0 ", "w", "W", "", "nan"].map(|v| sex.level(v)).into();
        assert_eq!(levels, [0, 1, 1, 2, 3, 3, 3]);
    }

    #[test]
    fn bands_are_half_open_and_the_last_one_has_no_end() {
        let age = Subgroup {
            name: "age".into(),
            column: "age".into(),
            levels: Levels::Bands { edges: vec![0.0, 40.0, 60.0] },
        };
        let levels: Vec<u8> =
            ["-1", "0", "39.9", "40", "60", "101", "", "inf"].map(|v| age.level(v)).into();
        assert_eq!(levels, [3, 0, 0, 1, 2, 2, 3, 3]);
        assert_eq!(age.level_names(), ["0 to <40", "40 to <60", "60 and over", "unknown"]);
    }
}
