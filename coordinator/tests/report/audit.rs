//! `wardround audit` on report files, as whoever was sent a report runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::made_up::{context, findings, patients, usual, with_small_cells};
use crate::ran::Ran;
use serde_json::Value;
use wardround::report::Report;
use wardround_core::seed::Seed;

fn audit(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardround"));
    command.arg("audit").args(arguments).env_clear().env("WARDROUND_PROFILE_DIR", folder);
    Ran::of(command.output().expect("the binary is built"))
}

/// What the command says in words, and its data.
fn both(folder: &Path, arguments: &[&str]) -> (String, Value) {
    let text = audit(folder, arguments);
    assert_eq!((text.exit, text.stderr.as_str()), (0, ""), "{arguments:?}");
    let json = audit(folder, &[arguments, &["--format", "json"]].concat());
    assert_eq!(json.exit, 0);
    (text.stdout, json.envelope()["data"].clone())
}

fn write(folder: &Path, name: &str, report: &Report) -> String {
    let path: PathBuf = folder.join(name);
    std::fs::write(&path, report.to_json()).unwrap();
    path.display().to_string()
}

#[test]
fn sites_stand_beside_models_that_never_saw_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_, report) = usual();
    let file = write(folder.path(), "report.json", &report);
    let (text, data) = both(folder.path(), &["sites", &file]);
    let class = &data["classes"][0];
    for (at, row) in report.sites[0].sites.iter().enumerate() {
        let line = text.lines().find(|line| line.starts_with(row.site.as_str())).unwrap();
        let left_out = &report.leave_one_site_out[0].sites[at];
        for estimate in [&row.figures.auc, &left_out.figures.auc, &row.figures.brier] {
            assert!(line.contains(&estimate.short()), "{line}");
        }
        let row_of = &class["sites"][at];
        assert_eq!(row_of["site"], row.site.as_str());
        assert_eq!(row_of["figures"], serde_json::to_value(&row.figures).unwrap());
        assert_eq!(row_of["left_out"]["figures"], serde_json::to_value(&left_out.figures).unwrap());
    }
    let together = &report.sites[0].together;
    assert!(
        text.contains(&format!("random effects of 4 sites: mean AUC {}", together.auc.short()))
    );
    assert_eq!(class["together"], serde_json::to_value(together).unwrap());
    // Three sites leave none out.
    let three = findings(3, &patients(3, 160));
    let file = write(folder.path(), "b.json", &Report::build(&three, &context(&three)).unwrap());
    let (text, data) = both(folder.path(), &["sites", &file]);
    assert!(text.contains("no site was left out"));
    assert!(data["classes"][0]["sites"][0]["left_out"].is_null());
}

#[test]
fn subgroups_have_gaps_with_verdicts_and_what_was_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    let findings = findings(4, &with_small_cells());
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let file = write(folder.path(), "report.json", &report);
    let (text, data) = both(folder.path(), &["subgroups", &file]);
    assert!(text.contains("not judged: age unknown"), "{text}");
    let mut columns = 0;
    for column in &report.fairness[0].columns {
        let heading = format!("{}, levels beside each other:", column.name);
        let Some((_, below)) = text.split_once(&heading) else {
            let none = format!("{}: fewer than two levels are shown", column.name);
            assert!(text.contains(&none), "{text}");
            continue;
        };
        columns += 1;
        for gap in &column.gaps {
            let line = below.lines().find(|line| line.starts_with(gap.words())).unwrap();
            assert!(line.contains(gap.verdict.words()), "{line}");
            assert!(line.contains(&gap.difference.short()), "{line}");
        }
    }
    assert!(columns > 0, "{text}");
    let columns = &data["classes"][0]["compared"];
    assert_eq!(*columns, serde_json::to_value(&report.fairness[0].columns).unwrap());
    let mut drawn = findings;
    drawn.targets[0].nested.judged.fairness.clear();
    let file = write(folder.path(), "b.json", &Report::build(&drawn, &context(&drawn)).unwrap());
    let (text, _) = both(folder.path(), &["subgroups", &file]);
    assert!(text.contains("bootstrap = false"), "{text}");
}

#[test]
fn two_reports_are_compared_with_what_makes_them_incomparable() {
    let folder = tempfile::tempdir().unwrap();
    let (mut made, first) = usual();
    let one = write(folder.path(), "a.json", &first);
    let mut of_second = context(&made);
    of_second.study.validation.folds = 10;
    of_second.study.seed = Seed(8);
    of_second.sites[1].lock = of_second.sites[0].lock;
    made.targets[0].nested.judged.auc_within_sites = crate::made_up::known(0.7514, 0.02);
    let second = Report::build(&made, &of_second).unwrap();
    let two = write(folder.path(), "b.json", &second);
    let (text, data) = both(folder.path(), &["compare", &one, &two]);
    assert!(text.contains("validation.folds: 5 -> 10") && text.contains("seed: 7 -> 8"), "{text}");
    assert!(text.contains("frozen isn't the same at vidir_modern."), "{text}");
    assert!(text.contains("Intervals aren't paired"));
    assert!(!text.contains("differ in their target") && !text.contains("differ in their sites"));
    let figures = data["figures"].as_array().unwrap();
    let within = figures.iter().find(|one| one["metric"] == "auc_within_sites").unwrap();
    assert_eq!(within["difference"], 0.02);
    assert!(text.contains("+0.020"));
    assert!(figures.len() > 60);
    assert!(figures.iter().all(|one| one["difference"].is_null() || one["difference"].is_number()));

    // Fewer sites, and another target.
    let three = findings(3, &patients(3, 160));
    let mut other = context(&three);
    other.study.target.column = "sick".into();
    let two = write(folder.path(), "c.json", &Report::build(&three, &other).unwrap());
    let (text, data) = both(folder.path(), &["compare", &one, &two]);
    assert!(text.contains("The studies differ in their target: dx; sick."), "{text}");
    assert!(text.contains("The studies differ in their sites: "), "{text}");
    let figures = data["figures"].as_array().unwrap();
    let alone = figures.iter().filter(|one| one["second"].is_null());
    assert!(alone.clone().count() > 0 && alone.clone().all(|one| one["difference"].is_null()));
    let same = both(folder.path(), &["compare", &one, &one]).0;
    assert!(same.contains("The study files say the same."));
}

#[test]
fn a_pseudonymised_copy_can_be_audited_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let copy = usual().1.with_sites_pseudonymised().unwrap();
    let file = write(folder.path(), "copy.json", &copy);
    let (text, data) = both(folder.path(), &["sites", &file]);
    assert!(text.contains("Pseudonymised copy") && text.contains("site-1"));
    assert_eq!(data["edition"], "pseudonymised-sites");
    assert!(!text.contains("rosendahl"));
}

#[test]
fn what_is_no_report_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let file = path.display().to_string();
    for (text, says) in [
        ("{\"format\": 2}", "expected a report of format 7, got format 2"),
        ("[]", "malformed report"),
    ] {
        std::fs::write(&path, text).unwrap();
        let ran = audit(folder.path(), &["sites", &file]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""));
        assert!(ran.stderr.contains(says) && ran.stderr.contains(&file), "{}", ran.stderr);
    }
    assert_eq!(audit(folder.path(), &["sites", "Not An Id"]).exit, 4);
    let missing = audit(folder.path(), &["subgroups", "./nothing.json"]);
    assert!(missing.exit == 4 && missing.stderr.contains("nothing.json"), "{}", missing.stderr);
}
