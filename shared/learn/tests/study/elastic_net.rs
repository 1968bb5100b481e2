//! Logistic regression with an elastic net penalty against scikit-learn's (`golden/make_elastic_net.py`),
//! over any split into sites, and in company of models without an L1 penalty.

use std::collections::BTreeMap;

use serde::Deserialize;
use wardround_core::study::{
    Balance, Classifier, GridPoint, MultiClass, Reduction, Standardise, Study,
};
use wardround_learn::findings::{FinalLinear, Findings};
use wardround_learn::rows::Together;

use crate::golden::Case;
use crate::support::{Line, find, lines, relative, rows, study, value, with_subgroup};

#[derive(Deserialize)]
struct Golden {
    cases: BTreeMap<String, NetCase>,
}

#[derive(Deserialize)]
struct NetCase {
    l1_ratio: f64,
    balance: Balance,
    #[serde(flatten)]
    case: Case,
}

fn elastic_net(c: &[f64], l1_ratio: &[f64], standardise: Standardise, balance: Balance) -> Study {
    let classifier = Classifier::Logistic {
        c: c.to_vec(),
        l1_ratio: l1_ratio.to_vec(),
        multi_class: MultiClass::OneVsRest,
        standardise: vec![standardise],
        balance: vec![balance],
        reduce: vec![Reduction::None],
    };
    Study { classifiers: vec![classifier], ..study(c, &[standardise]) }
}

fn final_linear(found: &Findings) -> &FinalLinear {
    found.targets[0].model.fitted.linear().unwrap()
}

fn found(lines: &[Line], study: &Study) -> Findings {
    let rows = rows(lines, study);
    find(&rows, study, &rows.sites(), rows.schema()).unwrap()
}

fn numbers(model: &FinalLinear) -> Vec<f64> {
    model.weights.iter().chain([&model.intercept]).copied().collect()
}

#[test]
fn equals_scikit_learn_with_the_same_zeros() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/elastic_net.json")).unwrap();
    for (name, NetCase { l1_ratio, balance, case }) in &golden.cases {
        let mut study = elastic_net(&[case.c], &[*l1_ratio], case.standardise, *balance);
        study.validation.leave_one_site_out = false;
        let found = found(&case.lines(), &study);
        let model = final_linear(&found);
        let mut expected = case.weights.clone();
        expected.push(case.intercept);
        let off = relative(&numbers(model), &expected);
        println!("{name}: {off:e}, {} steps, {:?}", model.steps, found.cost);
        assert!(off < 1e-6, "{name}: {off:e} after {} steps", model.steps);
        for (j, (got, expected)) in model.weights.iter().zip(&case.weights).enumerate() {
            assert_eq!(*got == 0.0, *expected == 0.0, "{name}, weight {j}: {got} {expected}");
        }
        let zeros = model.weights.iter().filter(|weight| **weight == 0.0).count();
        assert!(zeros > 0, "{name}");
    }
}

#[test]
fn the_order_of_sites_never_matters() {
    let mut study = elastic_net(&[0.03, 0.3], &[0.0, 0.5, 1.0], Standardise::All, Balance::None);
    study = with_subgroup(study);
    let pooled = rows(&lines(160, 6, 4, 11), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    let mut together = pooled.by_site();
    together.rotate_left(1);
    assert_eq!(find(&Together(together), &study, &sites, &schema).unwrap(), expected);
}

#[test]
fn the_split_into_sites_doesnt_move_the_model() {
    for d in [6, 70] {
        let mut study = elastic_net(&[0.1], &[0.5], Standardise::All, Balance::None);
        study.validation.leave_one_site_out = false;
        let mut made = lines(200, d, 4, 12);
        let four_sites = numbers(final_linear(&found(&made, &study)));
        made.iter_mut().for_each(|line| line.site = 0);
        let off = relative(&numbers(final_linear(&found(&made, &study))), &four_sites);
        assert!(off < if d == 6 { 1e-9 } else { 1e-6 }, "{d} features: {off:e}");
    }
}

#[test]
fn a_grid_with_and_without_an_l1_penalty_is_fitted_in_one_go() {
    for d in [6, 70] {
        let both = elastic_net(&[0.3], &[0.0, 1.0], Standardise::All, Balance::None);
        let ridge = elastic_net(&[0.3], &[0.0], Standardise::All, Balance::None);
        let made = lines(200, d, 3, 21);
        let (both, ridge) = (found(&made, &both), found(&made, &ridge));
        let auc = |found: &Findings, point: usize| {
            let tried = &found.targets[0].used_for_choosing[point];
            assert!(matches!(found.grid[point], GridPoint::Linear(_)));
            value(&tried.auc_one_list)
        };
        // The point without is fitted as if it were alone.
        assert_eq!(auc(&both, 0), auc(&ridge, 0));
        assert!(auc(&both, 1) > 0.6);
        let [with, without] = [&both, &ridge].map(|found| found.cost.fitting_queries);
        assert!(with <= 2 * without, "{with} rounds beside {without}");
    }
}

#[test]
fn a_strong_l1_penalty_leaves_the_prevalence() {
    for d in [6, 70] {
        let mut study = elastic_net(&[1e-4], &[1.0], Standardise::All, Balance::None);
        study.validation.leave_one_site_out = false;
        let made = lines(200, d, 4, 12);
        let found = found(&made, &study);
        let model = final_linear(&found);
        let positives = made.iter().filter(|line| line.class == 1).count() as f64;
        let log_odds = (positives / (made.len() as f64 - positives)).ln();
        assert!(model.weights.iter().all(|weight| *weight == 0.0));
        assert!((model.intercept - log_odds).abs() < 1e-9, "{} {log_odds}", model.intercept);
    }
}
