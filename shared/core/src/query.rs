//! A question to all sites whose answer is a sum over their patients (statistical-query form:
//! Kearns 1998; Chu et al. 2006).
//!
//! A query is self-contained: it says, per model, which rows count (folds, sites), which statistic
//! is wanted, by which columns it is split and at which fixed-point scale it is answered. Its
//! [`Query::encode`] bytes are what is hashed, journalled and sent; there is one encoding, so one
//! digest names a query everywhere.
//!
//! Words: a *row* is an image (or a table's line) with its features; a *patient* has one or more
//! rows, all in one fold. Features are seen through a [`Frame`]: a public shift and scale of each
//! column, shared by all sites, that brings every column near mean 0 and deviation 1.

mod agreement;
mod answer;
mod calls;
mod check;
mod combat;
mod distance;
mod encoding;
mod ensemble;
mod fourier;
mod given;
mod judged;
mod marked;
mod own_forest;
mod own_site;
mod resampled;
mod rows;
mod schema;
mod softmax;
mod trees;
mod weights;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{SiteId, StudyId};
use crate::seed::Seed;
use crate::sum::BlockSpec;

pub use self::calls::MOST_CALLED_CLASSES;
pub use self::combat::Combat;
pub use self::distance::{DISTANCE_BINS, DistanceTerm, MOST_DIRECTIONS, Measure};
pub use self::encoding::DecodeError;
pub(crate) use self::encoding::{decode, encode_into};
pub use self::ensemble::{Combine, EnsembleModel, MEMBER_LIMIT, MOST_MEMBERS, StackTerm};
pub use self::fourier::{
    FourierMap, FourierModel, FourierTerm, LEAST_COMPONENTS, MOST_COMPONENTS, MOST_GAMMA, MapScaler,
};
pub use self::given::GivenScores;
pub use self::judged::{JudgedUnit, UnitScore, level_of_unit};
pub use self::marked::{MOST_MARKS, Mark, Marked, ScoreOf};
pub use self::own_forest::{MOST_OWN_DEPTH, MOST_OWN_TREES, OwnForestTerm};
pub use self::own_site::Unfit;
pub use self::resampled::{
    Draws, ListCuts, RESAMPLED_GROUPS, RESAMPLED_NUMBERS, RESAMPLED_PATIENTS,
};
pub use self::rows::{FoldPlan, FoldSet, RowSet, SiteSet};
pub use self::softmax::{SoftmaxModel, SoftmaxTerm};
pub use self::trees::{
    ColumnCuts, Cuts, GRID_STEPS, Gradients, MISSING, MOST_CUTS, MOST_DEPTH, Node, PATIENT_BITS,
    Sampling, Side, Tree, TreeModel, TreeOutput, TreeTerm, check_shape,
};
pub use self::weights::{ClassWeights, Counting, MOST_TIMES, MOST_WEIGHT};

/// The first byte of every encoded query and sum. 2: scores are asked of trees too, rows have class
/// weights.
pub const FORMAT: u8 = 2;

/// The first byte of an encoded query about another input than the first: the bytes of [`FORMAT`], then the input's number.
pub const FORMAT_OF_INPUTS: u8 = 3;

/// Classes of a target at most.
pub const MOST_CLASSES: u8 = 64;

/// The largest weight of a row.
pub const MOST_ROW_WEIGHT: f64 = 100.0;

/// Most replicates of a bootstrap.
pub const MOST_REPLICATES: u16 = 2000;

/// Probability bins of the reliability curve and the expected calibration error.
pub const CALIBRATION_BINS: usize = 15;

/// A question to all sites of a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// The study it belongs to.
    pub study: StudyId,
    /// The sites whose sum it is, sorted; a site index in this query counts here.
    pub sites: Vec<SiteId>,
    /// What every row looks like.
    pub schema: Schema,
    /// Which of the study's inputs rows are seen through: the number of the backbone, 0 where there is one or none.
    #[serde(skip)]
    pub input: u8,
    /// How folds are dealt.
    pub folds: FoldPlan,
    /// What is asked.
    pub ask: Ask,
}

/// What a row of the cohort looks like; the same at every site of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "schema::Encoded", from = "schema::Encoded")]
pub struct Schema {
    /// Number of feature columns.
    pub features: u32,
    /// Number of classes of the target, 2 to 64. Binary: 2, class 1 is the positive one.
    pub classes: u8,
    /// How many of them a row has.
    pub labelling: Labelling,
    /// Whether rows count differently in fits.
    pub weighting: Weighting,
    /// What is judged: what a list of scores has one of.
    pub judged: JudgedUnit,
    /// Levels of each subgroup column of the study, in its order, "unknown" included as the last.
    pub levels: Vec<u8>,
}

/// How many classes a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Labelling {
    /// One: classes exclude each other, and rows by class add up to all rows.
    #[default]
    Single,
    /// At least one: labels that may stand together, and as the last class that none of them holds. Rows
    /// by class may add up to more than all rows, so answers by class say beside how many rows there are.
    Multi,
}

/// How much rows count in what models are fitted to. Counts of rows, moments, scales and scores are never
/// weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Weighting {
    /// All the same.
    #[default]
    Equal,
    /// Each by a weight of its own, from 0 to [`MOST_ROW_WEIGHT`], which the site has.
    Given,
}

impl Weighting {
    /// The largest weight of a row.
    pub fn most(self) -> f64 {
        match self {
            Self::Equal => 1.0,
            Self::Given => MOST_ROW_WEIGHT,
        }
    }
}

/// A column of a patient by which an answer is split. Cells are ordered row by row: the last
/// column of a split varies fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Column {
    /// One cell per site of the query; every other site answers zeros there.
    Site,
    /// One cell per fold of a repeat.
    Fold {
        /// Which deal.
        repeat: u8,
    },
    /// One cell per level of a subgroup column of the study.
    Subgroup(u8),
    /// One cell per class of the row; only moments are split by it. With [`Labelling::Multi`] it is the
    /// last column of a split, and a row counts in every class that it has.
    Class,
}

/// A public shift and scale of each feature column: `z = (x - center) / scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Shift of each column.
    pub center: Vec<f64>,
    /// Scale of each column, positive.
    pub scale: Vec<f64>,
}

impl Frame {
    /// The frame that changes nothing, for `features` columns.
    pub fn identity(features: usize) -> Self {
        Self { center: vec![0.0; features], scale: vec![1.0; features] }
    }

    /// The frame whose grid trees act on. Its scale is a power of two and its center a multiple of it:
    /// where its lines lie says how large a column's numbers are, and nothing about single rows. So a
    /// fold that is judged leaves no trace in the trees of the others.
    pub fn grid(&self) -> Self {
        let scale: Vec<f64> =
            self.scale.iter().map(|s| libm::exp2(libm::log2(*s).round())).collect();
        let center = self.center.iter().zip(&scale);
        Self {
            center: center.map(|(center, scale)| (center / scale).round() * scale).collect(),
            scale,
        }
    }
}

/// How features are standardised before a linear model sees them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Scaler {
    /// The coordinator folded the scaler into the weights: they act on the frame's `z`.
    Folded,
    /// Each site standardises by mean and deviation (n in the denominator) of its own rows in these
    /// folds of the model's repeat; the weights, and the answer's gradient, are in those units. A
    /// column that is constant at the site counts as 0.
    OwnSite(FoldSet),
    /// As [`Scaler::OwnSite`], with the site's shifts and scales shrunk towards what is usual of its
    /// features. A missing feature counts as 0.
    Combat(Arc<Combat>),
}

impl Scaler {
    /// Whether it depends on the rows of the site that it scales.
    pub fn is_own(&self) -> bool {
        !matches!(self, Self::Folded)
    }
}

/// A linear model as a query carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearModel {
    /// The class that counts as positive; all others are negative.
    pub class: u8,
    /// How rows are standardised.
    pub scaler: Scaler,
    /// One weight per feature.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
    /// What stands in for missing features.
    pub fill: Fill,
}

/// What stands in for a missing (NaN) feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fill {
    /// Nothing is missing; a site with a missing value refuses.
    Complete,
    /// One value per feature, in the frame's units (the training rows' mean). With
    /// [`Scaler::OwnSite`] the site's own mean takes its place.
    Values(Vec<f64>),
}

/// A model that gives every row a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// A weighted sum of features.
    Linear(LinearModel),
    /// A sum or a mean over trees; they act on the frame's grid.
    Trees(TreeModel),
    /// A weighted sum of random Fourier features.
    Fourier(FourierModel),
    /// Several of these in one.
    Ensemble(EnsembleModel),
    /// A model of all classes. A list of scores says with its class which one is meant: the score is that
    /// class's log-odds against the rest.
    Softmax(Arc<SoftmaxModel>),
    /// A model of which only the scores are told, made where the rows are; no site answers for it.
    Given(Arc<GivenScores>),
}

/// A model with the rows it is fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearTerm {
    /// The training rows.
    pub rows: RowSet,
    /// How much rows count.
    pub weights: ClassWeights,
    /// The model at the point where its loss is wanted.
    pub model: LinearModel,
}

/// A list of scores to judge: fold by fold, each fold's rows by the model that didn't see them.
/// Rows of several parts fall into one list. What it has a score of, and what is counted of it, is
/// [`Schema::judged`]'s: rows, exams or patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreList {
    /// The class that counts as positive.
    pub class: u8,
    /// Which rows are scored by which model, by its index in the query's `models`.
    pub parts: Vec<(RowSet, u32)>,
}

/// Equal-width bins of the logit: bin `i` of `count` covers
/// `[-half_width + i w, -half_width + (i+1) w)`, `w = 2 half_width / count`; what lies beyond falls
/// into the outer bins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// Half of the range, in logit units.
    pub half_width: f64,
    /// How many.
    pub count: u32,
}

impl Bins {
    /// The bin of a logit.
    pub fn index(&self, logit: f64) -> usize {
        let last = self.count.saturating_sub(1);
        let width = 2.0 * self.half_width / f64::from(self.count.max(1));
        let at = ((logit + self.half_width) / width).floor();
        // A NaN compares false with everything and lands in bin 0; sites refuse non-finite scores.
        if at >= f64::from(last) {
            last as usize
        } else if at > 0.0 {
            at as usize
        } else {
            0
        }
    }

    /// The lower edge of a bin, in logit units.
    pub fn lower_edge(&self, bin: usize) -> f64 {
        -self.half_width + 2.0 * self.half_width * bin as f64 / f64::from(self.count.max(1))
    }
}

/// Which derivatives of the loss are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Derivatives {
    /// Loss and gradient.
    Gradient,
    /// Loss, gradient and Hessian.
    Hessian,
}

/// The statistic that is asked for, its split and scale. `bits` is the number of binary places of
/// the answer's fractional blocks; counts have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// How many patients and rows there are, by class.
    ///
    /// Blocks: `patients [cells]`, `patients_by_class [cells, classes]` (a patient counts in every
    /// class it has a row of), `rows_by_class [cells, classes]`; with [`Labelling::Multi`] `rows [cells]`.
    /// Where units of several rows are judged, then what each cell has of them: `judged_patients [cells]`,
    /// `judged_patients_by_class [cells, classes]`, `judged_by_class [cells, classes]`, `judged [cells]`,
    /// `judged_rows [cells]`, `mixed [cells, 2]` (units whose rows differ in class, and patients with one).
    Profile {
        /// The columns it is split by.
        split: Vec<Column>,
    },
    /// First and second moments of the frame's `z`, rounded per patient.
    ///
    /// Blocks: `n [cells, features]` (rows where the feature isn't missing), `rows [cells]`,
    /// `sum [cells, features]`, `squares [cells, features]`.
    Moments {
        /// The frame.
        frame: Arc<Frame>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// Binary places.
        bits: u8,
    },
    /// Cross products of `(z, 1)`, weighted where rows have weights, rounded once per site; missing entries
    /// count as 0.
    ///
    /// Block: `gram [(features + 1)(features + 2) / 2]`, the upper triangle row by row with the
    /// constant as the last column.
    Gram {
        /// The frame.
        frame: Arc<Frame>,
        /// Whose rows.
        rows: RowSet,
        /// How rows are standardised; [`Scaler::Folded`] takes the frame's `z` as it is.
        scaler: Scaler,
        /// Binary places.
        bits: u8,
    },
    /// Logistic loss `sum ln(1 + exp(-y m))`, `y` = +-1, and its derivatives by weights and
    /// intercept, rounded once per site.
    ///
    /// Blocks: `loss [models]`, `gradient [models, features + 1]`, and with
    /// [`Derivatives::Hessian`] `hessian [models, (features + 1)(features + 2) / 2]`; the intercept
    /// is the last column, triangles go row by row.
    Logistic {
        /// The frame.
        frame: Arc<Frame>,
        /// The models, each with its rows.
        terms: Vec<LinearTerm>,
        /// What is wanted.
        derivatives: Derivatives,
        /// Binary places.
        bits: u8,
    },
    /// Score histograms and calibration sums of lists of scores, rounded per patient.
    ///
    /// Blocks: `positives [lists, cells, bins]`, `negatives [lists, cells, bins]`,
    /// `brier [lists, cells]` (sum of `(p - y)^2`), `log_loss [lists, cells]`,
    /// `calibration_rows [lists, cells, 15, 2]` (negatives, positives by equal-width bins of `p`),
    /// `calibration_scores [lists, cells, 15]` (sum of `p`).
    Scores {
        /// The frame.
        frame: Arc<Frame>,
        /// The models.
        models: Vec<Model>,
        /// The lists to judge.
        lists: Vec<ScoreList>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// The bins.
        bins: Bins,
        /// Binary places.
        bits: u8,
    },
    /// Sums over patients of squared placement deviations, for the variance of an AUC whose rows
    /// are clustered by patient (Obuchowski 1997).
    ///
    /// For patient i with m positive and n negative rows of a list and cell, with
    /// `a = sum over positive rows of above[bin]`, `b = sum over negative rows of below[bin]`:
    /// blocks `patients [lists, cells, 2]` (with a positive, with a negative row),
    /// `s10 [lists, cells]` = sum (a - m auc)^2, `s01` = sum (b - n auc)^2,
    /// `s11` = sum (a - m auc)(b - n auc). Rounded per patient.
    Placements {
        /// The frame.
        frame: Arc<Frame>,
        /// The models.
        models: Vec<Model>,
        /// The lists.
        lists: Vec<ScoreList>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// The bins.
        bins: Bins,
        /// One table per list and cell, in that order.
        tables: Vec<PlacementTable>,
        /// Binary places.
        bits: u8,
    },
    /// Squared hinge loss `sum max(0, 1 - y m)^2`, `y` = +-1, and its derivatives by weights and
    /// intercept, rounded once per site; the Hessian is the one that holds where no row is exactly
    /// at its margin.
    ///
    /// Blocks as [`Ask::Logistic`]'s.
    SquaredHinge {
        /// The frame.
        frame: Arc<Frame>,
        /// The models, each with its rows.
        terms: Vec<LinearTerm>,
        /// What is wanted.
        derivatives: Derivatives,
        /// Binary places.
        bits: u8,
    },
    /// How many rows fall on each step of the frame's grid ([`Frame::step`]), for some columns.
    ///
    /// Blocks: `rows_by_class [cells, classes]`, with [`Labelling::Multi`] `rows [cells]`, then
    /// `steps [cells, columns, 1024]` (rows where the feature isn't missing).
    Grid {
        /// The frame.
        frame: Arc<Frame>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// First feature, and the one after the last.
        columns: [u32; 2],
    },
    /// Sums of gradients, Hessians and patients by bin, at leaves of growing trees. Each row's gradient, Hessian and share of its
    /// patient are rounded by themselves, so the answer doesn't depend on how patients are split into sites, and the bins of a node
    /// add up exactly to those of its children.
    ///
    /// Per term, leaf of [`TreeTerm::nodes`], column of [`TreeTerm::columns`] and bin (the column's cuts and one more, then one for
    /// missing values if its cuts say so), in that order and without padding: blocks `gradients`, `hessians` (`bits` binary places),
    /// `patients` ([`PATIENT_BITS`] places).
    Trees {
        /// The frame, whose grid the trees act on.
        frame: Arc<Frame>,
        /// Bins of columns; terms refer to them by index.
        cuts: Vec<Cuts>,
        /// The growing trees.
        terms: Vec<TreeTerm>,
        /// Binary places.
        bits: u8,
    },
    /// Cross products of `(x, 1)` and sums by class, of sets of rows, rounded once per site.
    ///
    /// Blocks: `gram [terms, (features + 1)(features + 2) / 2]`, upper triangles row by row with the
    /// constant as the last column, `sums [terms, classes, features + 1]`.
    ClassGram {
        /// The frame.
        frame: Arc<Frame>,
        /// The sets of rows.
        terms: Vec<GramTerm>,
        /// Binary places.
        bits: u8,
    },
    /// How lists of scores rank when patients are drawn with replacement, again and again: every patient counts as often as a
    /// Poisson draw of mean 1 says that is keyed by the patient, so that all lists of a study see the same draws.
    ///
    /// The last or last but one dimension is 2: patients as often as they were drawn, and those that weren't drawn, once each.
    /// Blocks with [`Pairs::WithinSites`]: `won [lists, replicates, 2]` (pairs of a positive and a negative row of one site whose
    /// positive scores higher, twice, and those that tie, once), `pairs [lists, replicates, 2]`; with [`Pairs::AllSites`]:
    /// `positives [lists, replicates, 2, bins]`, `negatives [lists, replicates, 2, bins]`.
    Bootstrap {
        /// The frame.
        frame: Arc<Frame>,
        /// The models.
        models: Vec<Model>,
        /// The lists to judge.
        lists: Vec<ScoreList>,
        /// The bins.
        bins: Bins,
        /// Which pairs of rows are compared.
        pairs: Pairs,
        /// What the draws are keyed by.
        seed: Seed,
        /// How many draws, 1 to [`MOST_REPLICATES`].
        replicates: u16,
    },
    /// Squared hinge loss of models on random Fourier features and its derivatives by weights and
    /// intercept, rounded once per site.
    ///
    /// Blocks: `loss [terms]`, `gradient`: per term, in their order and without padding, its map's
    /// components and then the intercept.
    FourierHinge {
        /// The frame.
        frame: Arc<Frame>,
        /// The maps; terms refer to them by index.
        maps: Vec<Arc<FourierMap>>,
        /// The models, each with its rows.
        terms: Vec<FourierTerm>,
        /// Binary places.
        bits: u8,
    },
    /// Rows of single patients of one site: no sum. Only a study in feature-rows mode asks for them, one site at a time, and a site
    /// answers where its owner allows that by name. Rows stand in an order of the study's own ([`crate::seed::Seed`] of its folds),
    /// that says nothing about the patients' keys.
    ///
    /// Blocks: `patients [rows]` (a number for each patient, from 0), `classes [rows]`, `levels [rows, subgroup columns]`,
    /// `features [rows, features]` ([`RowPrecision::Single`]: IEEE 754 bits of 32-bit numbers) or `[rows, features, 2]`
    /// ([`RowPrecision::Double`]: upper and lower half of 64-bit numbers). A missing feature is NaN. With
    /// [`Weighting::Given`] `weights [rows, 2]`; where exams are judged `exams [rows]` (a number for each exam of a patient, from 0).
    FeatureRows {
        /// First row, and the one after the last.
        rows: [u32; 2],
        /// How exactly features are wanted.
        precision: RowPrecision,
    },
    /// Logistic loss of weighted sums of members' logits, cut off as [`Combine`] says, and its derivatives by weights and intercept,
    /// rounded once per site.
    ///
    /// Blocks: `loss [terms]`; per term, in their order and without padding, `gradient` (one number per member, then the intercept) and
    /// `hessian` (its upper triangle, row by row).
    Stack {
        /// The frame.
        frame: Arc<Frame>,
        /// The members' models; terms refer to them by index.
        models: Vec<Model>,
        /// The models on top, each with its rows.
        terms: Vec<StackTerm>,
        /// Binary places.
        bits: u8,
    },
    /// How a model of each site's own rows alone does on them: the site runs the whole study of one
    /// classifier by itself, choice and all, with the query's folds, and answers what judges its
    /// out-of-fold scores, beside those of the lists that are given. Every site fills its own cell.
    ///
    /// Blocks: `fitted [sites]` (1 where there is such a model), `unfit [sites, 3]` (1 where there is none, by
    /// [`Unfit`]); of the site's own model `positives`, `negatives`, `brier`, `log_loss`, `calibration_rows`,
    /// `calibration_scores` as [`Ask::Scores`]'s split by site, `calls [lists, sites, 4]` (true positives, false
    /// positives, true negatives, false negatives, each fold at the threshold chosen without it), `patients`,
    /// `s10`, `s01`, `s11` as [`Ask::Placements`]' with the site's own placement values, and `paired_s10`,
    /// `paired_s01`, `paired_s11`: the same of the differences of both models' deviations. Rounded per patient.
    OwnSite {
        /// How it is fitted and chosen: [`crate::study::Recipe::text`].
        recipe: String,
        /// The frame of the models.
        frame: Arc<Frame>,
        /// The models that the site's own is set beside.
        models: Vec<Model>,
        /// Their lists, one per modelled class and repeat, each of all rows out of fold.
        lists: Vec<ScoreList>,
        /// The bins.
        bins: Bins,
        /// Binary places.
        bits: u8,
    },
    /// Which sites' owners let a model leave that is fitted to their site's rows alone; asked before such a
    /// model is. The site answers from its policy.
    ///
    /// Block: `allowed [sites]`.
    OwnModels,
    /// Forests that every site grows of its own rows alone, with bins that are given. A tree of one site is no sum: a site answers
    /// where its owner lets a model of its own leave. Each site fills its own slots, and zeros elsewhere.
    ///
    /// Blocks: `patients [terms, sites]` (the site's patients among the training rows), and term by term
    /// `nodes [sites, trees, 2^(depth + 1) - 1]`: each tree as [`Tree::complete`] has it, no fixed point.
    OwnForests {
        /// The frame, on whose grid trees act.
        frame: Arc<Frame>,
        /// Bins of all columns.
        cuts: Vec<Cuts>,
        /// The forests.
        terms: Vec<OwnForestTerm>,
        /// Binary places of gradients and Hessians while trees grow.
        bits: u8,
    },
    /// Multinomial logistic loss `-sum ln p(y)` of models of all classes, `y` a row's class, and its
    /// derivatives by all coefficients, rounded once per site.
    ///
    /// Blocks: `loss [terms]`, `gradient [terms, classes, features + 1]`, and with
    /// [`Derivatives::Hessian`] `hessian [terms, m (m + 1) / 2]`, `m = classes (features + 1)`: the upper
    /// triangle row by row, coefficients in the gradient's order.
    Softmax {
        /// The frame.
        frame: Arc<Frame>,
        /// The models, each with its rows.
        terms: Vec<SoftmaxTerm>,
        /// What is wanted.
        derivatives: Derivatives,
        /// Binary places.
        bits: u8,
    },
    /// What figures of cells are made of when patients are drawn again and again, or when the levels of a subgroup column are dealt
    /// anew: how sure figures are, and how far apart subgroups would be by chance. Replicate 0 is the rows as they are. Rounded per
    /// row, then multiplied by how often its patient was drawn.
    ///
    /// Per list, replicate and cell, blocks: `positives [32]`, `negatives [32]` (rows by group of bins, see [`ListCuts`]), `called [2]`
    /// (negative, positive rows called positive), `brier`, `log_loss`, `calibration_rows [15, 2]`, `calibration_scores [15]` as
    /// [`Ask::Scores`]'s.
    ///
    /// Replicates tell more than the histograms that they vary: numbers that rise and fall together belong to the same patients.
    Resampled {
        /// The frame.
        frame: Arc<Frame>,
        /// The models.
        models: Vec<Model>,
        /// The lists to judge.
        lists: Vec<ScoreList>,
        /// One per list.
        cuts: Vec<ListCuts>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// The bins.
        bins: Bins,
        /// What is drawn.
        draws: Draws,
        /// What draws are keyed by.
        seed: Seed,
        /// First replicate, and the one after the last; at most [`MOST_REPLICATES`] and one.
        replicates: [u16; 2],
        /// Binary places.
        bits: u8,
    },
    /// How far rows are from the nearest class of a training set, by bin of the natural logarithm of the squared distance per column
    /// ([`Measure`]); rows of several terms fall into one histogram.
    ///
    /// Block: `rows [cells, bins]`.
    Distances {
        /// The frame.
        frame: Arc<Frame>,
        /// The rows, each with its measure.
        terms: Vec<DistanceTerm>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// The bins.
        bins: Bins,
    },
    /// Another question about rows whose classes are marks: of a site, of a level of a subgroup column.
    ///
    /// Blocks: those of the question that it stands for ([`Query::stands_for`]).
    Marked(Marked),
    /// Which marks sites' owners let be asked about; asked before a marked question is. The site answers from its policy and from how
    /// many of its patients have each mark.
    ///
    /// Block: `allowed [sites, marks]`.
    MarksAllowed {
        /// The marks, ascending.
        marks: Vec<Mark>,
    },
    /// How often two readers gave which classes, of rows that both labelled; and, where influences are given, how much the patients
    /// of each cell move a figure of its table.
    ///
    /// Tables of classes are `side x side`, one per cell: by the first reader's class and, fastest, the second's. With
    /// [`Labelling::Multi`] there is one per cell and label, of rows without it and with it.
    ///
    /// Blocks: `read [tables, side, side]` (rows), `patients [tables, side, side]` (with such a row), and with influences `squares
    /// [tables]`: the sum over patients of the square of what their rows' influences add up to, rounded per patient.
    Agreement {
        /// The columns it is split by.
        split: Vec<Column>,
        /// None, or a table of each cell's influences.
        influences: Vec<Vec<f64>>,
        /// Binary places.
        bits: u8,
    },
    /// How often what is judged was called which class: the one with the largest score; of equal ones the first. Replicate 0 is the
    /// rows as they are; in others each counts as often as its patient was drawn, as [`Ask::Resampled`]'s.
    ///
    /// Lists go by groups, one list per class in the classes' order, all of the same rows. Classes exclude each other.
    ///
    /// Blocks: `calls [groups, replicates, cells, classes, classes]` (by class and, fastest, call), `patients [groups, cells, classes,
    /// classes]` (with such a row, as they are).
    Calls {
        /// The frame.
        frame: Arc<Frame>,
        /// The models.
        models: Vec<Model>,
        /// The lists, group by group.
        lists: Vec<ScoreList>,
        /// The columns it is split by.
        split: Vec<Column>,
        /// What draws are keyed by.
        seed: Seed,
        /// First replicate, and the one after the last; at most [`MOST_REPLICATES`] and one.
        replicates: [u16; 2],
    },
}

/// How exactly features of rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowPrecision {
    /// 32 bits: all that a backbone computes.
    Single,
    /// 64 bits.
    Double,
}

/// Which pairs of a positive and a negative row are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pairs {
    /// Those of one site.
    WithinSites,
    /// All.
    AllSites,
}

/// Rows whose cross products are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GramTerm {
    /// The rows.
    pub rows: RowSet,
    /// How they are standardised; [`Scaler::Folded`] takes the frame's `z` as it is.
    pub scaler: Scaler,
    /// What stands in for missing features.
    pub fill: Fill,
}

impl LinearTerm {
    /// A term whose rows all count once.
    pub fn new(rows: RowSet, model: LinearModel) -> Self {
        Self { rows, weights: ClassWeights::EQUAL, model }
    }
}

impl Model {
    /// The class that counts as positive; none of a model of all classes.
    pub fn class(&self) -> Option<u8> {
        Some(match self {
            Self::Linear(model) => model.class,
            Self::Trees(model) => model.class,
            Self::Fourier(model) => model.class,
            Self::Ensemble(model) => model.class,
            Self::Softmax(_) => return None,
            Self::Given(model) => model.class,
        })
    }
}

impl From<LinearModel> for Model {
    fn from(model: LinearModel) -> Self {
        Self::Linear(model)
    }
}

/// Placement values by bin, from the summed histogram of one list and cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacementTable {
    /// For a positive row in a bin: the share of negatives below it, ties half.
    pub above: Vec<f64>,
    /// For a negative row in a bin: the share of positives above it, ties half.
    pub below: Vec<f64>,
    /// The AUC of the list and cell.
    pub auc: f64,
}

/// What a query is, for the disclosure rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AskKind {
    /// Counts that are shown.
    Table,
    /// Sums that a model is trained or judged with.
    Training,
}

#[cfg(test)]
mod tests;
