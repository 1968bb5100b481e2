//! Bagged forests: trees of single sites leave where every owner allows it by name.

use wardround_learn::bundle::Scorer;
use wardround_privacy::ledger;
use wardround_tests::made::MadeStudy;
use wardround_tests::{Hospital, Trial, site_id};

use crate::result::four;

const CONSENT: &str =
    "wide_sums = \"allowed\"\nleave_one_site_out = \"allowed\"\nown_model = \"allowed\"";

const CLASSIFIER: &str = "kind = \"bagged-forest\"\ntrees = [7]\ndepth = [3]\nmin_patients = [5]";

#[test]
fn every_sites_trees_are_in_the_forest_and_the_report_says_what_it_is() {
    let hospitals: Vec<Hospital> =
        four().into_iter().map(|hospital| Hospital { policy: CONSENT, ..hospital }).collect();
    let trial = Trial::with(&hospitals);
    let study = MadeStudy { classifier: CLASSIFIER, ..MadeStudy::default() };
    let study = trial.submit(&study.toml()).unwrap();
    trial.wait_done(&study);
    let Scorer::Trees(forest) = &trial.bundle(&study).models[0].scorer else { panic!("trees") };
    assert_eq!(forest.trees.len(), 4 * 7);
    let report = trial.report(&study);
    let words = report["study"]["classifier"].as_str().unwrap();
    assert!(words.contains("inexact"), "{words}");
    let loosened = report["protection"]["loosenings"].as_array().unwrap();
    assert_eq!(loosened.iter().filter(|one| one["rule"] == "own_model").count(), 4);
    for hospital in &hospitals {
        ledger::verify(&trial.ledger(&hospital.site)).unwrap();
    }
}

#[test]
fn an_owner_who_keeps_its_own_models_stops_the_study_before_it_starts() {
    let mut hospitals = four();
    for hospital in &mut hospitals {
        // Whoever loosens the rules on sums hasn't given away models of its own.
        if hospital.site != site_id("elbe") {
            hospital.policy = CONSENT;
        }
    }
    let trial = Trial::with(&hospitals);
    let study = MadeStudy { classifier: CLASSIFIER, ..MadeStudy::default() };
    let refused = trial.submit(&study.toml()).unwrap_err();
    for part in ["elbe refuses: own_model", "own_model = \"allowed\""] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!refused.contains("alster refuses"), "{refused}");
}
