//! What a study found: the contract between the study driver, the report and the model bundle.
//! Plain data; every figure carries its interval and its n, or says why it is undefined.

mod classes;
mod crossed;
mod curve;
mod evaluated;
mod gains;
mod joining;
mod kernel;
mod outliers;
mod profile;
mod readers;
mod shortcuts;
mod uncertainty;

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_core::query::{CALIBRATION_BINS, Combine, Frame, Node, Side, TreeModel, TreeOutput};
use wardround_core::seed::Seed;
pub use wardround_core::study::GridPoint;

pub use self::classes::{
    Average, CallTable, CallTables, Calls, ClassMean, ClassMeans, MeansOfCells,
};
pub use self::crossed::{Crossed, CrossedRows};
pub use self::curve::{CurveModels, CurveOfClass, CurveStep, LearningCurve, why_unfit};
pub use self::evaluated::{Evaluated, EvaluatedBundle};
pub use self::gains::TreeGains;
pub use self::joining::{
    Matrix, MatrixOfClass, OwnModel, OwnSite, OwnSites, OwnSitesOfClass, TrainedAt,
};
pub use self::kernel::{FinalKernel, OwnKernel};
pub use self::outliers::{MeansOf, MeasuredOutliers, Outliers};
pub use self::profile::{JudgedCell, Profile, ProfileCell, UnitCell};
pub use self::readers::{ReaderTable, ReaderTables, Readers};
pub use self::shortcuts::{
    Among, Distance, FollowedLevel, JudgedLevel, Shift, ShortcutColumn, ShortcutLevel, ShortcutOf,
    Shortcuts, ShortcutsFound,
};
pub use self::uncertainty::{
    ConformalSets, FinalLimits, LearnedLimits, LineFit, OwnOf, OwnThresholds, Recalibrated,
    RecalibratedFit, SetsKind, Uncertainty,
};

/// Everything a finished study found, before anything is suppressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The sites of every fit in here, sorted.
    pub sites: Vec<SiteId>,
    /// A name per class code.
    pub classes: Vec<String>,
    /// Subgroup columns in the study's order.
    pub subgroups: Vec<SubgroupNames>,
    /// Name of each feature, or a generated `f0`, `f1`, ...
    pub features: u32,
    /// Who is in it.
    pub profile: Profile,
    /// Index among [`wardround_core::study::Study::combinations`]: the only one, or the one that was chosen.
    pub combination: usize,
    /// Its grid; results refer to its points by index.
    pub grid: Vec<GridPoint>,
    /// One entry per modelled class: one when binary, else one per class (against the rest).
    pub targets: Vec<TargetFindings>,
    /// The study's classifiers beside each other.
    pub comparison: Comparison,
    /// Each site's own model beside the federated one.
    #[serde(default, skip_serializing_if = "OwnSites::is_not_asked")]
    pub own_sites: OwnSites,
    /// Models of single sites, judged at every site.
    #[serde(default, skip_serializing_if = "Matrix::is_not_asked")]
    pub matrix: Matrix,
    /// What more patients would be worth.
    #[serde(default, skip_serializing_if = "LearningCurve::is_not_asked")]
    pub learning_curve: LearningCurve,
    /// How unlike rows are to those that the final model was fitted to.
    #[serde(default, skip_serializing_if = "Outliers::is_not_asked")]
    pub outliers: Outliers,
    /// How well features tell sites and subgroups, and whether scores follow them.
    #[serde(default, skip_serializing_if = "Shortcuts::is_not_asked")]
    pub shortcuts: Shortcuts,
    /// How far sites' features lie apart.
    #[serde(default, skip_serializing_if = "Shift::is_not_asked")]
    pub shift: Shift,
    /// How far two readers of the same rows agree.
    #[serde(default, skip_serializing_if = "Readers::is_not_asked")]
    pub readers: Readers,
    /// Means over classes, where several are modelled.
    #[serde(default, skip_serializing_if = "ClassMeans::are_of_one")]
    pub class_means: ClassMeans,
    /// How often rows of each class were called which.
    #[serde(default, skip_serializing_if = "Calls::are_not_asked")]
    pub calls: Calls,
    /// What it cost.
    pub cost: Cost,
    /// The finished model that was judged, where nothing was fitted.
    #[serde(default, skip_serializing_if = "Evaluated::is_fitted")]
    pub evaluated: Evaluated,
}

/// Whether a study compares classifiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Comparison {
    /// It has one.
    Single,
    /// It has several.
    Several(Compared),
}

/// Several classifiers on the same folds. AUCs are of the kind that the study chooses by; of several
/// classes, the mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// One per classifier, in the study's order.
    pub classifiers: Vec<ComparedClassifier>,
    /// Index of the one with the largest nested AUC.
    pub chosen: usize,
    /// The chosen one's AUC without the advantage of having been chosen: bootstrap bias-corrected.
    pub estimate: Figure,
    /// The same for each modelled class.
    pub estimate_by_class: Vec<Figure>,
    /// Every pair of classifiers.
    pub differences: Vec<Difference>,
    /// Bootstrap replicates that all of this rests on.
    pub replicates: u64,
}

/// One of several classifiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedClassifier {
    /// Its name.
    pub name: String,
    /// Its grid.
    pub grid: Vec<GridPoint>,
    /// Its nested AUC.
    pub auc: Figure,
    /// One per modelled class.
    pub classes: Vec<ComparedClass>,
    /// What it cost, without what all classifiers share.
    pub cost: Cost,
    /// Numbers of its first and last answered question, counted from 1: lines of the journal.
    pub rounds: [u64; 2],
}

/// One modelled class of one of several classifiers; the fields are those of [`TargetFindings`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedClass {
    /// The class that counts as positive.
    pub class: u8,
    /// Every grid point's plain out-of-fold figures.
    pub used_for_choosing: Vec<GridResult>,
    /// Nested figures.
    pub nested: Nested,
    /// Every site left out once.
    pub left_out: Vec<LeftOut>,
    /// The grid point that would be refitted on all rows.
    pub point: usize,
    /// How many trees models have, where held-out rows say so.
    #[serde(default, skip_serializing_if = "TreeCounts::are_given")]
    pub trees: TreeCounts,
    /// Where grid points raced.
    #[serde(default, skip_serializing_if = "Races::are_off")]
    pub races: Races,
}

/// Two classifiers' nested AUCs, one less the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Index of the one.
    pub first: usize,
    /// Index of the other, which is subtracted.
    pub second: usize,
    /// The difference; its interval holds for all differences at once.
    pub auc: Figure,
    /// The p-value, adjusted for all differences (max-T); nothing where an AUC is undefined.
    pub p: Option<f64>,
}

/// A subgroup column and its levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgroupNames {
    /// The column's name in results.
    pub name: String,
    /// Its levels, "unknown" last.
    pub levels: Vec<String>,
}

/// What was found for one modelled class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetFindings {
    /// The class that counts as positive.
    pub class: u8,
    /// Every grid point's plain out-of-fold figures: used for choosing, so optimistic.
    pub used_for_choosing: Vec<GridResult>,
    /// The figure of the chosen model: nested, the outer fold had no part in the choice.
    pub nested: Nested,
    /// Every site left out once; empty when the study doesn't ask for it.
    pub left_out: Vec<LeftOut>,
    /// The AUC in one list of a score that knows only the site's prevalence.
    pub site_only_auc: Figure,
    /// The final model, chosen and refitted on all rows.
    pub model: FinalModel,
    /// How many trees models have, where held-out rows say so.
    #[serde(default, skip_serializing_if = "TreeCounts::are_given")]
    pub trees: TreeCounts,
    /// Where grid points raced.
    #[serde(default, skip_serializing_if = "Races::are_off")]
    pub races: Races,
}

/// Whether grid points raced for the folds that they are judged on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Races {
    /// All were judged on all.
    #[default]
    Off,
    /// By successive halving.
    Halved {
        /// Of so many points one went on.
        eta: u16,
        /// One per choice.
        races: Vec<RaceResult>,
    },
}

/// A race of all grid points that start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaceResult {
    /// What is chosen by it.
    pub of: RaceOf,
    /// One per grid point.
    pub trials: Vec<Trial>,
}

/// What a race chooses for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum RaceOf {
    /// The model of an outer fold, by its inner folds.
    Fold {
        /// Which deal.
        repeat: u8,
        /// Which fold.
        fold: u8,
    },
    /// The model without a site.
    Site {
        /// Index into the sites.
        site: u16,
    },
    /// The final model.
    All,
}

/// How far a grid point came in a race.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Held-out folds that it was judged on.
    pub folds: u8,
    /// Its AUC on them, of the kind that the study chooses by.
    pub auc: Figure,
}

impl Races {
    /// Whether there were none.
    pub fn are_off(&self) -> bool {
        *self == Self::Off
    }
}

/// How many trees models have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum TreeCounts {
    /// As many as their grid point says, or they aren't trees.
    #[default]
    Given,
    /// As many as make the log loss of held-out rows least.
    Stopped {
        /// One per grid point.
        points: Vec<StoppedTrees>,
    },
}

/// How many trees the models of a grid point have; each number comes from rows that had no part in the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoppedTrees {
    /// Of each outer fold's model, repeat by repeat.
    pub folds: Vec<u32>,
    /// Of the model without each site; empty when no site is left out.
    pub left_out: Vec<u32>,
    /// Of the model of all rows.
    pub all: u32,
}

impl TreeCounts {
    /// Whether grid points say it.
    pub fn are_given(&self) -> bool {
        *self == Self::Given
    }

    /// The numbers of a grid point's models, where held-out rows said them.
    pub fn of(&self, point: usize) -> Option<&StoppedTrees> {
        match self {
            Self::Given => None,
            Self::Stopped { points } => points.get(point),
        }
    }
}

/// A grid point's plain out-of-fold figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GridResult {
    /// AUC over pairs of one site, all folds.
    pub auc_within_sites: Figure,
    /// AUC of all sites in one list, all folds.
    pub auc_one_list: Figure,
    /// Each fold by itself, repeat by repeat.
    pub folds: Vec<FoldResult>,
}

/// One fold's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldResult {
    /// Which deal.
    pub repeat: u8,
    /// Which fold.
    pub fold: u8,
    /// AUC over pairs of one site.
    pub auc_within_sites: Figure,
    /// AUC of all sites in one list.
    pub auc_one_list: Figure,
}

/// Nested cross-validation's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nested {
    /// The grid point and threshold each outer fold chose without its own rows.
    pub choices: Vec<NestedChoice>,
    /// The outer folds' scores, judged.
    pub judged: Judged,
    /// Each outer fold by itself.
    pub folds: Vec<FoldResult>,
}

/// What an outer fold chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NestedChoice {
    /// Which deal.
    pub repeat: u8,
    /// Which fold.
    pub fold: u8,
    /// Index into the grid.
    pub point: usize,
    /// Probability from which a row is called positive.
    pub threshold: f64,
}

/// A site left out: everything chosen and fitted without it, judged at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Index into the sites.
    pub site: u16,
    /// Index into the grid, chosen without the site.
    pub point: usize,
    /// Probability from which a row is called positive, chosen without the site.
    pub threshold: f64,
    /// The chosen model's figures at the site.
    pub figures: Figures,
    /// AUC at the site of every grid point fitted without it, in grid order.
    pub auc_by_point: Vec<Figure>,
}

/// A list of scores, judged three ways and by subgroup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// AUC over pairs of patients of one site only: sum of n+ n- AUC over sites, divided by the sum
    /// of n+ n-.
    pub auc_within_sites: Figure,
    /// All sites in one list.
    pub one_list: Figures,
    /// Each site by itself.
    pub by_site: Vec<Figures>,
    /// Each subgroup column and level, all sites in one list.
    pub by_subgroup: Vec<Vec<Figures>>,
    /// How far apart the levels of each subgroup column would be by chance; none where patients weren't drawn again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fairness: Vec<ColumnSpread>,
    /// By two columns at once, where the study asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crossed: Vec<Crossed>,
    /// Recalibration, conformal sets and abstention, of the first repeat.
    #[serde(default, skip_serializing_if = "Uncertainty::is_empty")]
    pub uncertainty: Uncertainty,
}

/// How sure the figures of a subgroup column's levels are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnSpread {
    /// One per metric of [`crate::metrics::registry::FAIRNESS`].
    pub metrics: Vec<MetricSpread>,
}

/// How sure a metric of a subgroup column's levels is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSpread {
    /// The metric's name.
    pub name: String,
    /// Standard error by level, from draws of the patients; none where it is undefined in too many.
    pub errors: Vec<Option<f64>>,
    /// By level and deal, the metric when levels are dealt anew among patients of one site and class; none where it is undefined.
    pub dealt: Vec<Vec<Option<f64>>>,
}

/// The figures of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Patients with a negative, with a positive row.
    pub patients: [u64; 2],
    /// Negative, positive rows.
    pub rows: [u64; 2],
    /// Area under the ROC curve; interval by DeLong, clustered by patient.
    pub auc: Figure,
    /// Share of positives called positive at the threshold; Wilson interval.
    pub sensitivity: Figure,
    /// Share of negatives called negative at the threshold; Wilson interval.
    pub specificity: Figure,
    /// True positives, false positives, true negatives, false negatives at the threshold.
    pub confusion: [u64; 4],
    /// Mean of `(p - y)^2`.
    pub brier: Figure,
    /// Expected calibration error, equal-width bins.
    pub ece: Figure,
    /// ROC curve from (0, 0) to (1, 1): false positive rate, true positive rate.
    pub roc: Vec<[f64; 2]>,
    /// Reliability curve.
    pub reliability: Vec<ReliabilityBin>,
    /// All other metrics by name, in the order of [`crate::metrics::registry::METRICS`]; none in findings of
    /// a format that didn't have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<NamedFigure>,
}

/// A figure with the name of its metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedFigure {
    /// The metric's name in [`crate::metrics::registry::METRICS`].
    pub name: String,
    /// The figure.
    pub figure: Figure,
}

/// One bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Rows in the bin.
    pub rows: u64,
    /// Positive rows in the bin.
    pub positives: u64,
    /// Mean predicted probability.
    pub mean_score: f64,
}

impl ReliabilityBin {
    /// The lower end of a bin that holds rows: bins are of equal width.
    pub fn lower_end(&self) -> f64 {
        let bins = CALIBRATION_BINS as f64;
        // A mean at a bin's very end may be rounded beyond it.
        ((self.mean_score * bins + 1e-9).floor() / bins).clamp(0.0, 1.0 - 1.0 / bins)
    }
}

/// A number with its 95 % interval, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Figure {
    /// Value and interval.
    Known {
        /// The estimate.
        value: f64,
        /// Its 95 % interval.
        interval: Interval,
    },
    /// Not defined on this cell.
    Undefined {
        /// Why.
        reason: String,
    },
}

/// A 95 % interval, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Interval {
    /// Lower and upper end.
    Between {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// None was computed.
    NotComputed,
}

/// The final model, in the features' own units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalModel {
    /// Index into the grid.
    pub point: usize,
    /// Probability from which a row is called positive, chosen on all out-of-fold scores.
    pub threshold: f64,
    /// The model itself.
    pub fitted: FinalFit,
    /// What is learned from all outer folds' scores, for whoever uses it.
    #[serde(default, skip_serializing_if = "FinalLimits::is_not_learned")]
    pub limits: FinalLimits,
    /// What its trees gained by each feature. No part of what was fitted: the bundle has no place for it.
    #[serde(default, skip_serializing_if = "TreeGains::is_not_kept")]
    pub gains: TreeGains,
}

/// What was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FinalFit {
    /// A weighted sum of features.
    Linear(FinalLinear),
    /// A sum or mean of trees.
    Trees(FinalTrees),
    /// A weighted sum of random Fourier features.
    Fourier(FinalFourier),
    /// Several of these in one.
    Ensemble(FinalEnsemble),
    /// A support vector machine that is made of rows.
    Kernel(FinalKernel),
}

impl FinalFit {
    /// The linear model, if it is one.
    pub fn linear(&self) -> Option<&FinalLinear> {
        match self {
            Self::Linear(model) => Some(model),
            Self::Trees(_) | Self::Fourier(_) | Self::Ensemble(_) | Self::Kernel(_) => None,
        }
    }
}

/// Models of several classifiers whose scores make one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalEnsemble {
    /// Its members, in the study's order.
    pub members: Vec<FinalMember>,
    /// How their scores are put together.
    pub combine: Combine,
}

/// A member of an ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalMember {
    /// Its classifier: an index into [`wardround_core::study::Study::classifiers`].
    pub classifier: u8,
    /// The grid point that was chosen for it.
    pub point: GridPoint,
    /// The model.
    pub fitted: FinalFit,
}

/// A linear model in the features' own units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalLinear {
    /// How a row is standardised.
    pub scaler: FinalScaler,
    /// One weight per standardised feature.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
    /// What stands in for a missing feature, in the features' own units; empty when none may miss.
    pub fill: Vec<f64>,
    /// Newton or L-BFGS steps it took.
    pub steps: u32,
    /// The gradient's largest entry at the end, per row.
    pub gradient: f64,
}

/// A linear model on random Fourier features, with how it was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinalFourier {
    /// The model.
    pub model: OwnFourier,
    /// L-BFGS steps it took.
    pub steps: u32,
    /// The gradient's largest entry at the end, per row.
    pub gradient: f64,
}

/// A linear model on random Fourier features of rows in the features' own units; see
/// [`wardround_core::query::FourierMap`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnFourier {
    /// What the frequencies are drawn from.
    pub seed: Seed,
    /// The kernel's width.
    pub gamma: f64,
    /// How a row is standardised.
    pub scaler: FourierScaler,
    /// What becomes of a missing feature.
    pub missing: MissingFeatures,
    /// One weight per component.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
}

/// How a row is standardised before it is mapped: `(x - mean) * inverse`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FourierScaler {
    /// By mean and deviation over all sites' rows.
    All {
        /// Mean of each feature.
        mean: Vec<f64>,
        /// One over each feature's deviation; 0 where it is constant.
        inverse: Vec<f64>,
    },
    /// By the site's own rows; a new site uses its own unlabelled rows.
    OwnSite,
    /// By the site's own rows as far as they differ from all sites' by more than is usual (ComBat); a new
    /// site uses its own unlabelled rows.
    Combat {
        /// Mean of each feature over all sites.
        mean: Vec<f64>,
        /// Deviation of each feature within sites; 0 where it is constant in each.
        deviation: Vec<f64>,
    },
}

/// Whether a model takes rows with missing features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingFeatures {
    /// A missing feature takes the training rows' mean (the site's own where sites are scaled by
    /// themselves).
    Filled,
    /// A row with a missing feature can't be judged.
    Refused,
}

/// Trees in the features' own units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalTrees {
    /// How the trees make a score.
    pub output: TreeOutput,
    /// What is added to their sum.
    pub start: f64,
    /// The trees.
    pub trees: Vec<OwnTree>,
}

/// A tree in the features' own units, its root first; children come after their parents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnTree(pub Vec<OwnNode>);

/// A node of a tree in the features' own units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", untagged)]
pub enum OwnNode {
    /// Rows go left or right.
    Split {
        /// The feature.
        feature: u32,
        /// Rows with a smaller value go left, all others right.
        below: f64,
        /// Where rows go that miss the feature.
        missing: Side,
        /// Index of the left child; the right one follows it.
        left: u32,
    },
    /// Rows end here.
    Leaf {
        /// What it says of them.
        value: f64,
    },
}

impl FinalTrees {
    /// A model's trees with the edges of their frame's grid.
    pub fn new(model: &TreeModel, frame: &Frame) -> Self {
        let own = |node: &Node| match *node {
            Node::Leaf { value } => OwnNode::Leaf { value },
            Node::Split { column, below, missing, left } => OwnNode::Split {
                feature: column,
                // What lies beyond the grid is on its outer steps.
                below: if below == 0 { f64::MIN } else { frame.edge(column as usize, below) },
                missing,
                left,
            },
        };
        let trees = model.trees.iter().map(|tree| OwnTree(tree.0.iter().map(own).collect()));
        Self { output: model.output, start: model.start, trees: trees.collect() }
    }

    /// The logit of a row of features; NaN stands for a missing one.
    pub fn logit(&self, features: &[f64]) -> f64 {
        let sum = self.trees.iter().fold(self.start, |sum, tree| sum + tree.value(features));
        self.output.logit(sum, self.trees.len())
    }
}

impl OwnTree {
    /// What the tree says of a row.
    pub fn value(&self, features: &[f64]) -> f64 {
        let mut at = 0;
        loop {
            match self.0[at] {
                OwnNode::Leaf { value } => return value,
                OwnNode::Split { feature, below, missing, left } => {
                    let x = features[feature as usize];
                    let right = if x.is_nan() { missing == Side::Right } else { x >= below };
                    at = left as usize + usize::from(right);
                }
            }
        }
    }
}

/// How the final model standardises a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FinalScaler {
    /// By mean and deviation over all sites' rows.
    All {
        /// Mean of each feature.
        mean: Vec<f64>,
        /// Deviation of each feature; 1 where it is constant.
        deviation: Vec<f64>,
    },
    /// By the site's own rows; a new site uses its own unlabelled rows.
    OwnSite,
    /// By the site's own rows as far as they differ from all sites' by more than is usual (ComBat); a new
    /// site uses its own unlabelled rows.
    Combat {
        /// Mean of each feature over all sites.
        mean: Vec<f64>,
        /// Deviation of each feature within sites; 0 where it is constant in each.
        deviation: Vec<f64>,
    },
}

/// What a study cost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Questions asked, each one round.
    pub queries: u64,
    /// Of these, for fitting (Gram, gradients, Hessians).
    pub fitting_queries: u64,
    /// Models fitted.
    pub models: u64,
    /// Questions a fit at the slowest grid point alone would have asked: of linear models the one with the largest C.
    pub queries_of_slowest_fit: u64,
}
