//! Bagged forests: every site grows trees of its own patients alone, in one round, and a forest is all of
//! them (bagging over sites: Chawla, Hall, Bowyer and Kegelmeyer, "Learning ensembles from bites", 2004).
//!
//! It isn't the forest of all rows together. Trees see one site each: fewer patients, the site's own
//! prevalence and scanner. What sites share are the bins, from counts over all of them, and class weights. Each
//! site's trees weigh as its patients among the training rows; a site without any has none.
//!
//! A tree of one site is no sum, so sites answer only where their owners let a model of their own leave.

use std::sync::Arc;

use wardround_core::query::{Ask, Cuts, Node, OwnForestTerm, Tree, TreeModel, TreeOutput};
use wardround_core::study::{ColumnSample, GridPoint, LeafLimit};

use super::asker::{Asker, slices};
use super::design::{FitKey, describe};
use super::error::StudyError;
use super::fits::{Fitted, FittedTrees, Models};
use super::profile::class_weights;
use super::tree_fits::{BITS, Ground};
use crate::cohort::Cohort;
use crate::findings::TreeGains;

/// A site's trees, and how many patients they were grown of.
struct OwnForest {
    patients: i64,
    trees: Vec<Tree>,
}

/// Fits some models of the design, in its order.
pub(crate) async fn fit<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    wanted: &[FitKey],
) -> Result<Models, StudyError> {
    let Ground { classifier, design, counts, classes, seed, .. } = *ground;
    let before = asker.queries;
    let rules = *classifier.tree_rules().expect("only classifiers of trees come here");
    let weighted = design.grid.iter().any(|point| !point.balance().is_none());
    // Tables of cuts by training set; terms; per key, its term and how many of its trees.
    let (mut cuts, mut terms) = (Vec::new(), Vec::<OwnForestTerm>::new());
    let mut keys: Vec<(FitKey, usize, usize)> = Vec::new();
    for of_set in wanted.chunk_by(FitKey::same_rows) {
        let rows = of_set[0].rows();
        let binned = counts.binned(&rows, rules.bins);
        for of_class in of_set.chunk_by(|a, b| a.target == b.target) {
            let class = design.classes[of_class[0].target];
            let total = binned.rows;
            let positives = binned.rows_by_class[usize::from(class)];
            if positives == 0 || positives == total {
                let rows = describe(&rows, design.folds, asker.sites);
                let class = classes[usize::from(class)].clone();
                return Err(StudyError::OneClassOnly { rows, class, positives, total });
            }
            let first = terms.len();
            let mut of: Vec<GridPoint> = Vec::new();
            for key in of_class {
                let point = design.grid[key.point];
                let (rest, trees) = (point.with_trees(0), point.trees());
                let at = of.iter().position(|other| *other == rest).unwrap_or_else(|| {
                    of.push(rest);
                    terms.push(OwnForestTerm {
                        rows,
                        class,
                        weights: class_weights(point.balance(), positives, total),
                        cuts: cuts.len() as u32,
                        columns: match rules.columns {
                            ColumnSample::All => u32::MAX,
                            ColumnSample::AtMost(most) => most,
                        },
                        seed,
                        trees: 0,
                        depth: point.depth(),
                        leaves: match rules.leaves {
                            LeafLimit::Unlimited => u32::MAX,
                            LeafLimit::AtMost(most) => most,
                        },
                        min_patients: point.min_patients(),
                    });
                    of.len() - 1
                });
                let term = &mut terms[first + at];
                term.trees = term.trees.max(trees);
                keys.push((*key, first + at, trees as usize));
            }
        }
        cuts.push(Cuts(binned.cuts));
    }
    let bits = if weighted { BITS } else { 0 };
    let forests = ask(asker, ground, &cuts, &terms, bits).await?;
    let fitted = keys.into_iter().map(|(key, term, trees)| {
        let model = together(terms[term].class, &forests[term], trees);
        // Only the sites know what their trees' splits gained.
        (key, Fitted::Trees(FittedTrees { model, gains: TreeGains::NotKept, rounds: 1 }))
    });
    Ok(Models::new(fitted, asker.queries - before))
}

/// The forests of each term, by site.
async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    ground: &Ground<'_>,
    cuts: &[Cuts],
    terms: &[OwnForestTerm],
    bits: u8,
) -> Result<Vec<Vec<OwnForest>>, StudyError> {
    let sites = asker.sites.len();
    let largest = terms.iter().map(OwnForestTerm::numbers_per_site).max().unwrap_or(0) * sites;
    let mut forests = Vec::with_capacity(terms.len());
    for slice in slices(terms.len(), largest as u64) {
        let asked: Vec<OwnForestTerm> = terms[slice].to_vec();
        // Only the tables that are needed.
        let first = asked[0].cuts as usize;
        let last = asked[asked.len() - 1].cuts as usize;
        let moved = asked.iter().cloned();
        let moved = moved.map(|term| OwnForestTerm { cuts: term.cuts - first as u32, ..term });
        let answer = asker
            .ask(Ask::OwnForests {
                frame: Arc::clone(ground.frame),
                cuts: cuts[first..=last].to_vec(),
                terms: moved.collect(),
                bits,
            })
            .await?;
        let (patients, mut nodes) = (answer.counts("patients"), answer.counts("nodes"));
        for (term, patients) in asked.iter().zip(patients.chunks_exact(sites)) {
            let mut of_term = Vec::with_capacity(sites);
            for (&patients, site) in patients.iter().zip(asker.sites) {
                let (own, rest) = nodes.split_at(term.numbers_per_site());
                nodes = rest;
                let trees = own.chunks_exact(term.numbers_per_tree()).map(|places| {
                    let tree = Tree::of_complete(places)?;
                    tree.check(asker.schema.features)?;
                    Ok(tree)
                });
                let trees: Result<Vec<Tree>, String> = trees.collect();
                let trees =
                    trees.map_err(|what| StudyError::NoTree { site: site.clone(), what })?;
                of_term.push(OwnForest { patients: patients.max(0), trees });
            }
            forests.push(of_term);
        }
    }
    Ok(forests)
}

/// One forest: the mean over sites, weighted by their patients, of the means of their first trees. Leaves carry
/// the weights, so that the plain mean over all trees is that.
fn together(class: u8, forests: &[OwnForest], count: usize) -> TreeModel {
    let with_patients = || forests.iter().filter(|forest| forest.patients > 0);
    let patients: i64 = with_patients().map(|forest| forest.patients).sum();
    let sites = with_patients().count() as f64;
    let trees = with_patients().flat_map(|forest| {
        let weight = forest.patients as f64 * sites / patients as f64;
        forest.trees.iter().take(count).map(move |tree| {
            let node = |node: &Node| match *node {
                Node::Leaf { value } => Node::Leaf { value: value * weight },
                split @ Node::Split { .. } => split,
            };
            Tree(tree.0.iter().map(node).collect())
        })
    });
    TreeModel { class, output: TreeOutput::Mean, start: 0.0, trees: trees.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_weigh_as_their_patients() {
        let forest = |patients, values: &[f64]| OwnForest {
            patients,
            trees: values.iter().map(|&value| Tree::leaf(value)).collect(),
        };
        let forests =
            [forest(30, &[0.2, 0.4, 1.0]), forest(0, &[0.0; 3]), forest(10, &[0.9, 0.7, 0.0])];
        let model = together(1, &forests, 2);
        assert_eq!(model.trees.len(), 4);
        let expected: f64 = 0.75 * 0.3 + 0.25 * 0.8;
        let logit = libm::log(expected / (1.0 - expected));
        assert!((model.logit(|_| 0) - logit).abs() < 1e-12);
    }
}
