//! The learning curve: against scikit-learn on the same rows and folds (`golden/make_curve.py`), added up over sites, for every
//! classifier, and where a part of the patients can't be fitted.

use serde::Deserialize;
use wardround_core::query::Unfit;
use wardround_core::study::{Bootstrap, LearningCurve as Rule, Standardise, Study};
use wardround_learn::findings::{
    CurveModels, CurveOfClass, Figure, Findings, Interval, LearningCurve,
};
use wardround_learn::rows::Together;
use wardround_learn::study::plan;

use crate::support::{every_classifier, find, lines, rows, study, value};

fn asked(mut study: Study) -> Study {
    study.validation.leave_one_site_out = false;
    study.validation.learning_curve = Rule::On;
    study
}

fn of_class(found: &Findings) -> &CurveOfClass {
    let LearningCurve::Asked { classes, .. } = &found.learning_curve else { panic!("asked for") };
    &classes[0]
}

fn aucs(curve: &CurveOfClass) -> Vec<[f64; 2]> {
    let step = |models: &CurveModels| match models {
        CurveModels::Judged { auc_within_sites, auc_one_list } => {
            [value(auc_within_sites), value(auc_one_list)]
        }
        CurveModels::Unfit { reason } => panic!("{reason}"),
    };
    curve.steps.iter().map(|one| step(&one.models)).collect()
}

#[derive(Deserialize)]
struct Golden {
    folds: Vec<u8>,
    steps: Vec<GoldenStep>,
}

#[derive(Deserialize)]
struct GoldenStep {
    within_sites: f64,
    one_list: f64,
}

#[test]
fn steps_are_scikit_learns() {
    let mut study = asked(study(&[1.0], &[Standardise::All]));
    study.validation.bootstrap = Bootstrap::Of(200);
    let rows = rows(&lines(450, 6, 3, 91), &study);
    let golden: Golden = serde_json::from_str(include_str!("../golden/curve.json")).unwrap();
    assert_eq!(rows.fold_column(&study.fold_plan(), 0), golden.folds);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let curve = of_class(&found);
    assert_eq!(curve.steps.iter().map(|step| step.folds).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let got = aucs(curve);
    assert_eq!(got.len(), golden.steps.len());
    for ([within, one_list], golden) in got.iter().zip(&golden.steps) {
        // The histogram's bound.
        assert!((within - golden.within_sites).abs() < 5e-4, "{within} {}", golden.within_sites);
        assert!((one_list - golden.one_list).abs() < 5e-4, "{one_list} {}", golden.one_list);
    }
    // All that isn't judged: the study's own models.
    let own = value(&found.targets[0].used_for_choosing[0].auc_within_sites);
    assert!((got[3][0] - own).abs() < 1e-6, "{} and {own}", got[3][0]);
    let gain = value(&curve.last_gain);
    assert!((gain - (got[3][0] - got[2][0])).abs() < 1e-12);
    let Figure::Known { interval: Interval::Between { low, high }, .. } = curve.last_gain else {
        panic!("{:?}", curve.last_gain)
    };
    assert!(low < gain && gain < high && high - low < 0.1, "{low} {gain} {high}");
}

#[test]
fn sites_that_add_up_have_the_curve_of_one_place_for_every_classifier() {
    for (name, classifier) in every_classifier() {
        let mut study = asked(study(&[1.0], &[Standardise::All]));
        study.classifiers = vec![classifier];
        study.validation.folds = 3;
        study.validation.bootstrap = Bootstrap::Off;
        let pooled = rows(&lines(150, 4, 2, 91), &study);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let here = find(&pooled, &study, &sites, &schema).unwrap();
        let apart = find(&Together(pooled.by_site()), &study, &sites, &schema).unwrap();
        let (here, apart) = (of_class(&here), of_class(&apart));
        assert_eq!(here.steps.len(), 2, "{name}");
        for (here, apart) in aucs(here).iter().zip(aucs(apart)) {
            assert!((here[0] - apart[0]).abs() < 2e-3, "{name}: {here:?} {apart:?}");
        }
        assert!(matches!(here.last_gain, Figure::Known { interval: Interval::NotComputed, .. }));
    }
}

#[test]
fn a_study_without_a_curve_asks_nothing_for_it_and_the_plan_knows_one() {
    let study = study(&[0.1, 1.0], &[Standardise::All]);
    let with = asked(study.clone());
    let without = Study {
        validation: wardround_core::study::Validation {
            learning_curve: Rule::Off,
            ..with.validation.clone()
        },
        ..study
    };
    let rows = rows(&lines(200, 5, 2, 17), &with);
    let (sites, schema) = (rows.sites(), rows.schema());
    let found = find(&rows, &with, &sites, schema).unwrap();
    let plain = find(&rows, &without, &sites, schema).unwrap();
    assert_eq!(plain.learning_curve, LearningCurve::NotAsked);
    assert_eq!(plain.targets, found.targets);
    let LearningCurve::Asked { rounds: [first, last], .. } = found.learning_curve else {
        panic!("asked for")
    };
    assert_eq!(found.cost.queries - plain.cost.queries, last - first + 1);
    let planned =
        |study: &Study| plan(study, std::slice::from_ref(schema), &sites).unwrap().queries;
    let more = planned(&with) - planned(&without);
    assert!(more.abs_diff(last - first + 1) <= 6, "planned {more}, were {}", last - first + 1);
}

#[test]
fn a_part_without_one_of_the_classes_is_named_and_the_rest_judged() {
    let mut study = asked(study(&[1.0], &[Standardise::All]));
    study.validation.folds = 4;
    let mut made = lines(200, 5, 1, 19);
    // Three positive patients in four folds: one fold has none.
    let mut kept = Vec::new();
    for line in &mut made {
        if line.class == 1 && !kept.contains(&line.patient) && kept.len() < 3 {
            kept.push(line.patient);
        }
        line.class = u8::from(kept.contains(&line.patient));
    }
    let changed = rows(&made, &study);
    let found = find(&changed, &study, &changed.sites(), changed.schema()).unwrap();
    let curve = of_class(&found);
    assert_eq!(curve.steps[0].models, CurveModels::Unfit { reason: Unfit::OneClass });
    assert!(matches!(curve.steps[1].models, CurveModels::Judged { .. }));
    assert!(value(&curve.last_gain).abs() < 0.5);
}
