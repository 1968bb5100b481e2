use wardround::archive::{End, ExportError, Part, SignedBy, export};
use wardround::replay::{ModelDigest, ReplayError, ReportMatch, replay, verify};
use wardround::store::{Kept, StudyState};
use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_learn::recorded::Keep;

use crate::made::{
    Fate, HEART, boosted, done, done_keeping, done_with, forest, on_images, site, submitted,
};
use crate::zipped::Files;

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn a_study_is_exported_verified_and_replayed_alike_with_one_and_two_threads() {
    let archive = with_threads(1, || done(3, Fate::Smooth).archive());
    let with_two = with_threads(2, || done(3, Fate::Smooth).archive());
    assert!(archive == with_two, "the archives differ");

    let verified = verify(&archive).unwrap();
    let files = Files::of(&archive);
    let model = Digest::of(&files.0["model.safetensors"]);
    assert_eq!(verified.model, ModelDigest::Bundle { digest: model });
    assert_eq!(verified.end, End::Done);
    assert_eq!(verified.sites, [site(0), site(1), site(2)]);
    assert_eq!(verified.lines, files.journal().len() as u64);
    assert_eq!(verified.answers, 3 * verified.lines);
    assert_eq!(verified.manifest, Digest::of(&files.0["manifest.json"]));

    let replayed = with_threads(1, || replay(&archive)).unwrap();
    assert!(replayed.is_confirmed(), "{replayed:?}");
    assert_eq!((replayed.archived, replayed.replayed), (model, model));
    assert_eq!(replayed.report, ReportMatch::Same);
    assert_eq!(replayed.queries, verified.lines);
    assert_eq!(with_threads(2, || replay(&archive)).unwrap(), replayed);
}

#[test]
fn an_archive_holds_the_files_it_lists() {
    let made = done(3, Fate::Smooth);
    assert_eq!(made.archive(), made.archive());
    let plain = Files::of(&made.archive());
    let names: Vec<&str> =
        plain.0.keys().map(String::as_str).filter(|name| !name.starts_with("totals/")).collect();
    let expected = ["answers.jsonl", "context.json", "journal.jsonl", "manifest.json"];
    assert_eq!(names[..4], expected);
    assert_eq!(names[4..], ["model.safetensors", "report.html", "report.json", "study.toml"]);
    assert_eq!(plain.0.len() - names.len(), plain.journal().len());
}

#[test]
fn a_study_that_lost_a_site_is_replayed_with_all_its_runs() {
    let made = done(4, Fate::LosesASite { after: 9 });
    let archive = made.archive();
    let verified = verify(&archive).unwrap();
    assert_eq!((verified.sites.len(), verified.lost), (3, vec![site(3)]));
    let files = Files::of(&archive);
    assert_eq!(files.manifest().attempts[0].round, 9);
    assert_eq!(files.manifest().sites[3].part, Part::Lost);
    assert!(files.journal()[..9].iter().all(|line| line.sites.contains(&site(3))));

    let replayed = replay(&archive).unwrap();
    assert!(replayed.is_confirmed(), "{:?}", replayed.unused);
    assert_eq!(replayed.lines, replayed.queries + 9);

    // Without the attempt, nobody asked for its lines.
    let mut forged = files;
    let mut manifest = forged.manifest();
    manifest.attempts.clear();
    forged.set_manifest(&manifest);
    let replayed = replay(&forged.zip()).unwrap();
    assert_eq!(replayed.unused, (1..=9).collect::<Vec<u64>>());
    assert!(!replayed.is_confirmed());
}

#[test]
fn a_question_that_was_asked_again_at_a_coarser_scale_is_replayed() {
    let archive = done(3, Fate::NeedsACoarserScale).archive();
    let replayed = replay(&archive).unwrap();
    assert!(replayed.is_confirmed(), "{:?}", replayed.unused);
    assert_eq!(replayed.queries, replayed.lines + 1, "one question has no total");
}

#[test]
fn a_study_on_images_is_replayed_with_what_its_sites_stated() {
    let archive = done_with(&on_images(), 3, Fate::Smooth).archive();
    let replayed = replay(&archive).unwrap();
    assert!(replayed.is_confirmed(), "{:?}", replayed.report);

    // Other weights in the manifest give another bundle.
    let mut forged = Files::of(&archive);
    let stated = Digest::of(b"weights").to_string();
    let manifest = forged.text("manifest.json").replace(&stated, &Digest::of(b"x").to_string());
    forged.set("manifest.json", manifest);
    let replayed = replay(&forged.zip()).unwrap();
    assert_ne!(replayed.archived, replayed.replayed);
}

#[test]
fn a_running_study_isnt_exported_and_a_failed_one_has_no_model() {
    let made = submitted(HEART, 3);
    let attempt = export(&made.store, &made.study, SignedBy::Nobody);
    assert!(matches!(attempt, Err(ExportError::NotOver { state: StudyState::Enlisting, .. })));

    let end = |state, reason| {
        assert!(made.store.set_study_state(&made.study, state, reason, Timestamp(9)).unwrap());
    };
    end(StudyState::Failed, "out of luck");
    let archive = made.archive();
    let verified = verify(&archive).unwrap();
    assert_eq!(verified.end, End::Failed { reason: "out of luck".into() });
    assert_eq!((verified.model, verified.lines), (ModelDigest::NoModel, 0));
    assert!(matches!(replay(&archive), Err(ReplayError::NoModel(study)) if study == made.study));
}

#[test]
fn a_study_of_trees_is_replayed_from_what_was_decided() {
    for toml in [boosted(), forest()] {
        let made = done_with(&toml, 3, Fate::Smooth);
        let archive = made.archive();
        let (verified, files) = (verify(&archive).unwrap(), Files::of(&archive));
        let journal = files.journal();
        let of_trees = journal.iter().filter(|line| line.what == "tree histograms");
        assert!(of_trees.clone().all(|line| line.kept != Kept::Total));
        assert_eq!(verified.decisions, of_trees.clone().count() as u64);
        assert!(verified.decisions > 3 && verified.decisions < verified.lines);
        let replayed = replay(&archive).unwrap();
        assert!(replayed.is_confirmed(), "{replayed:?}");
        assert_eq!((replayed.decisions, replayed.queries), (verified.decisions, verified.lines));

        // Single sites' histograms are gone as well, their digests aren't.
        assert_eq!(verified.answers, 3 * verified.lines);
        for line in &journal {
            for site in &line.sites {
                let sealed = made.store.folder().join("sealed").join(made.study.as_str());
                let answer = sealed.join(site.as_str()).join(line.query.to_string());
                assert_eq!(answer.exists(), line.kept == Kept::Total, "{}", line.what);
            }
        }

        // With the sums in the journal it is the same model, decided again.
        let whole = done_keeping(&toml, 3, Fate::Smooth, Keep::Sums).archive();
        assert_eq!(verify(&whole).unwrap().decisions, 0);
        let again = replay(&whole).unwrap();
        assert!(again.is_confirmed(), "{again:?}");
        assert_eq!((again.replayed, again.queries), (replayed.replayed, replayed.queries));
    }
}

#[test]
fn a_coordinator_that_is_killed_while_trees_grow_leaves_the_same_archive() {
    for toml in [boosted(), forest()] {
        let smooth = done_with(&toml, 3, Fate::Smooth).archive();
        for after in [2, 3, 7] {
            let killed = done_with(&toml, 3, Fate::KilledOften { after }).archive();
            assert!(killed == smooth, "killed after every {after} questions");
        }
    }
}

#[test]
fn a_question_that_is_decided_twice_has_two_lines() {
    // Of two boosted models the first tree's first question is the same, and what follows isn't.
    let of_depth = |depth| {
        format!(
            "[[classifier]]\nkind = \"boosting\"\ntrees = [2]\ndepth = [{depth}]\nmin_patients = [5]\n"
        )
    };
    let single = "[classifier]\nkind = \"logistic\"\nc = [0.1, 1.0]";
    let toml = HEART.replace(single, &(of_depth(2) + &of_depth(3)));
    let archive = done_with(&toml, 3, Fate::Smooth).archive();
    let verified = verify(&archive).unwrap();
    assert!(verified.answers < 3 * verified.lines, "{verified:?}");
    let replayed = replay(&archive).unwrap();
    assert!(replayed.is_confirmed(), "{replayed:?}");
    assert!(done_with(&toml, 3, Fate::KilledOften { after: 4 }).archive() == archive);
}

#[test]
fn a_study_of_trees_that_lost_a_site_is_replayed_with_all_its_runs() {
    for toml in [boosted(), forest()] {
        for after in [5, 7, 9] {
            let archive = done_with(&toml, 4, Fate::LosesASite { after }).archive();
            let lines = Files::of(&archive).manifest().attempts[0].round;
            assert!(lines <= after as u64);
            let replayed = replay(&archive).unwrap();
            assert!(replayed.is_confirmed(), "{:?}", replayed.unused);
            assert_eq!(replayed.lines, replayed.queries + lines);
        }
    }
}
