//! Sets up all fits of forests and boosted trees, grows them together and keeps the models.
//!
//! Points of the grid that differ in the number of trees alone are one fit: the smaller model is the
//! beginning of the larger one.

use std::sync::Arc;

use wardround_core::query::{ClassWeights, Frame};
use wardround_core::seed::Seed;
use wardround_core::study::{Classifier, Family, GridPoint, LeafLimit, TreeRules};

use super::asker::Asker;
use super::design::{Design, FitKey, describe};
use super::error::StudyError;
use super::fits::{Fitted, FittedTrees, Models};
use super::profile::class_weights;
use crate::cohort::Cohort;
use crate::trees::cuts::GridCounts;
use crate::trees::grow::Rules;
use crate::trees::lockstep::{Kind, TreeFit, fit_all};

/// Binary places of gradients and Hessians: each lies in -1 to 1, and is off by 2^-25 at most.
const BITS: u8 = 24;

/// What trees need to know besides.
pub(crate) struct Ground<'a> {
    pub classifier: &'a Classifier,
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    pub counts: &'a GridCounts,
    /// A name per class code.
    pub classes: &'a [String],
    /// The study's.
    pub seed: Seed,
    /// The classifier's number in the study.
    pub number: u32,
}

/// Fits all models of the design.
pub(crate) async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
) -> Result<Models, StudyError> {
    let Ground { classifier, design, frame, counts, classes, seed, number } = *ground;
    let before = asker.queries;
    let rules = *classifier.tree_rules().expect("only classifiers of trees come here");
    let boosted = classifier.family() == Family::Boosting;
    let weighted = design.grid.iter().any(|point| !point.balance().is_none());
    // Bootstrap draws are whole numbers.
    let bits = if boosted || weighted { BITS } else { 0 };
    let mut fits: Vec<TreeFit> = Vec::new();
    // Per key, its fit and how many of its trees.
    let mut keys: Vec<(FitKey, usize, usize)> = Vec::new();
    for rows in design.training_sets() {
        let binned = Arc::new(counts.binned(&rows, rules.bins));
        for (target, &class) in design.classes.iter().enumerate() {
            let total: u64 = binned.rows_by_class.iter().sum();
            let positives = binned.rows_by_class[usize::from(class)];
            if positives == 0 || positives == total {
                return Err(StudyError::OneClassOnly {
                    rows: describe(&rows, design.folds, asker.sites),
                    class: classes[usize::from(class)].clone(),
                    positives,
                    total,
                });
            }
            let first = fits.len();
            let mut of: Vec<GridPoint> = Vec::new();
            for (point, &parameters) in design.grid.iter().enumerate() {
                let (rest, trees) = (parameters.with_trees(0), parameters.trees());
                let at = of.iter().position(|other| *other == rest).unwrap_or_else(|| {
                    of.push(rest);
                    let weights = class_weights(parameters.balance(), positives, total);
                    let kind = kind(classifier, weights, positives, total);
                    fits.push(TreeFit {
                        rows,
                        class,
                        weights,
                        rules: growing(classifier, parameters, &rules, bits),
                        binned: binned.clone(),
                        columns: rules.columns,
                        seed,
                        kind,
                        count: 0,
                        trees: Vec::new(),
                        rounds: 0,
                    });
                    of.len() - 1
                });
                let fit = first + at;
                fits[fit].count = fits[fit].count.max(trees);
                let repeat = rows.repeat;
                let (folds, sites) = (rows.folds, rows.sites);
                keys.push((FitKey { target, point, repeat, folds, sites }, fit, trees as usize));
            }
        }
    }
    fit_all(asker, frame, number, &mut fits).await?;
    let fitted = keys.into_iter().map(|(key, fit, trees)| {
        let (model, rounds) = (fits[fit].model(trees), fits[fit].rounds);
        (key, Fitted::Trees(FittedTrees { model, rounds }))
    });
    Ok(Models::new(fitted, asker.queries - before))
}

fn growing(classifier: &Classifier, point: GridPoint, rules: &TreeRules, bits: u8) -> Rules {
    let leaves = match rules.leaves {
        LeafLimit::Unlimited => u32::MAX,
        LeafLimit::AtMost(most) => most,
    };
    let forest = |depth, min_patients| Rules {
        depth,
        leaves,
        min_patients,
        min_weight: 0.0,
        l2: 0.0,
        rate: 1.0,
        bits,
    };
    match (point, classifier) {
        (GridPoint::Boosting(point), Classifier::Boosting(grid)) => Rules {
            min_weight: grid.min_weight,
            l2: point.l2,
            rate: point.learning_rate,
            ..forest(point.depth, point.min_patients)
        },
        (GridPoint::Forest(point), _) => forest(point.depth, point.min_patients),
        // A grid's points are of its own classifier.
        _ => forest(1, 1),
    }
}

fn kind(classifier: &Classifier, weights: ClassWeights, positives: u64, total: u64) -> Kind {
    match classifier {
        Classifier::Boosting(grid) => {
            let odds = weights.positive * positives as f64
                / (weights.negative * (total - positives) as f64);
            Kind::Boosting { start: libm::log(odds), share: grid.rows }
        }
        _ => Kind::Forest,
    }
}
