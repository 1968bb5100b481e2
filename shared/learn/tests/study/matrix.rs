//! Models of single sites at every site.

use wardround_core::query::{Ask, Query, Unfit};
use wardround_core::study::{
    Balance, Classes, Classifier, Matrix as Rule, MultiClass, Reduction, Standardise, Study,
};
use wardround_core::sum::Sum;
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::findings::{Figure, Findings, Matrix, MatrixOfClass, TrainedAt};
use wardround_learn::rows::{Rows, Together};
use wardround_learn::study::plan;

use crate::support::{
    every_classifier, find, keep_one_positive, lines, rows, study, value, with_subgroup,
};

const BOTH: [Standardise; 2] = [Standardise::All, Standardise::Site];

fn asked(study: Study) -> Study {
    let mut study = study;
    study.validation.matrix = Rule::On;
    study
}

fn classes(found: &Findings) -> &[MatrixOfClass] {
    let Matrix::Asked { classes, .. } = &found.matrix else { panic!("asked for") };
    classes
}

fn aucs(one: &TrainedAt) -> &[Figure] {
    let TrainedAt::Judged { auc } = one else { panic!("{one:?}") };
    auc
}

#[test]
fn the_diagonal_is_a_study_of_the_site_alone_for_every_classifier() {
    for (name, classifier) in every_classifier() {
        let mut study = asked(with_subgroup(study(&[1.0], &[Standardise::All])));
        study.classifiers = vec![classifier];
        study.validation.leave_one_site_out = false;
        study.validation.repeats = 2;
        let pooled = rows(&lines(240, 5, 3, 71), &study);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let found = find(&pooled, &study, &sites, &schema).unwrap();
        let trained = &classes(&found)[0].trained_at;
        assert_eq!(trained.len(), 3);
        let mut alone = study.clone();
        alone.validation.matrix = Rule::Off;
        for (at, rows) in pooled.by_site().into_iter().enumerate() {
            let expected = find(&rows, &alone, &rows.sites(), &schema).unwrap();
            // One grid point: nothing to choose, so the nested figure is the plain one.
            let expected = value(&expected.targets[0].nested.judged.by_site[0].auc);
            let got = value(&aucs(&trained[at])[at]);
            // The frame differs, and with it the grid that trees act on and where a fit stops.
            let within = if name == "forest" || name == "boosting" { 0.1 } else { 2e-3 };
            assert!((got - expected).abs() < within, "{name} at {at}: {got} and {expected}");
            for auc in aucs(&trained[at]) {
                assert!(value(auc) > 0.6, "{name}: {auc:?}");
            }
        }
    }
}

#[test]
fn sites_that_add_up_give_the_matrix_of_one_place() {
    let mut study = asked(study(&[0.1, 1.0], &BOTH));
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    study.target.classes = Classes::OneVsRest { labels };
    let mut made = lines(280, 5, 4, 72);
    for line in &mut made {
        line.class = (line.class + 2 * u8::from(line.patient % 5 == 0)).min(2);
    }
    let pooled = rows(&made, &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    assert_eq!(classes(&expected).len(), 3);
    let mut apart = pooled.by_site();
    apart.rotate_left(1);
    assert_eq!(find(&Together(apart), &study, &sites, &schema).unwrap(), expected);
}

/// Rows of sites, one of whose owners doesn't let its own model leave.
struct Reserved(Rows, usize);

impl Cohort for Reserved {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let mut sum = self.0.answer(query)?;
        if query.ask == Ask::OwnModels {
            sum.blocks[0][self.1] = 0;
        }
        Ok(sum)
    }
}

#[test]
fn a_site_that_refuses_is_named_and_never_fitted_alone() {
    let study = asked(study(&[1.0], &[Standardise::All]));
    let rows = rows(&lines(240, 4, 4, 73), &study);
    let (sites, schema) = (rows.sites(), rows.schema().clone());
    let all = find(&rows, &study, &sites, &schema).unwrap();
    let some = find(&Reserved(rows, 2), &study, &sites, &schema).unwrap();
    let (all, some) = (&classes(&all)[0].trained_at, &classes(&some)[0].trained_at);
    assert_eq!(some[2], TrainedAt::Refused);
    for at in [0, 1, 3] {
        for (a, b) in aucs(&all[at]).iter().zip(aucs(&some[at])) {
            assert!((value(a) - value(b)).abs() < 1e-12);
        }
    }
}

#[test]
fn a_site_that_cant_be_fitted_alone_is_named() {
    let study = asked(study(&[1.0], &[Standardise::All]));
    let mut made = lines(240, 4, 4, 74);
    keep_one_positive(&mut made, 1);
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let trained = &classes(&found)[0].trained_at;
    assert_eq!(trained[1], TrainedAt::Unfit { reason: Unfit::OneClass });
    assert!([0, 2, 3].iter().all(|&at| matches!(trained[at], TrainedAt::Judged { .. })));
}

#[test]
fn of_several_classifiers_the_chosen_ones_matrix_is_that_of_a_study_of_it() {
    let mut several = asked(study(&[1.0], &[Standardise::All]));
    several.validation.leave_one_site_out = false;
    several.classifiers = every_classifier().into_iter().map(|(_, one)| one).take(5).collect();
    let rows = rows(&lines(240, 5, 3, 75), &several);
    let (sites, schema) = (rows.sites(), rows.schema().clone());
    let found = find(&rows, &several, &sites, &schema).unwrap();
    let chosen = several.classifiers[found.combination].clone();
    let alone = Study { classifiers: vec![chosen], ..several };
    let alone = find(&rows, &alone, &sites, &schema).unwrap();
    assert_eq!(classes(&found), classes(&alone));
}

#[test]
fn a_plan_counts_what_joining_costs() {
    let balance = vec![Balance::None];
    let classifier = Classifier::Logistic {
        l1_ratio: vec![0.0],
        multi_class: MultiClass::OneVsRest,
        c: vec![0.1, 1.0],
        standardise: vec![Standardise::All],
        balance,
        reduce: vec![Reduction::None],
    };
    let mut off = study(&[1.0], &[Standardise::All]);
    off.classifiers = vec![classifier];
    let rows = rows(&lines(120, 4, 4, 76), &off);
    let (sites, schemas) = (rows.sites(), [rows.schema().clone()]);
    let without = plan(&off, &schemas, &sites).unwrap();
    let mut on = asked(off);
    on.validation.own_site_baseline = wardround_core::study::OwnSiteBaseline::On;
    let with = plan(&on, &schemas, &sites).unwrap();
    // Five folds at four sites, and all rows of each.
    assert_eq!(with.models, without.models + 4 * 6);
    // Without one fold, without two, and all: 5 + 10 + 1, at two points.
    assert_eq!((without.models_at_each_site, with.models_at_each_site), (0, 32));
    assert!(with.queries > without.queries + 5);
    assert!(with.bytes_up_per_site > without.bytes_up_per_site);
    let found = find(&rows, &on, &sites, &schemas[0]).unwrap();
    let estimated = with.queries as f64 / found.cost.queries as f64;
    assert!((0.5..2.0).contains(&estimated), "{estimated}");
}
