//! A patient with most of a site's rows.

use wardround_core::digest::Digest;
use wardround_proto::v1;

use crate::coordinator::Coordinator;
use crate::studies::{STUDY, admit, consider, profile, site, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_with_most_rows_stops_a_study_and_is_never_counted_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "[policy]\nwide_sums = \"allowed\"\n");
    // Of 20 ill patients with a row each one has 30 more.
    (0..30).for_each(|at| admit(&home, "p0", f64::from(at)));
    let coordinator = Coordinator::start().await;
    let agent = start(&home, &coordinator);
    let outcome = coordinator.ask("consider", consider()).await;
    let v1::submission::Outcome::Verdict(verdict) = outcome else { panic!("{outcome:?}") };
    let refusals: Vec<_> =
        verdict.refusals.iter().map(|r| (r.rule.as_str(), r.asked, r.allowed)).collect();
    assert_eq!(refusals, [("dominance", 0, 50)]);
    // A level that holds the same rows is named.
    let by_illness = "[subgroups.illness]\ncolumn = \"ill\"\nvalues = [\"no\", \"yes\"]\n[table]";
    let study_toml = STUDY.replace("[table]", by_illness);
    let sites = vec!["north".into(), "south".into()];
    let work = v1::task::Work::Enlist(v1::Enlist { study_toml, sites });
    let outcome = coordinator.ask("enlist", work).await;
    let v1::submission::Outcome::Enlisted(enlisted) = outcome else { panic!("{outcome:?}") };
    let named: Vec<_> =
        enlisted.dominated.iter().map(|cell| (cell.column, cell.level, cell.class)).collect();
    assert_eq!(named, [(0, 1, 0), (0, 1, 2)]);
    // Whoever asks all the same gets nothing.
    let lock = Digest::try_from(enlisted.lock_digest.as_slice()).unwrap();
    let outcome = coordinator.ask("counts", coordinator.question(&profile(), lock)).await;
    let v1::submission::Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.refusal.unwrap().rule, "dominance");
    agent.stop().await;
}
