//! What a plan promises is what a study does.

use wardround_core::ids::StudyId;
use wardround_core::query::Query;
use wardround_core::study::{
    Balance, BoostingGrid, Classes, Classifier, ColumnSample, EarlyStopping, ForestGrid, LeafLimit,
    Negative, Outliers, Reduction, RowWeights, Standardise, Study, TreeRules,
};
use wardround_core::sum::Sum;
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::rows::Rows;
use wardround_learn::study::{Plan, Silent, plan, run};

use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{every_classifier, lines, reduce, rows, study, with_subgroup};

/// Counts what goes to a site and what comes back.
struct Counted {
    rows: Rows,
    down: AtomicU64,
    up: AtomicU64,
    numbers: AtomicU64,
    widest: AtomicU64,
}

impl Cohort for Counted {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let answer = self.rows.answer(query)?;
        self.down.fetch_add(query.encode().len() as u64, Ordering::SeqCst);
        self.up.fetch_add(answer.encode().len() as u64, Ordering::SeqCst);
        self.numbers.fetch_add(query.numbers(), Ordering::SeqCst);
        self.widest.fetch_max(query.numbers_per_model(), Ordering::SeqCst);
        Ok(answer)
    }
}

fn near(what: &str, promised: u64, got: u64, factor: f64) {
    let ratio = promised as f64 / got as f64;
    assert!((1.0 / factor..factor).contains(&ratio), "{what}: promised {promised}, got {got}");
}

fn check(study: &Study, features: usize, leave_out: bool) {
    let mut study = study.clone();
    study.validation.leave_one_site_out = leave_out;
    let rows = rows(&lines(300, features, 4, 41), &study);
    let (sites, schema) = (rows.sites(), rows.schema().clone());
    let promised = plan(&study, std::slice::from_ref(&schema), &sites).unwrap();
    let zero = || AtomicU64::new(0);
    let cohort = Counted { rows, down: zero(), up: zero(), numbers: zero(), widest: zero() };
    let id = StudyId::parse("test").unwrap();
    let found = futures::executor::block_on(run(
        &cohort,
        &study,
        &id,
        &sites,
        std::slice::from_ref(&schema),
        &Silent,
    ))
    .unwrap();
    assert_eq!(promised.models, found.cost.models);
    near("queries", promised.queries, found.cost.queries, 1.5);
    near("bytes down", promised.bytes_down_per_site, cohort.down.into_inner(), 2.0);
    near("bytes up", promised.bytes_up_per_site, cohort.up.into_inner(), 4.0);
    near("numbers", promised.numbers_per_site, cohort.numbers.into_inner(), 1.5);
    assert_eq!(promised.widest_numbers_per_model, cohort.widest.into_inner());
}

#[test]
fn a_plan_counts_what_tells_outliers() {
    let mut study = study(&[0.1], &[Standardise::All]);
    study.validation.outliers = Outliers::On;
    check(&study, 40, false);
}

#[test]
fn a_plan_is_near_the_truth_by_newton() {
    let study = with_subgroup(study(&[0.1, 1.0], &[Standardise::All, Standardise::Site]));
    check(&study, 6, true);
    check(&study, 6, false);
}

#[test]
fn a_plan_is_near_the_truth_of_labels() {
    let mut study = with_subgroup(study(&[0.1, 1.0], &[Standardise::All]));
    study.target.classes = Classes::AnyOf {
        labels: vec!["a".to_owned(), "b".to_owned()],
        separator: "|".to_owned(),
        negative: Negative::Rest,
    };
    check(&study, 6, true);
    *reduce(&mut study.classifiers[0]) = vec![Reduction::None, Reduction::Univariate(3)];
    check(&study, 6, false);
    study.cohort.weight = RowWeights::Column("weight".to_owned());
    check(&study, 6, false);
}

#[test]
fn a_plan_is_near_the_truth_of_closed_forms() {
    let base = with_subgroup(study(&[1.0], &[Standardise::All]));
    let standardise = vec![Standardise::All, Standardise::Site];
    let ridge =
        Classifier::Ridge { alpha: vec![1.0, 10.0], standardise, reduce: vec![Reduction::None] };
    check(&Study { classifiers: vec![ridge], ..base }, 20, true);
}

#[test]
fn a_plan_is_near_the_truth_of_gaussian_kernels() {
    let base = with_subgroup(study(&[1.0], &[Standardise::All]));
    let rbf = Classifier::RbfSvm {
        c: vec![0.1, 1.0],
        gamma: vec![0.5],
        components: 256,
        standardise: vec![Standardise::All, Standardise::Site],
        balance: vec![Balance::Weights],
        reduce: vec![Reduction::None],
    };
    check(&Study { classifiers: vec![rbf], ..base }, 20, false);
}

#[test]
fn a_plan_is_near_the_truth_of_trees() {
    let rules =
        TreeRules { columns: ColumnSample::AtMost(8), leaves: LeafLimit::Unlimited, bins: 32 };
    let base = with_subgroup(study(&[1.0], &[Standardise::All]));
    let forest = ForestGrid {
        trees: vec![10, 40],
        depth: vec![2, 4],
        min_patients: vec![2],
        rules,
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    };
    check(&Study { classifiers: vec![Classifier::Forest(forest)], ..base.clone() }, 12, true);
    let boosting = BoostingGrid {
        trees: vec![10, 30],
        depth: vec![3],
        min_patients: vec![3],
        learning_rate: vec![0.1, 0.3],
        l2: vec![1.0],
        rows: 1.0,
        min_weight: 0.001,
        early_stopping: EarlyStopping::Off,
        rules,
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    };
    check(&Study { classifiers: vec![Classifier::Boosting(boosting)], ..base }, 12, false);
}

#[test]
fn a_plan_is_near_the_truth_by_lbfgs() {
    check(&with_subgroup(study(&[0.001, 0.01], &[Standardise::All])), 100, true);
}

#[test]
fn a_plan_is_near_the_truth_of_reduced_features() {
    let base = with_subgroup(study(&[0.01], &[Standardise::All]));
    let reduced = |at: usize, reductions: &[Reduction]| {
        let (_, mut classifier) = every_classifier().swap_remove(at);
        match &mut classifier {
            Classifier::Forest(grid) => (grid.depth, grid.rules.bins) = (vec![3], 16),
            Classifier::Boosting(grid) => grid.rules.bins = 16,
            _ => {}
        }
        *reduce(&mut classifier) = reductions.to_vec();
        vec![classifier]
    };
    let all = [Reduction::None, Reduction::Pca(8), Reduction::Univariate(8)];
    for (at, features, reductions) in
        [(0, 100, &all[..]), (0, 12, &all), (2, 12, &all), (5, 12, &all[2..]), (6, 12, &all[2..])]
    {
        let classifiers = reduced(at, reductions);
        check(&Study { classifiers, ..base.clone() }, features, false);
    }
}

#[test]
fn trees_that_cost_much_are_proposed_fewer_features_at_the_price_that_a_plan_of_them_says() {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    let sites = rows(&lines(20, 2, 4, 41), &study).sites();
    let schema = [study.schema(2048)];
    let plan = |study: &Study| plan(study, &schema, &sites).unwrap();
    let (_, classifier) = every_classifier().swap_remove(6);
    study.classifiers = vec![classifier];
    let costly = plan(&study);
    let [proposal] = &costly.proposals[..] else { panic!("{:?}", costly.proposals) };
    assert!(proposal.bytes_per_site > 1_000_000_000);
    assert!(proposal.bytes_per_site_then < proposal.bytes_per_site / 2, "{proposal:?}");
    *reduce(&mut study.classifiers[0]) = vec![proposal.reduce];
    let reduced = plan(&study);
    let exchanged = |plan: &Plan| {
        let one = &plan.combinations[0];
        one.bytes_down_per_site + one.bytes_up_per_site
    };
    let saved = exchanged(&costly) - exchanged(&reduced);
    let promised = proposal.bytes_per_site - proposal.bytes_per_site_then;
    assert!(saved.abs_diff(promised) < 10, "{saved} {promised}");
    // Linear models are never too much.
    study.classifiers = vec![every_classifier().swap_remove(0).1];
    assert!(plan(&study).proposals.is_empty());
}
