//! What a study fits: the classifiers, and the grid of their parameters that cross-validation chooses
//! from.

use serde::{Deserialize, Serialize};

use super::grid_point::{
    BoostingPoint, ForestPoint, GridPoint, KernelPoint, LdaPoint, LinearPoint, NearestMeanPoint,
    RbfPoint, RidgePoint,
};
use super::reduce::{Reduction, reduces_nothing, unreduced};

/// What is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Classifier {
    /// Penalised logistic regression: minimises `((1 - r) / 2 |w|^2 + r |w|_1) / C + sum of losses`, `r`
    /// the L1 ratio, the constant unpenalised, as scikit-learn's `LogisticRegression(C, l1_ratio)`.
    Logistic {
        /// The grid over C, positive, ascending, distinct.
        c: Vec<f64>,
        /// The grid over the L1 penalty's share of the penalty, 0 to 1, ascending, distinct; left out
        /// where it is 0 alone.
        #[serde(default = "l2_alone", skip_serializing_if = "is_l2_alone")]
        l1_ratio: Vec<f64>,
        /// What becomes of three classes or more; left out where each is set against the rest.
        #[serde(default, skip_serializing_if = "MultiClass::is_one_vs_rest")]
        multi_class: MultiClass,
        /// The grid over the scaler.
        standardise: Vec<Standardise>,
        /// The grid over the balance.
        balance: Vec<Balance>,
        /// The grid over the reduction of features; left out where nothing is reduced.
        #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
        reduce: Vec<Reduction>,
    },
    /// Linear support vector machine with the squared hinge loss: minimises `|w|^2 / (2 C) + sum of
    /// max(0, 1 - y m)^2`, `y` = +-1, the constant unpenalised. That is scikit-learn's
    /// `LinearSVC(C)` with `intercept_scaling` large enough to free the constant.
    LinearSvm {
        /// The grid over C, positive, ascending, distinct.
        c: Vec<f64>,
        /// The grid over the scaler.
        standardise: Vec<Standardise>,
        /// The grid over the balance.
        balance: Vec<Balance>,
        /// The grid over the reduction of features; left out where nothing is reduced.
        #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
        reduce: Vec<Reduction>,
    },
    /// Support vector machine with the Gaussian kernel `exp(-gamma / features |x - x'|^2)` of
    /// standardised features and the squared hinge loss, on random Fourier features of that kernel
    /// (Rahimi and Recht 2007): what [`Classifier::LinearSvm`] minimises, of the mapped rows.
    RbfSvm {
        /// The grid over C, positive, ascending, distinct.
        c: Vec<f64>,
        /// The grid over the kernel's width, positive, ascending, distinct: 1 is scikit-learn's
        /// `gamma="scale"`.
        gamma: Vec<f64>,
        /// Numbers that a row is mapped to, even, 64 to 16,384.
        components: u32,
        /// The grid over the scaler.
        standardise: Vec<Standardise>,
        /// The grid over the balance.
        balance: Vec<Balance>,
        /// The grid over the reduction of features; left out where nothing is reduced.
        #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
        reduce: Vec<Reduction>,
    },
    /// L2-penalised least squares on -1 and 1, as scikit-learn's `RidgeClassifier(alpha)`.
    Ridge {
        /// The grid over the penalty, positive, ascending, distinct.
        alpha: Vec<f64>,
        /// The grid over the scaler.
        standardise: Vec<Standardise>,
        /// The grid over the reduction of features; left out where nothing is reduced.
        #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
        reduce: Vec<Reduction>,
    },
    /// Linear discriminant analysis with the covariance within classes shrunk towards its mean variance
    /// times the identity, as scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage)`.
    Lda {
        /// The grid over the shrinkage, 0 to 1, ascending, distinct.
        shrinkage: Vec<f64>,
        /// The grid over the scaler.
        standardise: Vec<Standardise>,
        /// The grid over the reduction of features; left out where nothing is reduced.
        #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
        reduce: Vec<Reduction>,
    },
    /// The class whose mean is nearest, as scikit-learn's `NearestCentroid`.
    NearestMean {
        /// The grid over the scaler.
        standardise: Vec<Standardise>,
        /// The grid over the reduction of features; left out where nothing is reduced.
        #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
        reduce: Vec<Reduction>,
    },
    /// Random forest (Breiman 2001): trees on bootstrap samples of the patients that split by the
    /// largest decrease of the Gini impurity; the probability is the mean of the leaves' shares.
    Forest(ForestGrid),
    /// Gradient-boosted trees of the logistic loss (Friedman 2001; second order as Chen and Guestrin
    /// 2016).
    Boosting(BoostingGrid),
    /// Bagged random forests: every site grows trees of its own patients alone, and the forest is all of them, each
    /// site's weighted by its patients. In one round, but not the forest of all rows together: inexact.
    BaggedForest(ForestGrid),
    /// Support vector machine with the Gaussian kernel `exp(-gamma / features |x - x'|^2)` of features that
    /// are standardised over all training rows, and the hinge loss: minimises `|w|^2 / (2 C) + sum of
    /// max(0, 1 - y m)`, `y` = +-1, as scikit-learn's `SVC(C, gamma / features)`. Its support vectors are rows
    /// of patients, so only a study in feature-rows mode has it.
    KernelSvm {
        /// The grid over C, positive, ascending, distinct.
        c: Vec<f64>,
        /// The grid over the kernel's width, positive, ascending, distinct: 1 is scikit-learn's
        /// `gamma="scale"`.
        gamma: Vec<f64>,
        /// The grid over the balance: nothing, or weights.
        balance: Vec<Balance>,
    },
}

/// How a classifier reduces features that knows of no such thing.
const UNREDUCED: &[Reduction] = &[Reduction::None];

/// What a classifier makes of three classes or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MultiClass {
    /// A model of each class against the rest.
    #[default]
    OneVsRest,
    /// One model of all classes: minimises `|W|^2 / (2 C)` plus the sum of `-ln softmax(W x + b)_y`, `y` a
    /// row's class, as scikit-learn's `LogisticRegression(C)` on several classes. L2 penalty only.
    Multinomial,
}

impl MultiClass {
    /// Whether each class has a model of its own.
    pub fn is_one_vs_rest(&self) -> bool {
        *self == Self::OneVsRest
    }
}

/// Random forests to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForestGrid {
    /// Trees, ascending, 1 to 2,000; of a bagged forest, of each site.
    pub trees: Vec<u32>,
    /// Splits between root and leaf at most, ascending, 1 to 16; of a bagged forest 1 to 10.
    pub depth: Vec<u8>,
    /// Patients per leaf at least, over all sites, ascending, at least 1; of a bagged forest within the site.
    pub min_patients: Vec<u32>,
    /// The grid over the balance.
    pub balance: Vec<Balance>,
    /// The grid over the reduction of features; left out where nothing is reduced.
    #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
    pub reduce: Vec<Reduction>,
    /// What all of them share.
    #[serde(flatten)]
    pub rules: TreeRules,
}

/// Boosted trees to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostingGrid {
    /// Trees, ascending, 1 to 2,000; with early stopping one number, the most.
    pub trees: Vec<u32>,
    /// Whether the held-out loss says when trees are enough; left out where it doesn't.
    #[serde(default, skip_serializing_if = "EarlyStopping::is_off")]
    pub early_stopping: EarlyStopping,
    /// Splits between root and leaf at most, ascending, 1 to 16.
    pub depth: Vec<u8>,
    /// Patients per leaf at least, over all sites, ascending, at least 1.
    pub min_patients: Vec<u32>,
    /// What each tree's leaves are multiplied by, ascending, above 0 and up to 1.
    pub learning_rate: Vec<f64>,
    /// The L2 penalty on a leaf, ascending, at least 0.
    pub l2: Vec<f64>,
    /// The share of the patients that each tree sees, above 0 and up to 1.
    pub rows: f64,
    /// Sum of Hessians per leaf at least.
    pub min_weight: f64,
    /// The grid over the balance.
    pub balance: Vec<Balance>,
    /// The grid over the reduction of features; left out where nothing is reduced.
    #[serde(default = "unreduced", skip_serializing_if = "reduces_nothing")]
    pub reduce: Vec<Reduction>,
    /// What all of them share.
    #[serde(flatten)]
    pub rules: TreeRules,
}

/// Whether a boosted model stops growing before it has all its trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyStopping {
    /// It has all.
    #[default]
    Off,
    /// It has as many as make the log loss of rows held out of its training rows least; growing ends once so many
    /// further trees, 1 to 2,000, haven't made it less.
    Patience(u32),
}

impl EarlyStopping {
    /// Whether models have all their trees.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What is done about classes of different size, in training rows only.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Every row counts once.
    #[default]
    None,
    /// A row counts `n / (2 n_c)`, of n training rows over all sites with n_c of its class: both classes
    /// weigh the same. Where one model is of all k classes, `n / (k n_c)`.
    Weights,
    /// A row of the smaller of class and rest counts a whole number of times, drawn by patient and row, so
    /// that over all sites both have about the same number of rows.
    #[serde(rename = "over-sampling")]
    OverSampling,
    /// As [`Balance::OverSampling`], but further times are synthetic rows between a row and its nearest
    /// neighbours of the same class at its own site (SMOTE inside a site). Depends on how patients are
    /// split into sites.
    Smote,
}

/// What all trees of a study share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TreeRules {
    /// Columns that each tree may split by, drawn by the study's seed.
    pub columns: ColumnSample,
    /// Leaves of a tree at most.
    pub leaves: LeafLimit,
    /// Bins of a column at most, 2 to 64.
    pub bins: u8,
}

/// Columns that a tree may split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnSample {
    /// Every one.
    All,
    /// So many, or all where there are fewer.
    AtMost(u32),
}

/// How many leaves a tree may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeafLimit {
    /// As many as its depth allows.
    Unlimited,
    /// At most so many, 2 or more; level by level the splits with the largest gain come first.
    AtMost(u32),
}

/// What kind of model a classifier's points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Linear, with this loss.
    Linear(Loss),
    /// Linear, one model of all classes.
    Multinomial,
    /// Linear, from sums of one round.
    ClosedForm(ClosedForm),
    /// Support vector machines with a Gaussian kernel.
    Rbf,
    /// Random forests.
    Forest,
    /// Boosted trees.
    Boosting,
    /// Forests of single sites' trees.
    BaggedForest,
    /// Support vector machines with a Gaussian kernel, made of rows.
    KernelSvm,
}

/// A linear model that is solved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedForm {
    /// Ridge regression.
    Ridge,
    /// Linear discriminant analysis.
    Lda,
    /// The nearest class mean.
    NearestMean,
}

impl BoostingGrid {
    fn extend(&self, reduce: Reduction, grid: &mut Vec<GridPoint>) {
        for &balance in &self.balance {
            for &l2 in &self.l2 {
                for &learning_rate in &self.learning_rate {
                    for &min_patients in &self.min_patients {
                        for &depth in &self.depth {
                            grid.extend(self.trees.iter().map(|&trees| {
                                GridPoint::Boosting(BoostingPoint {
                                    trees,
                                    depth,
                                    min_patients,
                                    learning_rate,
                                    l2,
                                    balance,
                                    reduce,
                                })
                            }));
                        }
                    }
                }
            }
        }
    }
}

impl Balance {
    /// Whether nothing is done.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Weights => "class weights",
            Self::OverSampling => "over-sampling",
            Self::Smote => "SMOTE inside a site",
        }
    }

    pub(super) fn words(self) -> (&'static str, String) {
        ("balance", self.name().to_owned())
    }
}

impl Family {
    /// Whether its models are trees.
    pub fn is_trees(self) -> bool {
        matches!(self, Self::Forest | Self::Boosting | Self::BaggedForest)
    }
}

impl Classifier {
    /// The word for it in a study file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Logistic { .. } => "logistic",
            Self::LinearSvm { .. } => "linear-svm",
            Self::RbfSvm { .. } => "rbf-svm",
            Self::Ridge { .. } => "ridge",
            Self::Lda { .. } => "lda",
            Self::NearestMean { .. } => "nearest-mean",
            Self::Forest(_) => "forest",
            Self::Boosting(_) => "boosting",
            Self::BaggedForest(_) => "bagged-forest",
            Self::KernelSvm { .. } => "kernel-svm",
        }
    }

    /// What its grid does about classes of different size; nothing where it knows of no such thing.
    pub fn balances(&self) -> &[Balance] {
        match self {
            Self::Logistic { balance, .. }
            | Self::LinearSvm { balance, .. }
            | Self::RbfSvm { balance, .. }
            | Self::KernelSvm { balance, .. } => balance,
            Self::Forest(ForestGrid { balance, .. })
            | Self::BaggedForest(ForestGrid { balance, .. })
            | Self::Boosting(BoostingGrid { balance, .. }) => balance,
            Self::Ridge { .. } | Self::Lda { .. } | Self::NearestMean { .. } => &[],
        }
    }

    /// One classifier for each way with classes of different size.
    pub fn by_balance(self) -> Vec<Self> {
        let with = |one: Balance| {
            let mut classifier = self.clone();
            match &mut classifier {
                Self::Logistic { balance, .. }
                | Self::LinearSvm { balance, .. }
                | Self::RbfSvm { balance, .. }
                | Self::KernelSvm { balance, .. } => *balance = vec![one],
                Self::Forest(ForestGrid { balance, .. })
                | Self::BaggedForest(ForestGrid { balance, .. })
                | Self::Boosting(BoostingGrid { balance, .. }) => *balance = vec![one],
                Self::Ridge { .. } | Self::Lda { .. } | Self::NearestMean { .. } => {}
            }
            classifier
        };
        match self.balances() {
            [] | [_] => vec![self],
            several => several.iter().copied().map(with).collect(),
        }
    }

    /// What kind of model it is.
    pub fn family(&self) -> Family {
        match self {
            Self::Logistic { multi_class: MultiClass::Multinomial, .. } => Family::Multinomial,
            Self::Logistic { .. } => Family::Linear(Loss::Logistic),
            Self::LinearSvm { .. } => Family::Linear(Loss::SquaredHinge),
            Self::RbfSvm { .. } => Family::Rbf,
            Self::Ridge { .. } => Family::ClosedForm(ClosedForm::Ridge),
            Self::Lda { .. } => Family::ClosedForm(ClosedForm::Lda),
            Self::NearestMean { .. } => Family::ClosedForm(ClosedForm::NearestMean),
            Self::Forest(_) => Family::Forest,
            Self::Boosting(_) => Family::Boosting,
            Self::BaggedForest(_) => Family::BaggedForest,
            Self::KernelSvm { .. } => Family::KernelSvm,
        }
    }

    /// How its grid reduces features.
    pub fn reductions(&self) -> &[Reduction] {
        match self {
            Self::Logistic { reduce, .. }
            | Self::LinearSvm { reduce, .. }
            | Self::RbfSvm { reduce, .. }
            | Self::Ridge { reduce, .. }
            | Self::Lda { reduce, .. }
            | Self::NearestMean { reduce, .. }
            | Self::Forest(ForestGrid { reduce, .. })
            | Self::BaggedForest(ForestGrid { reduce, .. })
            | Self::Boosting(BoostingGrid { reduce, .. }) => reduce,
            Self::KernelSvm { .. } => UNREDUCED,
        }
    }

    /// The grid in its fixed order: the first parameter varies fastest, the reduction slowest.
    pub fn grid(&self) -> Vec<GridPoint> {
        let mut grid = Vec::new();
        for &reduce in self.reductions() {
            self.extend(reduce, &mut grid);
        }
        grid
    }

    /// The points with a reduction.
    fn extend(&self, reduce: Reduction, grid: &mut Vec<GridPoint>) {
        match self {
            Self::Logistic { c, l1_ratio, standardise, balance, .. } => {
                linear_points(grid, c, l1_ratio, standardise, balance, reduce);
            }
            Self::LinearSvm { c, standardise, balance, .. } => {
                linear_points(grid, c, &[0.0], standardise, balance, reduce);
            }
            Self::RbfSvm { c, gamma, components, standardise, balance, .. } => {
                for &balance in balance {
                    for &standardise in standardise {
                        for &gamma in gamma {
                            grid.extend(c.iter().map(|&c| {
                                let components = *components;
                                GridPoint::Rbf(RbfPoint {
                                    c,
                                    gamma,
                                    components,
                                    standardise,
                                    balance,
                                    reduce,
                                })
                            }));
                        }
                    }
                }
            }
            Self::Ridge { alpha, standardise, .. } => {
                for &standardise in standardise {
                    let point =
                        |&alpha| GridPoint::Ridge(RidgePoint { alpha, standardise, reduce });
                    grid.extend(alpha.iter().map(point));
                }
            }
            Self::Lda { shrinkage, standardise, .. } => {
                for &standardise in standardise {
                    let point =
                        |&shrinkage| GridPoint::Lda(LdaPoint { shrinkage, standardise, reduce });
                    grid.extend(shrinkage.iter().map(point));
                }
            }
            Self::NearestMean { standardise, .. } => {
                let point =
                    |&standardise| GridPoint::NearestMean(NearestMeanPoint { standardise, reduce });
                grid.extend(standardise.iter().map(point));
            }
            Self::Forest(forest) | Self::BaggedForest(forest) => {
                for &balance in &forest.balance {
                    for &min_patients in &forest.min_patients {
                        for &depth in &forest.depth {
                            grid.extend(forest.trees.iter().map(|&trees| {
                                GridPoint::Forest(ForestPoint {
                                    trees,
                                    depth,
                                    min_patients,
                                    balance,
                                    reduce,
                                })
                            }));
                        }
                    }
                }
            }
            Self::Boosting(boosting) => boosting.extend(reduce, grid),
            Self::KernelSvm { c, gamma, balance } => {
                for &balance in balance {
                    for &gamma in gamma {
                        let point = |&c| GridPoint::Kernel(KernelPoint { c, gamma, balance });
                        grid.extend(c.iter().map(point));
                    }
                }
            }
        }
    }

    /// Whether its models stop growing before they have all their trees.
    pub fn early_stopping(&self) -> EarlyStopping {
        match self {
            Self::Boosting(grid) => grid.early_stopping,
            _ => EarlyStopping::Off,
        }
    }

    /// What its trees share; `None` for linear models.
    pub fn tree_rules(&self) -> Option<&TreeRules> {
        match self {
            Self::Logistic { .. }
            | Self::LinearSvm { .. }
            | Self::RbfSvm { .. }
            | Self::Ridge { .. }
            | Self::Lda { .. }
            | Self::NearestMean { .. }
            | Self::KernelSvm { .. } => None,
            Self::Forest(ForestGrid { rules, .. })
            | Self::BaggedForest(ForestGrid { rules, .. })
            | Self::Boosting(BoostingGrid { rules, .. }) => Some(rules),
        }
    }
}

/// Every point of linear models; C varies fastest, then the L1 ratio.
fn linear_points(
    grid: &mut Vec<GridPoint>,
    c: &[f64],
    l1_ratio: &[f64],
    standardise: &[Standardise],
    balance: &[Balance],
    reduce: Reduction,
) {
    for &balance in balance {
        for &standardise in standardise {
            for &l1_ratio in l1_ratio {
                grid.extend(c.iter().map(|&c| {
                    GridPoint::Linear(LinearPoint { c, standardise, balance, l1_ratio, reduce })
                }));
            }
        }
    }
}

fn l2_alone() -> Vec<f64> {
    vec![0.0]
}

fn is_l2_alone(l1_ratio: &[f64]) -> bool {
    l1_ratio == [0.0]
}

/// The loss of a row whose model says `m` and whose class says `y` = +-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `ln(1 + exp(-y m))`; `m` is a logit.
    #[default]
    Logistic,
    /// `max(0, 1 - y m)^2`; `m` is a distance from the boundary in margins, no logit.
    SquaredHinge,
}

/// Over which rows features are standardised; always training folds only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standardise {
    /// Over the training rows of all sites.
    All,
    /// Over each site's own training rows; a left-out site by its own unlabelled rows.
    Site,
    /// Each site by its own training rows as far as they differ from the other sites' by more than is
    /// usual of its features (ComBat: Johnson, Li and Rabinovic 2007, without covariates); a left-out
    /// site by its own unlabelled rows.
    Combat,
}

impl Standardise {
    /// All ways.
    pub const EACH: [Self; 3] = [Self::All, Self::Site, Self::Combat];

    pub(super) fn words(self) -> (&'static str, String) {
        let scope = match self {
            Self::All => "all sites",
            Self::Site => "each site",
            Self::Combat => "all sites, each adjusted by ComBat",
        };
        ("standardised over", scope.to_owned())
    }
}
