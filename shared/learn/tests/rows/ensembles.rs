//! Ensembles' scores and stacks, by hand from their members' scores.

use wardround_core::query::{
    Ask, Bins, ClassWeights, Combine, EnsembleModel, Fill, FoldSet, LinearModel, MEMBER_LIMIT,
    Model, Node, RowSet, Scaler, ScoreList, Side, SiteSet, StackTerm, Tree, TreeModel, TreeOutput,
};
use wardround_core::seed::Seed;
use wardround_learn::rows::{RowScore, Rows};

use crate::population::{FEATURES, Population, frame, query};

const WEIGHTS: ClassWeights = ClassWeights::new(0.6, 2.5);

fn linear(seed: u64) -> Model {
    let draw = |k: usize| Seed(seed).uniform("weights", &[&k.to_le_bytes()]) - 0.5;
    Model::Linear(LinearModel {
        class: 1,
        scaler: Scaler::Folded,
        weights: (0..FEATURES).map(draw).collect(),
        intercept: draw(FEATURES),
        fill: Fill::Values(vec![0.2; FEATURES]),
    })
}

fn trees() -> Model {
    let split = Node::Split { column: 1, below: 515, missing: Side::Left, left: 1 };
    let leaf = |value| Node::Leaf { value };
    let trees = vec![Tree(vec![split, leaf(0.7), leaf(-0.4)])];
    Model::Trees(TreeModel { class: 1, output: TreeOutput::Sum, start: 0.2, trees })
}

fn set(folds: FoldSet) -> RowSet {
    RowSet { repeat: 0, folds, sites: SiteSet::All }
}

/// The unbinned scores of each model, every one a list of its own, trees on the given frame.
fn scores(rows: &Rows, models: Vec<Model>, grid: bool) -> Vec<Vec<RowScore>> {
    let parts = |at| vec![(set(FoldSet::all(4)), at)];
    let lists = (0..models.len() as u32).map(|at| ScoreList { class: 1, parts: parts(at) });
    let frame = match grid {
        true => std::sync::Arc::new(frame().grid()),
        false => frame(),
    };
    let ask = Ask::Scores {
        frame,
        lists: lists.collect(),
        models,
        split: vec![],
        bins: Bins { half_width: 12.0, count: 64 },
        bits: 30,
    };
    rows.scores(&query(rows.sites(), ask)).unwrap()
}

fn probability(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[test]
fn a_vote_is_the_mean_of_its_members_probabilities() {
    let rows = Population::draw(5, 80).rows(3, 5);
    let members = vec![linear(1), trees(), linear(2)];
    let combine = Combine::MeanProbability;
    let vote = EnsembleModel { class: 1, members: members.clone(), combine };
    let of_vote = scores(&rows, vec![Model::Ensemble(vote), linear(2)], false);
    let of_linear = scores(&rows, vec![linear(1), linear(2)], false);
    let of_trees = scores(&rows, vec![trees()], true);
    assert!(of_trees[0].iter().any(|row| row.logit != of_trees[0][0].logit));
    for (at, row) in of_vote[0].iter().enumerate() {
        let members = [of_linear[0][at].logit, of_trees[0][at].logit, of_linear[1][at].logit];
        let mean = members.into_iter().map(probability).sum::<f64>() / 3.0;
        assert!((probability(row.logit) - mean).abs() < 1e-12);
    }
    // A member beside its ensemble is scored as alone.
    assert_eq!(of_vote[1], of_linear[1]);
}

#[test]
fn a_stack_is_a_logistic_regression_on_its_members_logits() {
    let rows = Population::draw(6, 80).rows(3, 6);
    let folds = rows.fold_column(&query(rows.sites(), Ask::Profile { split: vec![] }).folds, 0);
    let models = vec![linear(1), linear(2), trees()];
    // Each fold by other members, as out-of-fold scores are.
    let term = StackTerm {
        class: 1,
        class_weights: WEIGHTS,
        parts: vec![(set(FoldSet::only(0)), vec![0, 2]), (set(FoldSet::only(2)), vec![1, 2])],
        weights: vec![0.4, -1.3],
        intercept: 0.2,
    };
    let ask = Ask::Stack { frame: frame(), models, terms: vec![term], bits: 40 };
    let query = query(rows.sites(), ask);
    let answer = rows.answer(&query).unwrap();
    let of_linear = scores(&rows, vec![linear(1), linear(2)], false);
    let of_trees = scores(&rows, vec![trees()], true);
    let (mut loss, mut gradient, mut hessian) = (0.0, [0.0; 3], [0.0; 6]);
    for (at, fold) in folds.iter().enumerate().filter(|(_, fold)| [0, 2].contains(*fold)) {
        let member = usize::from(*fold == 2);
        let cut = |logit: f64| logit.clamp(-MEMBER_LIMIT, MEMBER_LIMIT);
        let x = [cut(of_linear[member][at].logit), of_trees[0][at].logit, 1.0];
        let says = 0.4 * x[0] - 1.3 * x[1] + 0.2;
        let (y, weight) = match of_trees[0][at].positive {
            true => (1.0, WEIGHTS.positive),
            false => (0.0, WEIGHTS.negative),
        };
        let p = probability(says);
        loss -= weight * (y * p.ln() + (1.0 - y) * (1.0 - p).ln());
        let mut to = 0;
        for j in 0..3 {
            gradient[j] += weight * (p - y) * x[j];
            for k in j..3 {
                hessian[to] += weight * p * (1.0 - p) * x[j] * x[k];
                to += 1;
            }
        }
    }
    let rows_of: Vec<usize> = of_trees[0].iter().map(|row| row.row).collect();
    assert!(rows_of.iter().enumerate().all(|(at, row)| at == *row), "{rows_of:?}");
    let close = |block: &str, expected: &[f64]| {
        let got = answer.values(&query, block).unwrap();
        assert_eq!(got.len(), expected.len());
        let off = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-9, "{block}: {off:e}");
    };
    close("loss", &[loss]);
    close("gradient", &gradient);
    close("hessian", &hessian);
}
