//! What a hospital gains by joining, over real processes: models of its own that stay there, and models of one
//! site that leave where the owner lets them. Patients are judged here, not rows.

use serde_json::Value;
use wardround_learn::findings::{Figure, OwnSite, OwnSites};
use wardround_tests::made::MadeStudy;
use wardround_tests::yardstick::together;
use wardround_tests::{Hospital, LEAD, Trial};

use crate::result::four;

fn study() -> String {
    let toml = MadeStudy { leave_one_site_out: true, ..MadeStudy::default() }.toml();
    toml.replace(
        "\n[federation]",
        "\njudge = \"patient\"\nown_site_baseline = true\nmatrix = true\n[federation]",
    )
}

/// All but one let a model of theirs alone leave.
fn hospitals() -> Vec<Hospital> {
    const WITH_OWN_MODEL: &str =
        "wide_sums = \"allowed\"\nleave_one_site_out = \"allowed\"\nown_model = \"allowed\"\n";
    let mut hospitals = four();
    for (at, hospital) in hospitals.iter_mut().enumerate() {
        if at != 1 {
            hospital.policy = WITH_OWN_MODEL;
        }
    }
    hospitals
}

#[test]
fn a_site_sees_what_it_gains_and_its_own_model_leaves_with_consent_only() {
    let hospitals = hospitals();
    let trial = Trial::with(&hospitals);
    let toml = study();
    let id = trial.submit(&toml).unwrap();
    trial.wait_done(&id);
    let report = trial.report(&id);

    // The sites' own models are those of all rows in one place.
    let expected = together(&toml, &hospitals.iter().collect::<Vec<_>>());
    let OwnSites::Asked { classes, .. } = &expected.own_sites else { panic!("asked") };
    for (at, site) in classes[0].sites.iter().enumerate() {
        let OwnSite::Fitted(model) = site else { panic!("{site:?}") };
        let row = &report["own_sites"]["classes"][0]["sites"][at]["model"];
        for (got, expected) in [
            (&row["own"]["auc"], &model.own.auc),
            (&row["federated"], &model.federated),
            (&row["gain"], &model.gain),
        ] {
            let Figure::Known { value, .. } = expected else { panic!("{expected:?}") };
            let got = got["value"].as_f64().expect("an AUC");
            assert!((got - value).abs() < 1e-6, "{at}: {got} and {value}");
        }
    }

    let cohort = &report["cohort"]["all"];
    assert_eq!(report["study"]["judged"]["name"], "patient");
    assert_eq!(cohort["judged"], cohort["patients"]);
    assert_ne!(cohort["judged"], cohort["images"]);

    // The owner who refuses is named, the others' models are judged everywhere.
    let rows = report["matrix"]["classes"][0]["rows"].as_array().expect("rows");
    let state = |row: &Value| row["models"]["state"].as_str().map(str::to_owned);
    let states: Vec<_> = rows.iter().filter_map(state).collect();
    assert_eq!(states, ["judged", "refused", "judged", "judged", "judged", "judged"]);
    assert_eq!(rows[1]["trained_on"]["site"], "bille");
    let text = trial.federation.ask(LEAD, &["study", "report", id.as_str()]).unwrap();
    assert!(
        text.contains("bille: the owner doesn't let a model of this site alone leave"),
        "{text}"
    );
    let loosened = report["protection"]["loosenings"].as_array().expect("loosenings");
    let own_model = loosened.iter().filter(|one| one["rule"] == "own_model");
    let sites: Vec<_> = own_model.map(|one| one["site"].clone()).collect();
    assert_eq!(sites, ["alster", "elbe", "wandse"]);

    // Every answer is a line of the ledger, the refusing site's too.
    let report_rounds = report["rounds"]["rounds"].as_array().expect("rounds");
    for hospital in &hospitals {
        let ledger = trial.ledger(&hospital.site);
        assert!(wardround_privacy::ledger::verify(&ledger).is_ok());
        let lines = std::fs::read_to_string(&ledger).expect("a ledger");
        for question in ["own site", "own models"] {
            let asked = report_rounds.iter().find(|round| round["statistic"] == question);
            let query = asked.expect(question)["query"].as_str().expect("a digest");
            assert!(lines.contains(query), "{question} isn't in the ledger of {}", hospital.site);
        }
    }
}
