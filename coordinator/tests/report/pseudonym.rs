//! Copies of a report in which no site has its name.

use std::collections::BTreeMap;

use crate::made_up::{compared, context, findings, followed, joined, outputs, patients};
use serde_json::{Value, json};
use wardround::report::{Edition, MatrixModels, MatrixSection, Report, SCHEMA, ShownDigest};
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::study::StudySites;
use wardround_learn::findings::{RaceOf, RaceResult, Races, StoppedTrees, TreeCounts, Trial};

/// Ids that stand in a report of [`everything`].
const SITES: [&str; 5] = ["rosendahl", "vidir_modern", "vidir_molemax", "vienna_dias", "lost"];

/// A report with everything in it that can name a site.
fn everything() -> Report {
    let mut findings = compared(followed(joined(findings(4, &patients(4, 160)))));
    let points = findings.grid.len();
    let trial = Trial {
        folds: 5,
        auc: wardround_learn::findings::Figure::Undefined {
            reason: "none of vidir_modern is in it".into(),
        },
    };
    let race = |site| RaceResult { of: RaceOf::Site { site }, trials: vec![trial.clone(); points] };
    findings.targets[0].races = Races::Halved { eta: 3, races: (0..4).map(race).collect() };
    let stopped = StoppedTrees { folds: vec![30], left_out: vec![101, 102, 103, 104], all: 40 };
    findings.targets[0].trees = TreeCounts::Stopped { points: vec![stopped; points] };
    findings.subgroups[0].levels[0] = "Vienna DIAS".into();
    let mut context = context(&findings);
    context.study.cohort.sites = StudySites::Named(findings.sites.to_vec());
    context.study.name = "Melanoma at ROSENDAHL's and vidir modern, not at vidir_molemax".into();
    context.attempts[0].reason = "lost said nothing for 600 s (rosendahl, vienna_dias did)".into();
    context.reports[0].name = "made without vidir_modern".into();
    Report::build(&findings, &context).unwrap()
}

fn copy_of(report: &Report) -> Report {
    report.with_sites_pseudonymised().unwrap()
}

/// Each site's new name, by a figure that no two sites share.
fn new_names(report: &Report, copy: &Report) -> BTreeMap<String, String> {
    let rows = |of: &Report| -> Vec<(String, String)> {
        let rows = of.cohort.sites.iter();
        rows.map(|row| (serde_json::to_string(&row.cell).unwrap(), row.site.to_string())).collect()
    };
    let new: BTreeMap<_, _> = rows(copy).into_iter().collect();
    rows(report).into_iter().map(|(cell, old)| (old, new[&cell].clone())).collect()
}

#[test]
fn no_output_has_a_sites_name() {
    let report = everything();
    let with_names = outputs(&report);
    let copy = copy_of(&report);
    for (output, with_names) in outputs(&copy).iter().zip(&with_names) {
        let lower = output.to_lowercase().replace(' ', "_");
        for site in SITES {
            assert!(with_names.to_lowercase().contains(site) || site == "lost", "{site}");
            assert!(!lower.replace("_lost_", "_").contains(&format!("{site}_")), "{site}");
            // The word alone is a field's name, and a heading.
            assert!(site == "lost" || !lower.contains(site), "{site}");
        }
        let telling = [
            report.study.digest.to_string(),
            report.digests.bundle.to_string(),
            report.digests.journal_head.to_string(),
            report.cohort.sites[2].lock.to_string(),
            report.rounds.rounds[0].query.short(),
            "avx2".to_owned(),
        ];
        for telling in telling {
            assert!(with_names.contains(&telling) || with_names.len() < 20_000, "{telling}");
            assert!(!output.contains(&telling), "{telling}");
        }
    }
    assert!(outputs(&copy).iter().all(|output| output.contains("site-5")));
    assert_eq!(copy.study.name, {
        let name = new_names(&report, &copy);
        let [a, b, c] = ["rosendahl", "vidir_modern", "vidir_molemax"].map(|old| &name[old]);
        format!("Melanoma at {a}'s and {b}, not at {c}")
    });
}

#[test]
fn a_copy_says_that_it_is_one() {
    let report = everything();
    let copy = copy_of(&report);
    let [json, html, text] = outputs(&copy);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["edition"], "pseudonymised-sites");
    let first = html.split("<main>").next().unwrap();
    assert!(first.contains("Pseudonymised copy") && text.contains("Pseudonymised copy"));
    assert!(outputs(&report).iter().all(|output| !output.to_lowercase().contains("pseudonymised")));
    // It is read as a report is, and keeps to the schema.
    assert_eq!(Report::from_json(&json).unwrap(), copy);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(copy_of(&copy).edition, Edition::PseudonymisedSites);
}

#[test]
fn figures_stay_with_their_sites() {
    let report = everything();
    let copy = copy_of(&report);
    let names = new_names(&report, &copy);
    assert_eq!(names.len(), 4);
    let new = |site: &SiteId| names[site.as_str()].clone();
    for row in &report.sites[0].sites {
        let same = copy.sites[0].sites.iter().find(|one| one.site.as_str() == new(&row.site));
        assert_eq!(same.unwrap().figures.auc, row.figures.auc);
    }
    for row in &report.leave_one_site_out[0].sites {
        let rows = &copy.leave_one_site_out[0].sites;
        let same = rows.iter().find(|one| one.site.as_str() == new(&row.site)).unwrap();
        assert_eq!((&same.figures.auc, &same.auc_by_point), (&row.figures.auc, &row.auc_by_point));
    }
    let MatrixSection::Asked { classes, .. } = &report.matrix else { panic!("asked") };
    let MatrixSection::Asked { classes: copied, .. } = &copy.matrix else { panic!("asked") };
    for row in &classes[0].rows {
        let words = row.trained_on.words();
        let words = names.get(&words).cloned().unwrap_or(words);
        let same = copied[0].rows.iter().find(|one| one.trained_on.words() == words).unwrap();
        let (MatrixModels::Judged { auc }, MatrixModels::Judged { auc: other }) =
            (&row.models, &same.models)
        else {
            assert_eq!(row.models, same.models);
            continue;
        };
        for (site, auc) in classes[0].judged_at.iter().zip(auc) {
            let at = copied[0].judged_at.iter().position(|one| one.as_str() == new(site)).unwrap();
            assert_eq!(&other[at], auc, "{words} at {site}");
        }
    }
    let (TreeCounts::Stopped { points }, TreeCounts::Stopped { points: copied }) =
        (&report.models[0].trees, &copy.models[0].trees)
    else {
        panic!("they stopped")
    };
    for (row, count) in report.cohort.sites.iter().zip(&points[0].left_out) {
        let at = copy.cohort.sites.iter().position(|one| one.site.as_str() == new(&row.site));
        assert_eq!(copied[0].left_out[at.unwrap()], *count);
    }
}

#[test]
fn rows_are_in_the_order_of_numbers_which_isnt_the_alphabets() {
    let report = everything();
    let copy = copy_of(&report);
    let value = serde_json::to_value(&copy).unwrap();
    let mut lists = 0;
    // Wherever two pseudonyms follow each other in a list, the lower number comes first.
    let mut stack = vec![&value];
    while let Some(value) = stack.pop() {
        match value {
            Value::Array(items) => {
                let of_item = |item: &Value| {
                    let named = ["site", "model", "of"].iter().find_map(|key| item[key].as_str());
                    let text = item.as_str().or(named)?;
                    text.split(' ').find_map(|word| word.strip_prefix("site-")?.parse::<u32>().ok())
                };
                let numbers: Vec<u32> = items.iter().filter_map(of_item).collect();
                if numbers.len() == items.len() && items.len() >= 4 {
                    assert!(numbers.is_sorted(), "{items:?}");
                    lists += 1;
                }
                stack.extend(items);
            }
            Value::Object(fields) => stack.extend(fields.values()),
            _ => {}
        }
    }
    assert!(lists >= 12, "{lists}");
    assert_eq!(copy.study.parsed["cohort"]["sites"]["named"].as_array().unwrap().len(), 4);
    let names = new_names(&report, &copy);
    // By the alphabet of old names, the numbers aren't sorted; another study deals others.
    assert!(!names.values().is_sorted(), "{names:?}");
    let mut other = report.clone();
    other.study.digest = Digest::of(b"another study").into();
    assert_ne!(new_names(&other, &copy_of(&other)), names);
    assert_eq!(copy_of(&report), copy);
    let lists_in_texts = &copy.attempts[0].reason;
    let listed: Vec<&str> = lists_in_texts.split(['(', ')']).nth(1).unwrap().split(' ').collect();
    assert!(listed[0].trim_end_matches(',') < listed[1], "{lists_in_texts}");
}

#[test]
fn sites_that_are_called_like_words_of_the_format_or_like_pseudonyms() {
    let mut findings = findings(4, &patients(4, 160));
    let names = ["all-sites", "empty", "known", "site-3"];
    findings.sites = names.map(|name| SiteId::parse(name).unwrap()).into();
    let mut context = context(&findings);
    for (site, name) in context.sites.iter_mut().zip(names) {
        site.lock = Digest::of(name.as_bytes());
    }
    let report = Report::build(&findings, &context).unwrap();
    let copy = copy_of(&report);
    let mut sites: Vec<&str> = copy.cohort.sites.iter().map(|row| row.site.as_str()).collect();
    sites.sort_unstable();
    // Five with the lost one; none is called like another was.
    assert!(sites.iter().all(|name| name.starts_with("the-site-")), "{sites:?}");
    assert_eq!(copy.pooled, report.pooled);
    assert_eq!(copy.study.digest, ShownDigest::LEFT_OUT);
    assert_eq!(json!(copy.study.digest), "left-out");
}
