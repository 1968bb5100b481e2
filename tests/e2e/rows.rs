//! Feature-rows mode: rows leave where every owner allows it by name, and every place says so.

use wardround_privacy::ledger::{self, What};
use wardround_tests::made::{MadeStudy, lines};
use wardround_tests::yardstick::{difference, together};
use wardround_tests::{Hospital, LEAD, Trial, site_id};

use crate::result::{EXACT, four};

const CONSENT: &str = "feature_rows = \"rows of single patients leave this hospital\"";

/// One point, so that the final model has no part in folds: those are dealt by other keys.
const CLASSIFIER: &str = "kind = \"logistic\"\nc = [0.3]\nstandardise = [\"all\"]";

#[test]
fn rows_in_one_place_give_the_same_model_and_are_named_everywhere() {
    let hospitals: Vec<Hospital> =
        four().into_iter().map(|hospital| Hospital { policy: CONSENT, ..hospital }).collect();
    let trial = Trial::with(&hospitals);
    let sums = MadeStudy { classifier: CLASSIFIER, ..MadeStudy::default() };
    let rows = MadeStudy { federation: "mode = \"feature-rows\"", ..sums };
    let study = trial.submit(&rows.toml()).unwrap();
    trial.wait_done(&study);

    let expected = together(&sums.toml(), &hospitals.iter().collect::<Vec<_>>());
    let off = difference(&trial.bundle(&study).models[0], &expected.targets[0].model);
    assert!(off < EXACT, "{off:e}");
    let report = trial.report(&study);
    let sentence = report["protection"]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("Rows of features of single patients left"), "{sentence}");
    assert_eq!(report["study"]["parsed"]["federation"]["mode"], "feature-rows");
    for hospital in &hospitals {
        let summary = ledger::verify(&trial.ledger(&hospital.site)).unwrap();
        assert_eq!(summary.by_kind[&What::Rows].0, 1);
        // The counts.
        assert_eq!(summary.by_kind[&What::Answer].0, 1);
    }

    // What was asked and answered can be run again without a hospital.
    let archive = trial.path("archive.zip");
    let archive = archive.to_str().unwrap();
    trial.federation.ask(LEAD, &["study", "export", study.as_str(), "--out", archive]).unwrap();
    let again = trial.federation.ask(LEAD, &["study", "replay", archive]).unwrap();
    assert!(again.contains("same"), "{again}");
}

#[test]
fn an_owner_who_wasnt_asked_by_name_keeps_the_rows() {
    let willing = Hospital { policy: CONSENT, ..Hospital::strict("elbe", lines("elbe", 60)) };
    // Whoever loosens the rules on sums hasn't given away rows.
    let unasked = Hospital::loose("alster", lines("alster", 60));
    let trial = Trial::with(&[willing, unasked]);
    let toml = MadeStudy { federation: "mode = \"feature-rows\"", ..MadeStudy::default() }.toml();
    let refused = trial.submit(&toml).unwrap_err();
    for part in ["alster refuses: feature_rows", "a study of sums", CONSENT] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!refused.contains("elbe refuses"), "{refused}");
    for site in ["alster", "elbe"] {
        let summary = ledger::verify(&trial.ledger(&site_id(site))).unwrap();
        assert!(!summary.by_kind.contains_key(&What::Rows), "{site}");
    }
}
