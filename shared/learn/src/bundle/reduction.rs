//! Whether a bundle's model keeps to the reduction of features that it names. Models carry nothing of
//! a reduction besides: a linear one has a weight per feature, those of features that weren't kept are
//! 0, and principal components are folded into the weights.

use std::collections::BTreeSet;

use wardround_core::study::{GridPoint, Reduction};

use super::Scorer;
use crate::findings::{FourierScaler, OwnNode, OwnTree};

/// Checks how many features a model uses.
pub(super) fn check(point: &GridPoint, scorer: &Scorer, features: usize) -> Result<(), String> {
    let most = match (point.reduce(), scorer) {
        (Reduction::None, _) | (Reduction::Pca(_), Scorer::Linear(_)) => return Ok(()),
        (Reduction::Pca(_), _) => {
            return Err(format!("a model that can't have {}", point.reduce().text()));
        }
        (Reduction::Variance(count) | Reduction::Univariate(count), _) => count as usize,
    };
    let other_than_0 = |values: &[f64]| values.iter().filter(|value| **value != 0.0).count();
    let used = match scorer {
        Scorer::Linear(model) => other_than_0(&model.weights),
        Scorer::Fourier(model) => match &model.scaler {
            FourierScaler::All { inverse, .. } => other_than_0(inverse),
            FourierScaler::OwnSite | FourierScaler::Combat { .. } => features,
        },
        // Its members are checked one by one.
        Scorer::Ensemble(_) => return Ok(()),
        Scorer::Kernel(_) => features,
        Scorer::Trees(model) => {
            let nodes = model.trees.iter().flat_map(|OwnTree(nodes)| nodes);
            let split_by = |node: &OwnNode| match node {
                OwnNode::Split { feature, .. } => Some(*feature),
                OwnNode::Leaf { .. } => None,
            };
            nodes.filter_map(split_by).collect::<BTreeSet<u32>>().len()
        }
    };
    match used <= most {
        true => Ok(()),
        false => Err(format!("{used} features are used of {}", point.reduce().text())),
    }
}
