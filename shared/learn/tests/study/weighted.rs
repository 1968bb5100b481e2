//! Rows with weights of their own, against scikit-learn's `sample_weight` (`golden/make_weighted.py`), in any
//! order of sites and in one place.

use serde::Deserialize;
use wardround_core::class_set::ClassSet;
use wardround_core::study::{
    Balance, Classes, Classifier, Mode, OwnSiteBaseline, Reduction, RowWeights, Standardise, Study,
};
use wardround_learn::findings::Findings;
use wardround_learn::rows::{Rows, Together};

use crate::support::{
    GoldenModel, Line, every_classifier, find, linear_numbers, lines, logistic, noise, relative,
    rows_by, study, value,
};

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
    alpha: f64,
    logistic: GoldenModel,
    balanced: GoldenModel,
    svm: GoldenModel,
    ridge: GoldenModel,
}

/// One in sixteen 0, most from a half to 4 in quarters.
fn weight(row: usize, salt: u64) -> f64 {
    match (noise(row as u64, 5, salt) + 1.0) * 8.0 {
        draw if draw < 1.0 => 0.0,
        draw if draw < 15.0 => (draw.floor() + 1.0) / 4.0,
        _ => 1.0,
    }
}

fn weighted(mut study: Study) -> Study {
    study.cohort.weight = RowWeights::Column("weight".to_owned());
    study
}

fn rows(lines: &[Line], study: &Study, weight: impl Fn(usize) -> f64) -> Rows {
    rows_by(lines, study, |at, line| (ClassSet::only(line.class), weight(at)))
}

fn found(rows: &Rows, study: &Study) -> Findings {
    find(rows, study, &rows.sites(), rows.schema()).unwrap()
}

#[test]
fn equals_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/weighted.json")).unwrap();
    for case in golden.cases {
        let (all, none) = (vec![Standardise::All], vec![Reduction::None]);
        let svm = Classifier::LinearSvm {
            c: vec![case.c],
            standardise: all.clone(),
            balance: vec![Balance::None],
            reduce: none.clone(),
        };
        let ridge = Classifier::Ridge {
            alpha: vec![case.alpha],
            standardise: all.clone(),
            reduce: none.clone(),
        };
        for (name, classifier, expected, limit) in [
            ("logistic", logistic(case.c, Balance::None), &case.logistic, 1e-9),
            ("balanced", logistic(case.c, Balance::Weights), &case.balanced, 1e-9),
            ("svm", svm, &case.svm, 1e-5),
            ("ridge", ridge, &case.ridge, 1e-9),
        ] {
            let mut study = weighted(study(&[1.0], &[]));
            study.validation.leave_one_site_out = false;
            study.classifiers = vec![classifier];
            let made = lines(case.n, case.d, case.sites, case.salt);
            let rows = rows(&made, &study, |row| weight(row, case.salt));
            let mut got = linear_numbers(&found(&rows, &study), 0);
            let expected = expected.numbers();
            if name == "ridge" {
                got[case.d] = 0.0;
                let own: f64 = got.iter().zip(&expected).map(|(a, b)| a * b).sum();
                let slope = own / expected.iter().map(|b| b * b).sum::<f64>();
                got.iter_mut().for_each(|weight| *weight /= slope);
            }
            let off = relative(&got, &expected);
            let limit = if case.d > 63 { f64::max(limit, 1e-6) } else { limit };
            assert!(off < limit, "{name} of {} features: {off:e}", case.d);
        }
    }
}

#[test]
fn the_order_of_sites_never_matters_and_rows_in_one_place_keep_their_weights() {
    let kinds = every_classifier().into_iter().filter(|(name, _)| *name != "logistic, multinomial");
    let mut study = weighted(study(&[1.0], &[]));
    study.classifiers = kinds.map(|(_, one)| one).collect();
    study.validation.own_site_baseline = OwnSiteBaseline::On;
    (study.validation.folds, study.validation.leave_one_site_out) = (3, false);
    let made = lines(200, 6, 3, 17);
    let pooled = rows(&made, &study, |row| weight(row, 17));
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    let mut together = pooled.by_site();
    together.rotate_left(1);
    let together = Together(together);
    assert_eq!(find(&together, &study, &sites, &schema).unwrap(), expected);
    assert!(value(&expected.targets[0].nested.judged.one_list.auc) > 0.7);

    study.classifiers.truncate(1);
    study.validation.own_site_baseline = OwnSiteBaseline::Off;
    let at_sites = find(&together, &study, &sites, &schema).unwrap();
    study.federation.mode = Mode::FeatureRows;
    let gathered = find(&together, &study, &sites, &schema).unwrap();
    assert!(relative(&linear_numbers(&gathered, 0), &linear_numbers(&at_sites, 0)) < 1e-9);
}

#[test]
fn large_weights_are_no_counts() {
    // By Newton's method, by L-BFGS.
    let wide = every_classifier().into_iter().filter(|(name, _)| name.starts_with("l"));
    let kinds = every_classifier().into_iter().map(|one| (5, one)).chain(wide.map(|one| (70, one)));
    for (d, (name, classifier)) in kinds {
        let made = lines(160, d, 2, 23);
        let mut study = weighted(study(&[1.0], &[]));
        study.validation.leave_one_site_out = false;
        study.classifiers = vec![classifier];
        if name == "logistic, multinomial" {
            let labels = ["0", "1", "2"].map(str::to_owned).to_vec();
            study.target.classes = Classes::OneVsRest { labels };
        }
        let three = |mut made: Vec<Line>| {
            made.iter_mut().step_by(4).for_each(|line| line.class = 2);
            made
        };
        let made = if name == "logistic, multinomial" { three(made.clone()) } else { made.clone() };
        let found = found(&rows(&made, &study, |row| 40.0 + (row % 50) as f64), &study);
        assert!(value(&found.targets[0].nested.judged.one_list.auc) > 0.55, "{name}");
        // Rows of one class are still refused, by their number.
        let mut one = made;
        one.iter_mut().for_each(|line| line.class = 0);
        let rows = rows(&one, &study, |_| 60.0);
        let error = find(&rows, &study, &rows.sites(), rows.schema()).unwrap_err().to_string();
        assert!(error.contains("0 of class"), "{name}: {error}");
    }
}

#[test]
fn every_learner_heeds_weights() {
    let made = lines(160, 5, 2, 23);
    for (name, classifier) in every_classifier() {
        if name == "logistic, multinomial" {
            continue;
        }
        let mut study = study(&[1.0], &[]);
        study.validation.leave_one_site_out = false;
        study.classifiers = vec![classifier];
        let plain = found(&rows(&made, &study, |_| 1.0), &study);
        let study = weighted(study);
        let of = |weight: &dyn Fn(usize) -> f64| found(&rows(&made, &study, weight), &study);
        let auc = |found: &Findings| value(&found.targets[0].nested.judged.one_list.auc);
        // Weights of 1 are none, and others make another model.
        assert!((auc(&of(&|_| 1.0)) - auc(&plain)).abs() < 1e-9, "{name}");
        let other = of(&|row| weight(row, 23));
        assert_ne!(other.targets[0].model.fitted, plain.targets[0].model.fitted, "{name}");
        assert_eq!(other.profile, plain.profile);
    }
}
