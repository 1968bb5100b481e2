//! `wardround audit history` against a coordinator.

use wardround::store::{Artefact, NewStudy, StudyState};
use wardround_core::clock::Clock as _;
use wardround_core::ids::{StudyId, UserId};

use crate::binary::{STUDY, Scene, wardround};

fn add(scene: &Scene, name: &str, toml: String, state: StudyState) -> StudyId {
    let (running, now) = (&scene.running, scene.running.clock.now());
    let new = NewStudy {
        name: name.into(),
        toml,
        sites: vec![],
        by: UserId::parse("lea").expect("it is well-formed"),
        token: name.into(),
        parent: String::new(),
    };
    let (id, _) = running.store.add_study(&new, now).expect("the store is writable");
    running.store.set_study_state(&id, state, "", now).expect("the store is writable");
    running.clock.advance_ms(60_000);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn studies_of_the_same_target_and_sites_are_listed_also_those_that_failed() {
    let scene = Scene::set().await;
    let named = |sites: &str| format!("{STUDY}[cohort]\nsites = [{sites}]\n");
    let left_out = |toml: String| toml.replace("site_out = false", "site_out = true");
    let four = "\"a\", \"b\", \"c\", \"d\"";
    let failed = add(&scene, "one", left_out(named(four)), StudyState::Failed);
    let enrolled = add(&scene, "two", STUDY.replace("folds = 2", "folds = 3"), StudyState::Done);
    let report = br#"{"format":6,"cohort":{"sites":[{"site":"a"},{"site":"x"}]}}"#;
    scene.running.store.put_artefact(&enrolled, Artefact::ReportJson, report).unwrap();
    let elsewhere = add(&scene, "three", named("\"x\", \"y\", \"z\""), StudyState::Done);
    let other = add(&scene, "four", STUDY.replace("\"sick\"", "\"dx\""), StudyState::Done);
    let aborted = add(&scene, "five", left_out(named(four)), StudyState::Aborted);

    let of = ["audit", "history", failed.as_str()];
    let ran = wardround(&scene.lead, &of);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let at = [&failed, &enrolled, &aborted].map(|id| ran.stdout.find(id.as_str()).unwrap());
    assert!(at.is_sorted());
    assert!(!ran.stdout.contains(elsewhere.as_str()) && !ran.stdout.contains(other.as_str()));
    for says in ["a, x", "failed", "aborted", "lea", "in 2 of 3 studies and judged in 0"] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    let json = wardround(&scene.lead, &[&of[..], &["--format", "json"]].concat());
    let data = json.envelope()["data"].clone();
    assert_eq!(data["studies"].as_array().unwrap().len(), 3);
    assert!(data["studies"][0]["changes"].is_null());
    let changes = data["studies"][1]["changes"].as_array().unwrap();
    assert!(changes.iter().any(|one| one["at"] == "validation.folds" && one["after"] == 3));

    let operator = wardround(&scene.operator, &of);
    assert_eq!(operator.exit, 2, "an operator reads no study files: {}", operator.stdout);
    let nothing = wardround(&scene.lead, &["audit", "history", "s9-000000"]);
    assert_eq!(nothing.exit, 4, "{}", nothing.stderr);
    scene.running.stop().await;
}
