//! Sets up all fits of forests and boosted trees, grows them together and keeps the models.
//!
//! Points of the grid that differ in the number of trees alone are one fit: the smaller model is the
//! beginning of the larger one.

use std::collections::BTreeMap;
use std::sync::Arc;

use wardround_core::query::{ClassWeights, Frame, Weighting};
use wardround_core::seed::Seed;
use wardround_core::study::{Classifier, EarlyStopping, Family, GridPoint, LeafLimit, TreeRules};

use super::asker::Asker;
use super::design::{Design, FitKey, describe};
use super::early_stopping;
use super::error::StudyError;
use super::fits::{Fitted, FittedTrees, Models};
use super::profile::class_weights;
use super::reduce::Selections;
use crate::cohort::Cohort;
use crate::findings::TreeGains;
use crate::trees::cuts::GridCounts;
use crate::trees::grow::Rules;
use crate::trees::lockstep::{Kind, TreeFit, fit_all};

/// Binary places of gradients and Hessians: each lies in -1 to 1, and is off by 2^-25 at most.
pub(super) const BITS: u8 = 24;

/// What trees need to know besides.
pub(crate) struct Ground<'a> {
    pub classifier: &'a Classifier,
    pub design: &'a Design,
    pub frame: &'a Arc<Frame>,
    pub counts: &'a GridCounts,
    pub selections: &'a Selections,
    /// A name per class code.
    pub classes: &'a [String],
    /// Rows of all sites.
    pub rows: u64,
    /// The study's.
    pub seed: Seed,
    /// The classifier's number in the study, and in its upper half that of the rung of a race: who asks.
    pub number: u32,
}

/// Fits some models of the design, in its order. With early stopping they are all of them.
pub(crate) async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    wanted: &[FitKey],
) -> Result<Models, StudyError> {
    let Ground {
        classifier,
        design,
        frame,
        counts,
        selections,
        classes,
        rows: all_rows,
        seed,
        number,
    } = *ground;
    let whole: Arc<Vec<u32>> = Arc::new((0..asker.schema.features).collect());
    let before = asker.queries;
    let rules = *classifier.tree_rules().expect("only classifiers of trees come here");
    let boosted = classifier.family() == Family::Boosting;
    let weighted = asker.schema.weighting == Weighting::Given
        || design.grid.iter().any(|point| !point.balance().is_none());
    // Bootstrap draws are whole numbers.
    let bits = if boosted || weighted { BITS } else { 0 };
    let mut fits: Vec<TreeFit> = Vec::new();
    // Per key, its fit and how many of its trees.
    let mut keys: Vec<(FitKey, usize, usize)> = Vec::new();
    for of_set in wanted.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let binned = Arc::new(counts.binned(&rows, rules.bins));
        for of_class in of_set.chunk_by(|a, b| a.target == b.target) {
            let class = design.classes[of_class[0].target];
            let total = binned.rows;
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
            for key in of_class {
                let parameters = design.grid[key.point];
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
                        candidates: selections
                            .of(key, parameters.reduce())
                            .unwrap_or(&whole)
                            .clone(),
                        columns: rules.columns,
                        seed,
                        kind,
                        first: 0,
                        count: 0,
                        trees: Vec::new(),
                        rounds: 0,
                    });
                    of.len() - 1
                });
                let fit = first + at;
                fits[fit].count = fits[fit].count.max(trees);
                keys.push((*key, fit, trees as usize));
            }
        }
    }
    let stopped = match design.early_stopping {
        EarlyStopping::Off => {
            fit_all(asker, frame, number, &mut fits, 0).await?;
            BTreeMap::new()
        }
        EarlyStopping::Patience(patience) => {
            let growing = early_stopping::Growing {
                design,
                frame,
                number,
                rows: all_rows,
                by_key: keys.iter().map(|(key, fit, _)| (*key, *fit)).collect(),
            };
            early_stopping::grow(asker, &growing, &mut fits, patience).await?
        }
    };
    let features = asker.schema.features as usize;
    let fitted = keys.into_iter().map(|(key, fit, trees)| {
        let trees = stopped.get(&key).map_or(trees, |&count| count as usize);
        let (model, rounds) = (fits[fit].model(trees), fits[fit].rounds);
        let gains = TreeGains::Kept { shares: fits[fit].gains(trees, features) };
        (key, Fitted::Trees(FittedTrees { model, gains, rounds }))
    });
    let fitted: Vec<_> = fitted.collect();
    let mut models = Models::new(fitted, asker.queries - before);
    models.stopped = stopped;
    Ok(models)
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
