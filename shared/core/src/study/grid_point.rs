//! Points of a classifier's grid: one value of each of its parameters, in words and in order.

use serde::{Deserialize, Serialize};

use super::EnsemblePoint;
use super::classifier::{Balance, ClosedForm, Standardise};
use super::reduce::Reduction;

/// One combination of hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GridPoint {
    /// Of a linear model with a loss.
    Linear(LinearPoint),
    /// Of a support vector machine with a Gaussian kernel.
    Rbf(RbfPoint),
    /// Of ridge regression.
    Ridge(RidgePoint),
    /// Of linear discriminant analysis.
    Lda(LdaPoint),
    /// Of the nearest class mean.
    NearestMean(NearestMeanPoint),
    /// Of boosted trees.
    Boosting(BoostingPoint),
    /// Of a random forest.
    Forest(ForestPoint),
    /// Of an ensemble, which has no grid.
    Ensemble(EnsemblePoint),
    /// Of a support vector machine with a Gaussian kernel that is made of rows.
    Kernel(KernelPoint),
}

/// Hyperparameters of a linear model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearPoint {
    /// Inverse strength of the penalty, as in scikit-learn.
    pub c: f64,
    /// Over which rows features are standardised.
    pub standardise: Standardise,
    /// What is done about classes of different size; left out where it is nothing.
    #[serde(default, skip_serializing_if = "Balance::is_none")]
    pub balance: Balance,
    /// The L1 penalty's share of the penalty, 0 to 1; left out where it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub l1_ratio: f64,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of a support vector machine with a Gaussian kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RbfPoint {
    /// Inverse strength of the L2 penalty, as in scikit-learn.
    pub c: f64,
    /// The kernel's width; 1 is scikit-learn's `gamma="scale"`.
    pub gamma: f64,
    /// Numbers that a row is mapped to.
    pub components: u32,
    /// Over which rows features are standardised.
    pub standardise: Standardise,
    /// What is done about classes of different size; left out where it is nothing.
    #[serde(default, skip_serializing_if = "Balance::is_none")]
    pub balance: Balance,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of ridge regression.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgePoint {
    /// The L2 penalty.
    pub alpha: f64,
    /// Over which rows features are standardised.
    pub standardise: Standardise,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of linear discriminant analysis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdaPoint {
    /// How far the covariance goes towards its mean variance times the identity, 0 to 1.
    pub shrinkage: f64,
    /// Over which rows features are standardised.
    pub standardise: Standardise,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of the nearest class mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearestMeanPoint {
    /// Over which rows features are standardised.
    pub standardise: Standardise,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of a random forest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForestPoint {
    /// Trees.
    pub trees: u32,
    /// Splits between root and leaf at most.
    pub depth: u8,
    /// Patients per leaf at least.
    pub min_patients: u32,
    /// What is done about classes of different size; left out where it is nothing.
    #[serde(default, skip_serializing_if = "Balance::is_none")]
    pub balance: Balance,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of boosted trees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoostingPoint {
    /// Trees.
    pub trees: u32,
    /// Splits between root and leaf at most.
    pub depth: u8,
    /// Patients per leaf at least.
    pub min_patients: u32,
    /// What each tree's leaves are multiplied by.
    pub learning_rate: f64,
    /// The L2 penalty on a leaf.
    pub l2: f64,
    /// What is done about classes of different size; left out where it is nothing.
    #[serde(default, skip_serializing_if = "Balance::is_none")]
    pub balance: Balance,
    /// How features are reduced; left out where they aren't.
    #[serde(default, skip_serializing_if = "Reduction::is_none")]
    pub reduce: Reduction,
}

/// Hyperparameters of a support vector machine with a Gaussian kernel that is made of rows; features are
/// standardised over all sites.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelPoint {
    /// Inverse strength of the L2 penalty, as in scikit-learn.
    pub c: f64,
    /// The kernel's width; 1 is scikit-learn's `gamma="scale"`.
    pub gamma: f64,
    /// What is done about classes of different size; left out where it is nothing.
    #[serde(default, skip_serializing_if = "Balance::is_none")]
    pub balance: Balance,
}

impl GridPoint {
    /// Its parameters in words: name and value, in the same order for every point of a grid; of the L1
    /// ratio and of the reduction of features only where there is one.
    pub fn words(&self) -> Vec<(&'static str, String)> {
        self.words_beside(std::slice::from_ref(self))
    }

    /// The same, the L1 ratio and the reduction of features told where any point of a grid has one.
    pub fn words_beside(&self, grid: &[Self]) -> Vec<(&'static str, String)> {
        let mut words = self.own_words();
        let l1_ratio = |point: &Self| point.linear().map_or(0.0, |point| point.l1_ratio);
        if grid.iter().any(|point| l1_ratio(point) > 0.0) {
            words.insert(1, ("L1 ratio", l1_ratio(self).to_string()));
        }
        if grid.iter().any(|point| !point.reduce().is_none()) {
            words.push(("features", self.reduce().text()));
        }
        words
    }

    fn own_words(&self) -> Vec<(&'static str, String)> {
        match *self {
            Self::Linear(LinearPoint { c, standardise, balance, .. }) => {
                vec![("C", c.to_string()), standardise.words(), balance.words()]
            }
            Self::Rbf(RbfPoint { c, gamma, components, standardise, balance, .. }) => vec![
                ("C", c.to_string()),
                ("gamma", gamma.to_string()),
                ("components", components.to_string()),
                standardise.words(),
                balance.words(),
            ],
            Self::Ridge(RidgePoint { alpha, standardise, .. }) => {
                vec![("alpha", alpha.to_string()), standardise.words()]
            }
            Self::Lda(LdaPoint { shrinkage, standardise, .. }) => {
                vec![("shrinkage", shrinkage.to_string()), standardise.words()]
            }
            Self::NearestMean(NearestMeanPoint { standardise, .. }) => vec![standardise.words()],
            Self::Forest(ForestPoint { trees, depth, min_patients, balance, .. }) => {
                let mut words = trees_in_words(trees, depth, min_patients);
                words.push(balance.words());
                words
            }
            Self::Boosting(point) => {
                let mut words = trees_in_words(point.trees, point.depth, point.min_patients);
                words.push(("learning rate", point.learning_rate.to_string()));
                words.push(("L2", point.l2.to_string()));
                words.push(point.balance.words());
                words
            }
            Self::Ensemble(EnsemblePoint { ensemble, members }) => {
                vec![("ensemble", ensemble.word().to_owned()), ("members", members.to_string())]
            }
            Self::Kernel(KernelPoint { c, gamma, balance }) => {
                let standardise = Standardise::All.words();
                let (c, gamma) = (("C", c.to_string()), ("gamma", gamma.to_string()));
                vec![c, gamma, standardise, balance.words()]
            }
        }
    }

    /// Its parameters in one line.
    pub fn line(&self) -> String {
        let words = self.words().into_iter().map(|(name, value)| match name {
            "standardised over" => format!("{name} {value}"),
            _ => format!("{name} = {value}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Whether its models are simpler than another point's of the same grid: a stronger penalty, more
    /// zeros, a wider kernel, fewer splits, fewer trees, or all of that the same of fewer columns. Of two
    /// equally good ones the simpler is chosen.
    pub fn is_simpler_than(&self, other: &Self) -> bool {
        let kept = |point: &Self| point.reduce().kept_of(u32::MAX);
        let fewer = kept(self) < kept(other) && self.with_reduce(other.reduce()) == *other;
        fewer || self.is_milder_than(other)
    }

    fn is_milder_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Linear(a), Self::Linear(b)) => (a.c, b.l1_ratio) < (b.c, a.l1_ratio),
            (Self::Rbf(a), Self::Rbf(b)) => (a.c, a.gamma) < (b.c, b.gamma),
            (Self::Kernel(a), Self::Kernel(b)) => (a.c, a.gamma) < (b.c, b.gamma),
            (Self::Ridge(a), Self::Ridge(b)) => a.alpha > b.alpha,
            (Self::Lda(a), Self::Lda(b)) => a.shrinkage > b.shrinkage,
            (Self::Forest(a), Self::Forest(b)) => {
                (a.depth, a.trees, b.min_patients) < (b.depth, b.trees, a.min_patients)
            }
            (Self::Boosting(a), Self::Boosting(b)) => {
                (a.depth, a.trees, b.min_patients) < (b.depth, b.trees, a.min_patients)
            }
            _ => false,
        }
    }

    /// Over which rows features are standardised; trees need none, so all.
    pub fn standardise(&self) -> Standardise {
        match self {
            Self::Linear(point) => point.standardise,
            Self::Rbf(point) => point.standardise,
            Self::Ridge(point) => point.standardise,
            Self::Lda(point) => point.standardise,
            Self::NearestMean(point) => point.standardise,
            Self::Forest(_) | Self::Boosting(_) | Self::Ensemble(_) | Self::Kernel(_) => {
                Standardise::All
            }
        }
    }

    /// How features are reduced.
    pub fn reduce(&self) -> Reduction {
        match self {
            Self::Linear(point) => point.reduce,
            Self::Rbf(point) => point.reduce,
            Self::Ridge(point) => point.reduce,
            Self::Lda(point) => point.reduce,
            Self::NearestMean(point) => point.reduce,
            Self::Forest(point) => point.reduce,
            Self::Boosting(point) => point.reduce,
            Self::Ensemble(_) | Self::Kernel(_) => Reduction::None,
        }
    }

    /// The same point with another reduction of features.
    pub fn with_reduce(self, reduce: Reduction) -> Self {
        match self {
            Self::Linear(point) => Self::Linear(LinearPoint { reduce, ..point }),
            Self::Rbf(point) => Self::Rbf(RbfPoint { reduce, ..point }),
            Self::Ridge(point) => Self::Ridge(RidgePoint { reduce, ..point }),
            Self::Lda(point) => Self::Lda(LdaPoint { reduce, ..point }),
            Self::NearestMean(point) => Self::NearestMean(NearestMeanPoint { reduce, ..point }),
            Self::Forest(point) => Self::Forest(ForestPoint { reduce, ..point }),
            Self::Boosting(point) => Self::Boosting(BoostingPoint { reduce, ..point }),
            Self::Ensemble(_) | Self::Kernel(_) => self,
        }
    }

    /// What is done about classes of different size; nothing where a model has no such choice.
    pub fn balance(&self) -> Balance {
        match self {
            Self::Linear(point) => point.balance,
            Self::Rbf(point) => point.balance,
            Self::Forest(point) => point.balance,
            Self::Boosting(point) => point.balance,
            Self::Kernel(point) => point.balance,
            Self::Ridge(_) | Self::Lda(_) | Self::NearestMean(_) | Self::Ensemble(_) => {
                Balance::None
            }
        }
    }

    /// Which linear model it is that is solved for; `None` for all others.
    pub fn closed_form(&self) -> Option<ClosedForm> {
        match self {
            Self::Ridge(_) => Some(ClosedForm::Ridge),
            Self::Lda(_) => Some(ClosedForm::Lda),
            Self::NearestMean(_) => Some(ClosedForm::NearestMean),
            Self::Linear(_)
            | Self::Rbf(_)
            | Self::Forest(_)
            | Self::Boosting(_)
            | Self::Ensemble(_)
            | Self::Kernel(_) => None,
        }
    }

    /// Whether its models are trees.
    pub fn is_trees(&self) -> bool {
        matches!(self, Self::Forest(_) | Self::Boosting(_))
    }

    /// How many trees its models have; 0 for linear ones.
    pub fn trees(&self) -> u32 {
        match self {
            Self::Forest(point) => point.trees,
            Self::Boosting(point) => point.trees,
            _ => 0,
        }
    }

    /// Splits between the root and the leaves of its trees at most; 0 for linear models.
    pub fn depth(&self) -> u8 {
        match self {
            Self::Forest(point) => point.depth,
            Self::Boosting(point) => point.depth,
            _ => 0,
        }
    }

    /// Patients per leaf of its trees at least; 0 for linear models.
    pub fn min_patients(&self) -> u32 {
        match self {
            Self::Forest(point) => point.min_patients,
            Self::Boosting(point) => point.min_patients,
            _ => 0,
        }
    }

    /// The same point with another number of trees.
    pub fn with_trees(self, trees: u32) -> Self {
        match self {
            Self::Forest(point) => Self::Forest(ForestPoint { trees, ..point }),
            Self::Boosting(point) => Self::Boosting(BoostingPoint { trees, ..point }),
            linear => linear,
        }
    }

    /// The parameters of a linear model with a loss; `None` for all others.
    pub fn linear(&self) -> Option<&LinearPoint> {
        match self {
            Self::Linear(point) => Some(point),
            _ => None,
        }
    }

    /// The parameters of a support vector machine that is made of rows; `None` for all others.
    pub fn kernel(&self) -> Option<&KernelPoint> {
        match self {
            Self::Kernel(point) => Some(point),
            _ => None,
        }
    }

    /// The parameters of a support vector machine on random Fourier features; `None` for all others.
    pub fn rbf(&self) -> Option<&RbfPoint> {
        match self {
            Self::Rbf(point) => Some(point),
            _ => None,
        }
    }
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn trees_in_words(trees: u32, depth: u8, min_patients: u32) -> Vec<(&'static str, String)> {
    vec![
        ("trees", trees.to_string()),
        ("depth", depth.to_string()),
        ("patients per leaf", min_patients.to_string()),
    ]
}
