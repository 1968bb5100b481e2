//! Labels that may stand together: each has the model that it has alone, which is scikit-learn's
//! (`golden/make_multi_label.py`), in any order of sites, down to the bundle.

use serde::Deserialize;
use wardround_core::class_set::ClassSet;
use wardround_core::study::{
    Balance, Classes, Classifier, Ensemble, EnsembleKind, Mode, NONE_OF_THEM, Negative,
    OwnSiteBaseline, Reduction, Standardise, Study,
};
use wardround_learn::bundle::{BundleInput, ModelBundle, predict};
use wardround_learn::findings::{Findings, OwnSites};
use wardround_learn::rows::{Rows, Together};

use crate::support::{
    GoldenModel, Line, every_classifier, find, linear_numbers, lines, logistic, noise, reduce,
    relative, rows_by, study, value, with_subgroup,
};

const LABELS: usize = 3;

/// The labels of a line: its class, and two of its patient.
fn labels(line: &Line, salt: u64) -> [bool; LABELS] {
    let patient = line.patient as u64;
    let of = |j, least| noise(patient * 2, j, salt) + 0.5 * noise(patient, j, salt + 2) > least;
    [line.class == 1, of(1, 0.4), of(2, 0.6)]
}

fn with_labels(mut study: Study) -> Study {
    study.target.classes = Classes::AnyOf {
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        separator: "|".to_owned(),
        negative: Negative::Rest,
    };
    study
}

fn rows(lines: &[Line], study: &Study, salt: u64) -> Rows {
    rows_by(lines, study, |_, line| {
        let has = (0..).zip(labels(line, salt)).filter(|(_, has)| *has);
        let set: ClassSet = has.map(|(label, _)| label).collect();
        (if set.count() == 0 { ClassSet::only(LABELS as u8) } else { set }, 1.0)
    })
}

fn found(rows: &Rows, study: &Study) -> Findings {
    find(rows, study, &rows.sites(), rows.schema()).unwrap()
}

fn bundle(study: &Study, d: usize, found: &Findings) -> ModelBundle {
    let mut study = study.clone();
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!("a table") };
    table.numeric = (0..d).map(|j| format!("x{j}")).collect();
    let input = BundleInput::of_table(&study).unwrap();
    ModelBundle::new(&study, found, input, "wardround test")
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    n: usize,
    d: usize,
    sites: usize,
    salt: u64,
    #[serde(rename = "C")]
    c: f64,
    shrinkage: f64,
    rows_by_label: Vec<u64>,
    none: u64,
    logistic: Vec<GoldenModel>,
    balanced: Vec<GoldenModel>,
    lda: Vec<GoldenModel>,
}

#[test]
fn equals_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/multi_label.json")).unwrap();
    for case in golden.cases {
        let lda = Classifier::Lda {
            shrinkage: vec![case.shrinkage],
            standardise: vec![Standardise::All],
            reduce: vec![Reduction::None],
        };
        for (name, classifier, expected) in [
            ("logistic", logistic(case.c, Balance::None), &case.logistic),
            ("balanced", logistic(case.c, Balance::Weights), &case.balanced),
            ("lda", lda, &case.lda),
        ] {
            let mut study = with_labels(study(&[1.0], &[]));
            study.validation.leave_one_site_out = false;
            study.classifiers = vec![classifier];
            let rows = rows(&lines(case.n, case.d, case.sites, case.salt), &study, case.salt);
            let found = found(&rows, &study);
            let by_class = &found.profile.all.rows_by_class;
            assert_eq!(
                (&by_class[..LABELS], by_class[LABELS]),
                (&case.rows_by_label[..], case.none)
            );
            assert_eq!(found.profile.all.rows(), rows.len() as u64);
            assert!(by_class.iter().sum::<u64>() > rows.len() as u64);
            assert_eq!(found.classes[LABELS], NONE_OF_THEM);
            for (label, expected) in expected.iter().enumerate() {
                let off = relative(&linear_numbers(&found, label), &expected.numbers());
                let limit = if case.d > 63 { 1e-6 } else { 1e-9 };
                assert!(off < limit, "{name}, label {label}: {off:e}");
            }
        }
    }
}

#[test]
fn every_label_has_the_model_that_it_has_alone() {
    let kinds = every_classifier().into_iter().filter(|(name, _)| *name != "logistic, multinomial");
    let mut classifiers: Vec<(String, Classifier)> =
        kinds.map(|(name, one)| (name.to_owned(), one)).collect();
    for balance in [Balance::OverSampling, Balance::Smote] {
        classifiers.push((format!("{balance:?}"), logistic(1.0, balance)));
    }
    for (name, mut classifier) in every_classifier() {
        if matches!(name, "logistic" | "boosting") {
            *reduce(&mut classifier) = vec![Reduction::Univariate(3)];
            classifiers.push((format!("{name}, reduced"), classifier));
        }
    }
    let made = lines(200, 6, 3, 1);
    for (name, classifier) in classifiers {
        let mut alone = study(&[1.0], &[]);
        (alone.validation.folds, alone.validation.leave_one_site_out) = (3, false);
        alone.classifiers = vec![classifier];
        let together = with_labels(alone.clone());
        let all = found(&rows(&made, &together, 1), &together);
        let all = bundle(&together, 6, &all);
        for label in 0..LABELS {
            let has = |_, line: &Line| (ClassSet::only(u8::from(labels(line, 1)[label])), 1.0);
            let one = found(&rows_by(&made, &alone, has), &alone);
            let one = bundle(&alone, 6, &one);
            for line in made.iter().step_by(7) {
                let ours = predict(&all, &line.features).unwrap()[label];
                let theirs = predict(&one, &line.features).unwrap()[0];
                assert!((ours - theirs).abs() < 1e-6, "{name}, label {label}: {ours} {theirs}");
            }
        }
    }
}

/// A study of several classifiers, an ensemble and all that looks at single sites.
fn wide() -> Study {
    let mut study = with_labels(with_subgroup(study(&[0.03, 1.0], &[Standardise::All])));
    let Classifier::Logistic { standardise, reduce, .. } = &mut study.classifiers[0] else {
        panic!("logistic regression")
    };
    *standardise = vec![Standardise::All, Standardise::Combat];
    *reduce = vec![Reduction::None, Reduction::Univariate(4)];
    let others =
        every_classifier().into_iter().filter(|(name, _)| matches!(*name, "lda" | "forest"));
    study.classifiers.extend(others.map(|(_, one)| one));
    study.ensembles = vec![Ensemble { kind: EnsembleKind::Stacking, members: vec![0, 1] }];
    study.validation.folds = 4;
    study.validation.own_site_baseline = OwnSiteBaseline::On;
    study
}

#[test]
fn the_order_of_sites_never_matters() {
    let study = wide();
    let pooled = rows(&lines(240, 6, 3, 11), &study, 11);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    assert_eq!((expected.targets.len(), expected.targets[0].left_out.len()), (LABELS, 3));
    assert!(matches!(expected.own_sites, OwnSites::Asked { .. }));
    assert!(value(&expected.targets[0].nested.judged.one_list.auc) > 0.7);
    let mut together = pooled.by_site();
    together.rotate_left(1);
    let together = Together(together);
    assert_eq!(find(&together, &study, &sites, &schema).unwrap(), expected);

    let mut on_rows = study;
    on_rows.federation.mode = Mode::FeatureRows;
    let gathered = find(&together, &on_rows, &sites, &schema).unwrap();
    assert_eq!(gathered.profile, expected.profile);
}

#[test]
fn a_bundle_keeps_the_labels_and_reads_back() {
    let study = with_labels(study(&[0.3], &[Standardise::All]));
    let made = lines(200, 5, 2, 9);
    let found = found(&rows(&made, &study, 9), &study);
    let bundle = bundle(&study, 5, &found);
    assert_eq!(bundle.manifest.classes, ["a", "b", "c", NONE_OF_THEM]);
    assert_eq!(bundle.manifest.models.len(), LABELS);
    assert_eq!(ModelBundle::read(&bundle.write().unwrap()).unwrap(), bundle);
    let probabilities = predict(&bundle, &made[0].features).unwrap();
    assert_eq!(probabilities.len(), LABELS);
}

#[test]
fn one_ways_scale_is_none_of_anothers_business() {
    // Moments by class are asked for because of one point, and used by all.
    let mut both = study(&[0.3], &[Standardise::Combat]);
    let mut one = both.clone();
    *reduce(&mut both.classifiers[0]) = vec![Reduction::None, Reduction::Univariate(3)];
    let made = lines(200, 6, 3, 5);
    let find = |study: &Study| found(&crate::support::rows(&made, study), study);
    one.validation.leave_one_site_out = false;
    both.validation.leave_one_site_out = false;
    let (both, one) = (find(&both), find(&one));
    assert_eq!(both.targets[0].used_for_choosing[0], one.targets[0].used_for_choosing[0]);
}
