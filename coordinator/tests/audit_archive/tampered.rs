use std::sync::LazyLock;

use wardround::archive::ArchiveError;
use wardround::replay::{ReplayError, Replayed, ReportMatch, replay, verify};
use wardround::store::Kept;
use wardround_core::digest::Digest;
use wardround_learn::bundle::{ModelBundle, Scorer};

use crate::made::{Fate, boosted, done, done_with, site};
use crate::zipped::{Files, total_name};

static ARCHIVE: LazyLock<Files> = LazyLock::new(|| Files::of(&done(3, Fate::Smooth).archive()));
static TREES: LazyLock<Files> =
    LazyLock::new(|| Files::of(&done_with(&boosted(), 3, Fate::Smooth).archive()));

fn refused(files: &Files) -> ArchiveError {
    verify(&files.zip()).unwrap_err()
}

fn assert_altered(files: &Files, name: &str) {
    let error = refused(files);
    assert!(matches!(&error, ArchiveError::Altered { entry, .. } if entry == name), "{error}");
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn files_put_together_again_unchanged_are_whole() {
    verify(&ARCHIVE.zip()).unwrap();
}

#[test]
fn every_changed_entry_is_named() {
    let totals = ARCHIVE.journal();
    let total = total_name(&totals[5].total);
    let names = [
        "study.toml",
        "report.json",
        "report.html",
        "context.json",
        "model.safetensors",
        "journal.jsonl",
        "answers.jsonl",
        &total,
    ];
    for name in names {
        let mut files = ARCHIVE.clone();
        let mut bytes = files.0[name].clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        files.set(name, bytes);
        assert_altered(&files, name);
        files.0.remove(name);
        assert!(matches!(refused(&files), ArchiveError::Missing(entry) if entry == name));
    }
}

#[test]
fn journal_lines_changed_removed_or_reordered_are_named_though_the_manifest_fits() {
    let journal = ARCHIVE.journal();
    let with = |change: &dyn Fn(&mut Vec<_>)| {
        let (mut files, mut lines) = (ARCHIVE.clone(), journal.clone());
        change(&mut lines);
        files.set_journal(&lines);
        files.list_again();
        refused(&files)
    };
    let renumber = |lines: &mut Vec<wardround::archive::JournalLine>| {
        (1..).zip(lines).for_each(|(n, line)| line.sequence = n);
    };
    // Two totals exchanged.
    let error = with(&|lines| {
        let total = lines[3].total;
        lines[3].total = lines[4].total;
        lines[4].total = total;
    });
    assert!(matches!(error, ArchiveError::Chain { line: 4 }), "{error}");
    // A query changed.
    let error = with(&|lines| lines[6].query = lines[6].total);
    assert!(matches!(error, ArchiveError::Chain { line: 7 }), "{error}");
    // A line removed, with and without new numbers.
    let error = with(&|lines| drop(lines.remove(4)));
    assert!(matches!(error, ArchiveError::Sequence { expected: 5, got: 6 }), "{error}");
    let error = with(&|lines| {
        lines.remove(4);
        renumber(lines);
    });
    assert!(matches!(error, ArchiveError::Chain { line: 5 }), "{error}");
    // Two lines reordered, with and without new numbers.
    let error = with(&|lines| lines.swap(1, 2));
    assert!(matches!(error, ArchiveError::Sequence { expected: 2, got: 3 }), "{error}");
    let error = with(&|lines| {
        lines.swap(1, 2);
        renumber(lines);
    });
    assert!(matches!(error, ArchiveError::Chain { line: 2 }), "{error}");
    // The last line removed.
    let error = with(&|lines| drop(lines.pop()));
    let named = |error: &ArchiveError| error.to_string().contains("manifest.json");
    assert!(matches!(error, ArchiveError::Head { .. }) && named(&error), "{error}");
    // Words and counts of a line that the chain doesn't cover are in the total.
    let error = with(&|lines| lines[2].numbers += 1);
    assert!(matches!(error, ArchiveError::Total { line: 3, .. }), "{error}");
    let error = with(&|lines| drop(lines[2].sites.pop()));
    assert!(matches!(error, ArchiveError::Total { line: 3, .. }), "{error}");
}

#[test]
fn a_changed_total_is_named_though_the_manifest_fits() {
    let line = ARCHIVE.journal().remove(7);
    let mut sum = ARCHIVE.total(&line);
    sum.blocks[0][0] += 1;
    let mut files = ARCHIVE.clone();
    let bytes = zstd::encode_all(sum.encode().as_slice(), 3).unwrap();
    files.set(&total_name(&line.total), bytes);
    files.list_again();
    let error = refused(&files);
    assert!(
        matches!(&error, ArchiveError::Total { line: 8, entry, .. }
        if *entry == total_name(&line.total)),
        "{error}"
    );

    // Not packed at all.
    files.set(&total_name(&line.total), sum.encode());
    files.list_again();
    assert!(matches!(refused(&files), ArchiveError::Total { line: 8, .. }));
}

#[test]
fn another_model_report_study_or_receipt_contradicts_the_rest() {
    let contradicts = |files: &mut Files, name: &str, with: &str| {
        files.list_again();
        let error = refused(files);
        assert!(
            matches!(&error, ArchiveError::Contradiction { entry, other, .. }
                if entry == name && other == with),
            "{error}"
        );
    };
    let mut files = ARCHIVE.clone();
    let mut bundle = ModelBundle::read(&files.0["model.safetensors"]).unwrap();
    let Scorer::Linear(model) = &mut bundle.models[0].scorer else { panic!("a linear model") };
    model.weights[0] += 1e-12;
    files.set("model.safetensors", bundle.write().unwrap());
    contradicts(&mut files, "report.json", "model.safetensors");
    bundle.manifest.sites.pop();
    files.set("model.safetensors", bundle.write().unwrap());
    contradicts(&mut files, "model.safetensors", "manifest.json");

    let mut files = ARCHIVE.clone();
    files.set("study.toml", files.text("study.toml").replace("seed = 7", "seed = 8"));
    contradicts(&mut files, "study.toml", "manifest.json");

    let mut files = ARCHIVE.clone();
    let lock = files.manifest().study.digest.to_string();
    let answers = files.text("answers.jsonl");
    let mut first: serde_json::Value =
        serde_json::from_str(answers.lines().next().unwrap()).unwrap();
    first["lock"] = lock.into();
    let rest: String = answers.lines().skip(1).map(|line| format!("{line}\n")).collect();
    files.set("answers.jsonl", format!("{first}\n{rest}"));
    contradicts(&mut files, "answers.jsonl", "manifest.json");

    files.set("answers.jsonl", rest);
    files.list_again();
    let error = refused(&files);
    assert!(matches!(&error, ArchiveError::NoAnswer { line: 1, site: s } if *s == site(0)));
}

#[test]
fn what_passes_the_checks_is_found_by_the_replay() {
    // Every total in turn: its numbers an eighth larger, everything else made to fit.
    let (mut passed, journal) = (Vec::new(), ARCHIVE.journal());
    for at in 0..journal.len() {
        let (mut files, mut lines) = (ARCHIVE.clone(), journal.clone());
        let mut sum = files.total(&lines[at]);
        sum.blocks.iter_mut().flatten().for_each(|number| *number += *number / 8);
        files.set_total(&mut lines[at], &sum.encode());
        files.chain_again(lines);
        let forged = files.zip();
        verify(&forged).unwrap();
        // The page shows digests in short, which `chain_again` leaves; only its numbers count here.
        let same = |replayed: Replayed| {
            let page_only = ReportMatch::Differs { entries: vec!["report.html".into()] };
            replayed.archived == replayed.replayed
                && (replayed.report == ReportMatch::Same || replayed.report == page_only)
        };
        if replay(&forged).is_ok_and(same) {
            passed.push(journal[at].what.clone());
        }
    }
    assert_eq!(passed, Vec::<String>::new());

    // A figure in the report, on the page, a site's policy changed.
    for (name, from, to) in [
        ("report.json", "\"seed\": 7", "\"seed\": 8"),
        ("report.html", "Heart, made up", "Heart, improved"),
        ("context.json", "\"minimum_cell\": 5", "\"minimum_cell\": 3"),
    ] {
        let mut files = ARCHIVE.clone();
        let text = files.text(name);
        assert!(text.contains(from), "{name}");
        files.set(name, text.replace(from, to));
        files.list_again();
        let forged = files.zip();
        verify(&forged).unwrap();
        let report = replay(&forged).unwrap().report;
        assert!(matches!(&report, ReportMatch::Differs { .. }), "{name}: {report:?}");
    }

    // A line dropped, everything else made to fit.
    let (mut files, mut lines) = (ARCHIVE.clone(), journal.clone());
    let dropped = lines.remove(6);
    files.0.remove(&total_name(&dropped.total));
    files.chain_again(lines);
    let error = replay(&files.zip()).unwrap_err();
    assert!(matches!(error, ReplayError::Unrecorded { .. }), "{error}");

    // A total of another shape.
    let (mut files, mut lines) = (ARCHIVE.clone(), journal);
    let mut sum = files.total(&lines[4]);
    sum.blocks.last_mut().unwrap().push(0);
    lines[4].numbers += 1;
    files.set_total(&mut lines[4], &sum.encode());
    files.chain_again(lines);
    let error = replay(&files.zip()).unwrap_err();
    assert!(matches!(&error, ReplayError::Study(_)), "{error}");
    assert!(error.to_string().contains("numbers in block"), "{error}");
}

/// The first line with a decision that holds trees.
fn first_trees() -> usize {
    let holds = |line: &wardround::archive::JournalLine| {
        line.kept != Kept::Total && TREES.decision(line).len() > 2
    };
    TREES.journal().iter().position(holds).unwrap()
}

#[test]
fn lines_with_a_decision_are_chained_whole() {
    let at = first_trees();
    let line = at as u64 + 1;
    for change in [
        |line: &mut wardround::archive::JournalLine| line.numbers += 1,
        |line: &mut wardround::archive::JournalLine| drop(line.sites.pop()),
        |line: &mut wardround::archive::JournalLine| line.what.push('s'),
        |line: &mut wardround::archive::JournalLine| line.total = line.query,
        |line: &mut wardround::archive::JournalLine| line.kept = Kept::Total,
        |line: &mut wardround::archive::JournalLine| {
            let Kept::Decision { digest, .. } = &mut line.kept else { panic!("a decision") };
            *digest = Digest::of(b"another");
        },
        |line: &mut wardround::archive::JournalLine| {
            let Kept::Decision { purpose, .. } = &mut line.kept else { panic!("a decision") };
            purpose.0 = Digest::of(b"another");
        },
    ] {
        let (mut files, mut lines) = (TREES.clone(), TREES.journal());
        change(&mut lines[at]);
        files.set_journal(&lines);
        files.list_again();
        let error = refused(&files);
        assert!(matches!(error, ArchiveError::Chain { line: got } if got == line), "{error}");
    }

    // Bytes that aren't the line's, though the manifest fits.
    let (mut files, lines) = (TREES.clone(), TREES.journal());
    let Kept::Decision { digest, .. } = lines[at].kept else { panic!("a decision") };
    let name = crate::zipped::decision_name(&digest);
    files.set(&name, zstd::encode_all(&b"other"[..], 3).unwrap());
    files.list_again();
    let error = refused(&files);
    assert!(matches!(&error, ArchiveError::Total { entry, .. } if *entry == name), "{error}");

    // Two totals of one query.
    let (mut files, mut lines) = (TREES.clone(), TREES.journal());
    let Kept::Decision { purpose, .. } = &mut lines[at + 1].kept else { panic!("a decision") };
    purpose.0 = Digest::of(b"another");
    lines[at + 1].query = lines[at].query;
    files.chain_again(lines);
    let error = refused(&files).to_string();
    assert!(error.contains("another total before"), "{error}");

    // A journal before decisions were kept has none.
    let mut files = TREES.clone();
    let mut manifest = files.manifest();
    manifest.journal.format = 2;
    files.set_manifest(&manifest);
    let error = refused(&files).to_string();
    assert!(error.contains("format 2 doesn't know"), "{error}");
}

#[test]
fn other_trees_pass_the_checks_and_are_found_by_the_replay() {
    let (at, journal) = (first_trees(), TREES.journal());
    let with = |bytes: &[u8]| {
        let (mut files, mut lines) = (TREES.clone(), journal.clone());
        files.set_decision(&mut lines[at], bytes);
        files.drop_strays(&lines);
        files.chain_again(lines);
        let forged = files.zip();
        verify(&forged).unwrap();
        replay(&forged)
    };
    let decision = TREES.decision(&journal[at]);
    assert!(with(&decision).is_ok_and(|replayed| replayed.archived == replayed.replayed));
    // Cut, prolonged, of another format, without trees, with those of another question.
    let other = journal[at + 1..].iter().filter(|line| line.kept != Kept::Total);
    let other = other.map(|line| TREES.decision(line)).find(|bytes| bytes.len() > 2).unwrap();
    for bytes in [&decision[..decision.len() - 1], &[], &[1], &[1, 0], &[9], &other] {
        let error = with(bytes).unwrap_err();
        assert!(matches!(error, ReplayError::Study(_)), "{error}");
    }
    let error = with(&[decision.as_slice(), &[0]].concat()).unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
    // Any byte changed: another question, one that can't be, or another model. What it may pass with is a
    // count of patients that decides nothing.
    let mut passed = 0;
    for place in 0..decision.len() {
        let mut bytes = decision.clone();
        bytes[place] ^= 2;
        let same = with(&bytes).is_ok_and(|replayed| replayed.archived == replayed.replayed);
        passed += usize::from(same);
    }
    assert!(passed * 4 < decision.len(), "{passed} of {} bytes", decision.len());
}

#[test]
fn a_digest_of_histograms_is_for_the_sites_to_confirm() {
    // The module `replay` says so: nothing in an archive gives the total whose digest this is.
    let (at, mut files, mut lines) = (first_trees(), TREES.clone(), TREES.journal());
    lines[at].total = Digest::of(b"another");
    files.chain_again(lines);
    let forged = files.zip();
    verify(&forged).unwrap();
    let replayed = replay(&forged).unwrap();
    assert_eq!(replayed.archived, replayed.replayed);
}
