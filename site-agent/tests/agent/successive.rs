//! A coordinator that asks a second study of one patient more, and subtracts.

use std::path::Path;

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::query::Query;
use wardround_proto::v1;

use crate::coordinator::Coordinator;
use crate::studies::{PATIENTS, admit, consider, enlist, profile, site, start};

/// The question of counts, in another study.
fn counts(study: &str) -> Query {
    Query { study: StudyId::parse(study).unwrap(), ..profile() }
}

async fn enlisted(coordinator: &Coordinator, study: &str) -> Digest {
    let outcome = coordinator.ask_of(study, "enlist", enlist()).await;
    let v1::submission::Outcome::Enlisted(enlisted) = outcome else { panic!("{outcome:?}") };
    Digest::try_from(enlisted.lock_digest.as_slice()).unwrap()
}

fn refused(outcome: v1::submission::Outcome, study: &str) {
    let v1::submission::Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code(), v1::FailureCode::Refused);
    let refusal = failure.refusal.unwrap();
    assert_eq!((refusal.rule.as_str(), refusal.study.as_str()), ("successive", study));
    // Not how many patients differ.
    assert_eq!((refusal.asked, refusal.allowed, failure.first, failure.second), (0, 5, 0, 0));
}

/// Rows by class that the second study has more than the first.
async fn subtracted(folder: &Path) -> Vec<i64> {
    let home = site(folder, "[policy]\nsuccessive = \"allowed\"\n");
    let coordinator = Coordinator::start().await;
    let agent = start(&home, &coordinator);
    let mut seen = Vec::new();
    for study in ["s1", "s2"] {
        let lock = enlisted(&coordinator, study).await;
        let query = counts(study);
        let sum = coordinator.answer("counts", &query, lock).await;
        seen.push(sum.counts(&query, "rows_by_class").unwrap().to_vec());
        admit(&home, "new", 0.5);
    }
    agent.stop().await;
    seen[1].iter().zip(&seen[0]).map(|(now, then)| now - then).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_patient_more_is_given_away_unless_the_site_compares() {
    let folder = tempfile::tempdir().unwrap();
    // The patient that came is ill.
    assert_eq!(subtracted(folder.path()).await, [0, 1]);

    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "");
    let coordinator = Coordinator::start().await;
    let agent = start(&home, &coordinator);
    // Two studies are enlisted before either is answered, the second with one patient more.
    let first = enlisted(&coordinator, "s1").await;
    admit(&home, "new", 0.5);
    let second = enlisted(&coordinator, "s2").await;
    let sum = coordinator.answer("counts", &counts("s1"), first).await;
    assert_eq!(sum.counts(&counts("s1"), "patients"), Some(&[PATIENTS as i64][..]));
    let question = coordinator.question(&counts("s2"), second);
    refused(coordinator.ask_of("s2", "counts", question).await, "s1");
    // Whoever comes later is told before anything is frozen, without counts.
    refused(coordinator.ask_of("s3", "consider", consider()).await, "s1");
    refused(coordinator.ask_of("s3", "enlist", enlist()).await, "s1");
    assert!(!home.lock(&StudyId::parse("s3").unwrap()).exists());
    agent.stop().await;

    // The same patients again, after a restart.
    let path = home.folder().join("manifest.csv");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, manifest.replace("new,yes,0.5,0.5,0.5\n", "")).unwrap();
    let agent = start(&home, &coordinator);
    let again = enlisted(&coordinator, "s4").await;
    coordinator.answer("counts", &counts("s4"), again).await;
    // With enough more of each class the study is answered, and what was refused isn't counted.
    (0..5).for_each(|at| admit(&home, &format!("later{at}"), 0.5));
    let more = enlisted(&coordinator, "s5").await;
    coordinator.answer("counts", &counts("s5"), more).await;
    agent.stop().await;
}
