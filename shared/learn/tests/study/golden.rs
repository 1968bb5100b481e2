//! The final model of a study against scikit-learn's pipeline of StandardScaler and
//! LogisticRegression (`golden/make_logistic.py`: 1e-9 by Newton, 1e-6 by L-BFGS) or LinearSVC (`golden/make_svm.py`: 1e-5), both with class weights (`golden/make_balanced.py`),
//! RidgeClassifier, LinearDiscriminantAnalysis or NearestCentroid (`golden/make_closed_form.py`: 1e-9) on the same rows, and LogisticRegression after neuroCombat (`golden/make_combat.py`).

use crate::support::{Line, MakeStudy, find, lines, relative, rows, study, svm};
use serde::Deserialize;
use std::collections::BTreeMap;
use wardround_core::study::{Balance, Classifier, MultiClass, Reduction, Standardise, Study};
use wardround_learn::findings::FinalScaler;

#[derive(Deserialize)]
struct Golden {
    cases: BTreeMap<String, Case>,
}

/// Made-up rows, and the model that another program fits to them.
#[derive(Deserialize)]
pub struct Case {
    pub n: usize,
    pub d: usize,
    pub sites: usize,
    pub salt: u64,
    #[serde(rename = "C")]
    pub c: f64,
    pub standardise: Standardise,
    pub missing: bool,
    pub constant: bool,
    #[serde(default)]
    pub mean: Vec<f64>,
    #[serde(default)]
    pub deviation: Vec<f64>,
    pub weights: Vec<f64>,
    pub intercept: f64,
}

impl Case {
    /// Its rows.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = lines(self.n, self.d, self.sites, self.salt);
        for (at, line) in lines.iter_mut().enumerate() {
            if self.missing && at % 9 == 0 {
                line.features[1] = f64::NAN;
            }
            if self.constant {
                line.features[2] = 5.0;
            }
        }
        lines
    }
}

fn check(name: &str, tolerance: f64) {
    check_against(include_str!("../golden/logistic.json"), study, name, tolerance);
}

fn check_svm(name: &str, tolerance: f64) {
    check_against(include_str!("../golden/svm.json"), svm, name, tolerance);
}

fn check_against(golden: &str, study: MakeStudy, name: &str, tolerance: f64) {
    let golden: Golden = serde_json::from_str(golden).unwrap();
    let case = &golden.cases[name];
    let mut study = study(&[case.c], &[case.standardise]);
    study.validation.leave_one_site_out = false;
    let rows = rows(&case.lines(), &study);
    let schema = study.schema(case.d as u32);
    let findings = find(&rows, &study, &rows.sites(), &schema).unwrap();
    let model = findings.targets[0].model.fitted.linear().unwrap();
    match &model.scaler {
        FinalScaler::All { mean, deviation } => {
            assert!(relative(mean, &case.mean) < 1e-12);
            assert!(relative(deviation, &case.deviation) < 1e-12);
        }
        FinalScaler::Combat { mean, deviation } => {
            assert_eq!(case.standardise, Standardise::Combat);
            assert!(relative(mean, &case.mean) < 1e-12);
            assert!(relative(deviation, &case.deviation) < 1e-12);
        }
        FinalScaler::OwnSite => assert_eq!(case.standardise, Standardise::Site),
    }
    let mut expected = case.weights.clone();
    expected.push(case.intercept);
    let mut got = model.weights.clone();
    got.push(model.intercept);
    let off = relative(&got, &expected);
    assert!(off < tolerance, "{name}: {off:e} after {} steps, {:?}", model.steps, findings.cost);
}

#[test]
fn newton_equals_scikit_learn() {
    check("newton", 1e-9);
}

#[test]
fn newton_with_missing_values_equals_scikit_learn() {
    check("newton_missing", 1e-9);
}

#[test]
fn a_constant_column_has_no_weight() {
    check("newton_constant", 1e-9);
}

#[test]
fn newton_on_sites_standardised_by_themselves_equals_scikit_learn() {
    check("newton_own_site", 1e-9);
}

#[test]
fn lbfgs_equals_scikit_learn() {
    check("lbfgs", 1e-6);
}

#[test]
fn lbfgs_with_a_weak_penalty_equals_scikit_learn() {
    check("lbfgs_weak", 1e-6);
}

#[test]
fn lbfgs_on_sites_standardised_by_themselves_equals_scikit_learn() {
    check("lbfgs_own_site", 1e-6);
}

fn with(classifier: Classifier) -> Study {
    Study { classifiers: vec![classifier], ..study(&[1.0], &[Standardise::All]) }
}

#[test]
fn closed_forms_equal_scikit_learns() {
    let makers: [(&str, MakeStudy); 3] = [
        ("ridge", |alpha, s| {
            with(Classifier::Ridge {
                alpha: alpha.to_vec(),
                standardise: s.to_vec(),
                reduce: vec![Reduction::None],
            })
        }),
        ("lda", |shrinkage, s| {
            with(Classifier::Lda {
                shrinkage: shrinkage.to_vec(),
                standardise: s.to_vec(),
                reduce: vec![Reduction::None],
            })
        }),
        ("nearest", |_, s| {
            with(Classifier::NearestMean { standardise: s.to_vec(), reduce: vec![Reduction::None] })
        }),
    ];
    for (name, make) in makers {
        for case in ["few", "missing", "own_site", "many"] {
            let golden = include_str!("../golden/closed_form.json");
            check_against(golden, make, &format!("{name}_{case}"), 1e-9);
        }
    }
}

#[test]
fn class_weights_equal_scikit_learns() {
    let golden = include_str!("../golden/balanced.json");
    let logistic: MakeStudy = |c, s| {
        let (c, standardise) = (c.to_vec(), s.to_vec());
        with(Classifier::Logistic {
            c,
            l1_ratio: vec![0.0],
            multi_class: MultiClass::OneVsRest,
            standardise,
            balance: vec![Balance::Weights],
            reduce: vec![Reduction::None],
        })
    };
    let svm: MakeStudy = |c, s| {
        let (c, standardise) = (c.to_vec(), s.to_vec());
        with(Classifier::LinearSvm {
            c,
            standardise,
            balance: vec![Balance::Weights],
            reduce: vec![Reduction::None],
        })
    };
    for (case, tolerance) in [("few", 1e-9), ("own_site", 1e-9), ("many", 1e-6)] {
        check_against(golden, logistic, &format!("logistic_{case}"), tolerance);
        check_against(golden, svm, &format!("svm_{case}"), 1e-5);
    }
}

#[test]
fn sites_adjusted_by_combat_equal_neuro_combats_and_scikit_learns() {
    let golden = include_str!("../golden/combat.json");
    check_against(golden, study, "few", 1e-9);
    check_against(golden, study, "many", 1e-6);
}

#[test]
fn support_vector_machines_by_newton_equal_scikit_learns() {
    for name in ["newton", "newton_missing", "newton_own_site"] {
        check_svm(name, 1e-5);
    }
}

#[test]
fn support_vector_machines_by_lbfgs_equal_scikit_learns() {
    for name in ["lbfgs", "lbfgs_weak", "lbfgs_own_site"] {
        check_svm(name, 1e-5);
    }
}
