//! Kills at any moment, cut lines, and sites that never come back. One site's line is slow, so that a
//! chosen round is still under way when something happens to it.

use std::time::Duration;

use wardround_privacy::ledger;
use wardround_tests::made::MadeStudy;
use wardround_tests::yardstick::{difference, together};
use wardround_tests::{Hospital, Trial, site_id};

use crate::result::{EXACT, four};

/// Delay of the slow line, each way.
const SLOW: Duration = Duration::from_millis(120);
/// The site whose line is slow is [`four`]'s first.
const SLOW_SITE: &str = "alster";
/// The site that things happen to.
const VICTIM: &str = "elbe";

#[test]
fn a_killed_coordinator_ends_with_the_same_model_bytes() {
    let toml = MadeStudy { leave_one_site_out: true, ..MadeStudy::default() }.toml();
    let (mut trial, _link) = Trial::slow(&four(), SLOW);
    let whole = trial.submit(&toml).unwrap();
    trial.wait_done(&whole);
    let (expected, rounds) = (trial.bundle_bytes(&whole), trial.rounds(&whole));
    assert!(rounds > 8, "{rounds}");
    // While cohorts are frozen, early, in the middle and near the end.
    for moment in [0, 2, rounds / 2, rounds - 3] {
        let study = trial.submit(&toml).unwrap();
        trial.wait_round(&study, moment);
        trial.federation.kill_coordinator();
        trial.federation.restart_coordinator().unwrap();
        trial.wait_done(&study);
        assert_eq!(trial.bundle_bytes(&study), expected, "killed at round {moment} of {rounds}");
    }
    // And again and again within one study.
    let study = trial.submit(&toml).unwrap();
    for moment in [1, 3, 5, 7] {
        trial.wait_round(&study, moment);
        trial.federation.kill_coordinator();
        trial.federation.restart_coordinator().unwrap();
    }
    trial.wait_done(&study);
    assert_eq!(trial.bundle_bytes(&study), expected);
}

#[test]
fn a_coordinator_that_is_killed_while_trees_grow_ends_with_the_same_model_bytes() {
    let classifier = "kind = \"boosting\"\ntrees = [4]\ndepth = [3]\nmin_patients = [5]";
    let toml = MadeStudy { classifier, ..MadeStudy::default() }.toml();
    let (mut trial, _link) = Trial::slow(&four(), SLOW);
    let whole = trial.submit(&toml).unwrap();
    trial.wait_done(&whole);
    let (expected, rounds) = (trial.bundle_bytes(&whole), trial.rounds(&whole));
    // The second of three levels of the second tree or so.
    for moment in [rounds / 2, rounds / 2 + 1] {
        let study = trial.submit(&toml).unwrap();
        trial.wait_round(&study, moment);
        trial.federation.kill_coordinator();
        trial.federation.restart_coordinator().unwrap();
        trial.wait_done(&study);
        assert_eq!(trial.bundle_bytes(&study), expected, "killed at round {moment} of {rounds}");
    }
}

#[test]
fn a_killed_site_and_a_cut_line_change_nothing() {
    let toml = MadeStudy::default().toml();
    let (mut trial, link) = Trial::slow(&four(), SLOW);
    let whole = trial.submit(&toml).unwrap();
    trial.wait_done(&whole);
    let (expected, rounds) = (trial.bundle_bytes(&whole), trial.rounds(&whole));
    for moment in [0, rounds / 2] {
        for victim in [VICTIM, SLOW_SITE].map(site_id) {
            let study = trial.submit(&toml).unwrap();
            trial.wait_round(&study, moment);
            trial.federation.kill_site(&victim);
            trial.federation.start_site(&victim).unwrap();
            trial.wait_done(&study);
            assert_eq!(trial.bundle_bytes(&study), expected, "{victim} killed at round {moment}");
            assert!(ledger::verify(&trial.ledger(&victim)).is_ok());
        }
    }
    let study = trial.submit(&toml).unwrap();
    for moment in [1, rounds / 2] {
        trial.wait_round(&study, moment);
        link.cut();
        std::thread::sleep(Duration::from_secs(1));
        link.mend();
    }
    trial.wait_done(&study);
    assert_eq!(trial.bundle_bytes(&study), expected);
}

#[test]
fn a_lost_site_is_left_out_and_named() {
    let hospitals = four();
    let federation = "on_site_lost = \"restart\"\nquorum = 3\npatience_s = 10";
    let toml = MadeStudy { federation, ..MadeStudy::default() }.toml();
    let (mut trial, _link) = Trial::slow(&hospitals, SLOW);
    let victim = site_id(VICTIM);
    let study = trial.submit(&toml).unwrap();
    trial.wait_round(&study, 4);
    trial.federation.kill_site(&victim);
    trial.wait_done(&study);

    let bundle = trial.bundle(&study);
    let rest: Vec<&Hospital> = hospitals.iter().filter(|h| h.site != victim).collect();
    let expected = together(&toml, &rest);
    assert_eq!(bundle.manifest.sites, expected.sites);
    let off = difference(&bundle.models[0], &expected.targets[0].model);
    assert!(off < EXACT, "{off:e}");
    let events = trial.events(&study);
    assert!(events.iter().any(|(_, e)| e["what"] == "lost" && e["site"] == VICTIM), "{events:?}");
}

#[test]
fn a_study_below_its_quorum_fails_and_says_so() {
    let federation = "on_site_lost = \"restart\"\nquorum = 4\npatience_s = 10";
    let toml = MadeStudy { federation, ..MadeStudy::default() }.toml();
    let (mut trial, _link) = Trial::slow(&four(), SLOW);
    let study = trial.submit(&toml).unwrap();
    trial.wait_round(&study, 2);
    trial.federation.kill_site(&site_id(VICTIM));
    let (state, reason) = trial.wait_over(&study);
    assert_eq!(state, "failed", "{reason}");
    assert!(reason.contains(VICTIM) && reason.contains('4'), "{reason}");
}

#[test]
fn a_study_that_waits_waits() {
    let hospitals = four();
    let federation = "on_site_lost = \"wait\"\npatience_s = 10";
    let toml = MadeStudy { federation, ..MadeStudy::default() }.toml();
    let (mut trial, _link) = Trial::slow(&hospitals, SLOW);
    let victim = site_id(VICTIM);
    let study = trial.submit(&toml).unwrap();
    trial.wait_round(&study, 3);
    trial.federation.kill_site(&victim);
    // Longer than the patience after which a restart would go on without it.
    std::thread::sleep(Duration::from_secs(14));
    let (state, reason) = trial.state(&study);
    assert_eq!(state, "running", "{reason}");
    trial.federation.start_site(&victim).unwrap();
    trial.wait_done(&study);
    let expected = together(&toml, &hospitals.iter().collect::<Vec<_>>());
    let bundle = trial.bundle(&study);
    assert_eq!(bundle.manifest.sites, expected.sites);
    assert!(difference(&bundle.models[0], &expected.targets[0].model) < EXACT);
}
