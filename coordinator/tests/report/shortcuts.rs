//! Shortcuts and shift between sites: verdicts, and what is withheld.

use crate::made_up::{context, findings, followed, outputs, patients, with_small_cells};
use serde_json::Value;
use wardround::report::{
    Report, SCHEMA, ShiftSection, ShortcutColumn, ShortcutFound, ShortcutsSection, ShownDistance,
};
use wardround_learn::findings::{Shift, Shortcuts};
use wardround_privacy::policy::Consent;

fn columns(report: &Report) -> &[ShortcutColumn] {
    let ShortcutsSection::Asked { columns, .. } = &report.shortcuts else { panic!("asked for") };
    columns
}

fn auc(found: &ShortcutFound) -> Option<f64> {
    let ShortcutFound::Judged { auc, .. } = found else { return None };
    auc.value()
}

#[test]
fn a_score_that_follows_a_level_stands_on_the_first_screen_and_no_other() {
    let findings = followed(findings(4, &patients(4, 160)));
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let [json, page, text] = outputs(&report);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::validate(&schema, &serde_json::from_str(&json).unwrap()).unwrap();
    assert_eq!(Report::from_json(&json).unwrap(), report);
    let [site, sex, ..] = columns(&report) else { panic!("{:?}", columns(&report)) };
    assert_eq!((site.name.as_str(), sex.name.as_str()), ("site", "sex"));
    let ShortcutFound::Judged { auc, follows } = &sex.levels[0].found else { panic!() };
    assert_eq!(auc.value(), Some(0.83));
    let [negatives, positives] = [&follows[0].among_negatives, &follows[0].among_positives];
    assert!(positives.follows() && !negatives.follows());
    assert_eq!(negatives.p, Some(1.0));
    let said = "the score for mel tells it with AUC 0.700 among those with mel";
    for output in [&page, &text.replace("\n  ", " ")] {
        let one_line = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains("Possible shortcut: "));
        assert!(one_line.contains(said), "{one_line}");
        assert!(!one_line.contains("Possible shortcut: site"));
    }
    assert_eq!(sex.levels[1].found, ShortcutFound::Rest);
    let csv = report.to_csv();
    let table = csv.iter().find(|file| file.name == "shortcuts.csv").unwrap();
    let table = String::from_utf8(table.bytes.clone()).unwrap();
    let level = &sex.levels[0].of;
    assert!(table.contains(&format!("sex,{level},score,mel,with,0.7,0.68,0.72,known,,0")));
}

#[test]
fn a_study_that_didnt_look_says_nothing_of_shortcuts() {
    let findings = findings(4, &patients(4, 160));
    assert!(findings.shortcuts == Shortcuts::NotAsked && findings.shift == Shift::NotAsked);
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let [_, page, text] = outputs(&report);
    assert!(!page.contains("id=\"shortcuts\"") && !page.contains("href=\"#shortcuts\""));
    assert!(!text.contains("shortcut"));
}

#[test]
fn small_levels_and_those_that_hide_them_have_no_figure() {
    let findings = followed(findings(4, &with_small_cells()));
    let report = Report::build(&findings, &context(&findings)).unwrap();
    for (section, column) in report.cohort.subgroups.iter().zip(&columns(&report)[1..]) {
        for (cohort, row) in section.levels.iter().zip(&column.levels) {
            if cohort.cell.patients.number().is_none() {
                assert_eq!(auc(&row.found), None, "{} {}", column.name, row.of);
            }
            let ShortcutFound::Judged { follows, .. } = &row.found else { continue };
            if cohort.cell.patients_by_class.iter().any(|count| count.number().is_none()) {
                for (_, one) in follows.iter().flat_map(|follow| follow.both()) {
                    assert_eq!((one.auc.value(), one.p), (None, None));
                }
            }
        }
    }
}

#[test]
fn a_site_whose_owner_refuses_has_no_figure_and_none_follows() {
    let findings = followed(findings(4, &patients(4, 160)));
    let mut context = context(&findings);
    context.sites[1].policy.per_site_metrics = Consent::Refused;
    let refused = context.sites[1].site.clone();
    let report = Report::build(&findings, &context).unwrap();
    for row in &columns(&report)[0].levels {
        assert_eq!(auc(&row.found).is_none(), row.of == refused.as_str());
    }
    let ShiftSection::Known { sites, pairs, .. } = &report.shift else { panic!("known") };
    // All others together hold the site that refuses.
    let hidden = |distance: &ShownDistance| matches!(distance, ShownDistance::Withheld { .. });
    assert!(sites.iter().all(|row| hidden(&row.features)));
    for (row, one) in pairs.iter().enumerate() {
        for (column, distance) in one.distances.iter().enumerate() {
            assert_eq!(distance.value().is_none(), [row, column].contains(&1));
        }
    }
    // Distances are the same both ways.
    assert_eq!(pairs[0].distances[3], pairs[3].distances[0]);
}
