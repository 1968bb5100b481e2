//! Levels at each site and intersections in a report of made-up findings.

use std::collections::BTreeMap;

use crate::made_up::{
    Patient, context, findings, outputs, patients, with_crossed, with_small_cells,
};
use serde::Deserialize;
use serde_json::Value;
use wardround::report::{
    CrossedCell, CrossedKind, CrossedTable, Estimate, GapRow, Report, SCHEMA, SliceKind,
};
use wardround_learn::findings::Findings;
use wardround_privacy::policy::{Consent, MinimumPatients};

fn usual() -> (Findings, Report) {
    let patients = patients(4, 420);
    let findings = with_crossed(findings(4, &patients), &patients);
    let report = Report::build(&findings, &context(&findings)).expect("consistent findings");
    (findings, report)
}

fn tables(report: &Report) -> &[CrossedTable] {
    &report.fairness[0].crossed
}

fn value(cell: &CrossedCell, metric: &str) -> Option<f64> {
    let found = cell.figures.iter().find(|named| named.name == metric);
    found.expect("every cell has every metric").estimate.value()
}

fn gap<'a>(gaps: &'a [GapRow], name: &str) -> &'a GapRow {
    gaps.iter().find(|gap| gap.name == name).expect("it is compared")
}

#[derive(Deserialize)]
struct Golden {
    rows: Vec<(usize, usize, usize, u8, f64)>,
    #[serde(rename = "sex and age")]
    sex_and_age: Frame,
    #[serde(rename = "sex at site")]
    sex_at_site: Vec<Frame>,
}

/// A MetricFrame.
#[derive(Deserialize)]
struct Frame {
    by_group: BTreeMap<String, BTreeMap<String, f64>>,
    difference: BTreeMap<String, f64>,
    ratio: BTreeMap<String, f64>,
    equalized_odds_difference: f64,
}

/// What a metric's gap is called.
const GAPS: [(&str, &str); 4] = [
    ("roc_auc_score", "roc_auc_difference"),
    ("sensitivity", "equal_opportunity_difference"),
    ("specificity", "specificity_difference"),
    ("selection_rate", "demographic_parity_difference"),
];

#[test]
fn cells_and_gaps_are_fairlearns() {
    let golden: Golden = serde_json::from_str(include_str!("golden/crossed.json")).unwrap();
    let patients: Vec<Patient> = (golden.rows.iter())
        .map(|&(site, sex, age, label, score)| Patient {
            site,
            levels: [sex, age],
            positive: label == 1,
            scores: vec![score],
        })
        .collect();
    let findings = with_crossed(findings(3, &patients), &patients);
    let mut context = context(&findings);
    // Steps of one patient.
    for site in &mut context.sites {
        site.policy.minimum_cell = MinimumPatients::new(1);
        site.policy.minimum_per_class_for_slice = MinimumPatients::new(1);
    }
    let report = Report::build(&findings, &context).unwrap();
    let [sex_at_site, _, both] = tables(&report) else { panic!("three tables") };
    let mut compared = 0;
    let mut held_to = |frame: &Frame, cells: &[(String, &CrossedCell)], gaps: &[GapRow]| {
        assert_eq!(cells.len(), frame.by_group.len());
        for (name, cell) in cells {
            for (metric, expected) in &frame.by_group[name] {
                let got = value(cell, metric).unwrap();
                // An AUC is rounded to more than half a pair.
                let within = if metric == "roc_auc_score" { 0.0051 } else { 6e-4 };
                assert!((got - expected).abs() < within, "{name} {metric}: {got} {expected}");
                compared += 1;
            }
        }
        for (metric, name) in GAPS {
            let (row, auc) = (gap(gaps, name), metric == "roc_auc_score");
            let within = if auc { 0.0102 } else { 6e-4 };
            let apart = row.difference.value().unwrap() - frame.difference[metric];
            assert!(apart.abs() < within, "{name}: {row:?}");
            let apart = row.ratio.value().unwrap() - frame.ratio[metric];
            assert!(apart.abs() < 2.0 * within, "{name}: {row:?}");
        }
        let odds = gap(gaps, "equalized_odds_difference").difference.value().unwrap();
        assert!((odds - frame.equalized_odds_difference).abs() < 6e-4);
    };
    let number = |names: &[String], level: &str| {
        names.iter().position(|name| name == level).unwrap().to_string()
    };
    let [sexes, ages] = [0, 1].map(|column: usize| &findings.subgroups[column].levels);
    let named: Vec<(String, &CrossedCell)> = (both.cells.iter())
        .map(|cell| (format!("{} {}", number(sexes, &cell.of), number(ages, &cell.level)), cell))
        .collect();
    held_to(&golden.sex_and_age, &named, &both.compared[0].gaps);
    for (frame, gaps) in golden.sex_at_site.iter().zip(&sex_at_site.compared) {
        let of_site = sex_at_site.cells.iter().filter(|cell| cell.of == gaps.of);
        let named: Vec<(String, &CrossedCell)> =
            of_site.map(|cell| (number(sexes, &cell.level), cell)).collect();
        held_to(frame, &named, &gaps.gaps);
    }
    assert_eq!(compared, (6 + 3 * 2) * 4);
}

#[test]
fn every_output_has_the_tables_and_no_counts() {
    let (_, report) = usual();
    let kinds: Vec<CrossedKind> = tables(&report).iter().map(|table| table.kind).collect();
    assert_eq!(kinds, [CrossedKind::BySite, CrossedKind::BySite, CrossedKind::Intersection]);
    let [json, html, text] = outputs(&report);
    let json: Value = serde_json::from_str(&json).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let table = &json["fairness"][0]["crossed"][2];
    assert!(!table.to_string().contains("patients") && !table.to_string().contains("images"));
    for table in tables(&report) {
        let words = table.words();
        assert!(html.contains(&format!("By {words}")) && text.contains(&words), "{words}");
        assert!(table.cells.len() > 4, "{table:?}");
        let (worst, auc) = table.worst().unwrap();
        let line = format!("{words}: the smallest AUC is {auc}, {}", worst.words());
        let line = line.replace('<', "&lt;");
        assert!(html.contains(&line), "{line}");
        for cell in &table.cells {
            assert!(value(cell, "roc_auc_score").unwrap() >= auc.value().unwrap());
        }
    }
    assert!(html.contains("over all sites and at each") && html.contains("by chance up to"));
    let figures = report.figures();
    let of_cells = figures.iter().filter(|one| one.slice.kind == SliceKind::Cell).count();
    let cells: usize = tables(&report).iter().map(|table| table.cells.len()).sum();
    assert_eq!(of_cells, cells * 5);
    let csv = report.to_csv();
    let of = |name: &str| {
        let file = csv.iter().find(|file| file.name == name).unwrap();
        String::from_utf8(file.bytes.clone()).unwrap()
    };
    assert!(of("figures.csv").contains("cell,sex x age,"));
    assert!(of("gaps.csv").contains("\"site x sex, at "));
}

#[test]
fn a_copy_has_its_sites_in_order() {
    let (_, report) = usual();
    let copy = report.with_sites_pseudonymised().unwrap();
    let [before, after] = [&report, &copy].map(|report| &tables(report)[0]);
    let sites: Vec<&str> = after.cells.iter().map(|cell| cell.of.as_str()).collect();
    assert!(sites.is_sorted() && sites[0] == "at site-1", "{sites:?}");
    assert!(after.compared.iter().map(|one| &one.of).is_sorted());
    // The same figures, in another order.
    let told = |table: &CrossedTable| -> Vec<String> {
        let mut all: Vec<String> =
            table.cells.iter().map(|cell| format!("{} {:?}", cell.level, cell.figures)).collect();
        all.sort();
        all
    };
    assert_eq!(told(before), told(after));
}

/// The rules of ACRO/SACRO on what is shown: threshold, class disclosure, and no cell of few that can be subtracted.
#[test]
fn shown_cells_keep_to_the_rules() {
    let patients = with_small_cells();
    let findings = with_crossed(findings(4, &patients), &patients);
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let judged = &findings.targets[0].nested.judged;
    for (table, found) in tables(&report).iter().zip(&judged.crossed) {
        let rows: Vec<String> = match table.kind {
            CrossedKind::BySite => findings.sites.iter().map(|site| format!("at {site}")).collect(),
            CrossedKind::Intersection => findings.subgroups[0].levels.clone(),
        };
        let levels = &findings.subgroups[usize::from(found.column)].levels;
        assert_eq!(table.cells.len() + table.not_judged.len(), rows.len() * levels.len());
        for cell in &table.cells {
            let i = rows.iter().position(|row| *row == cell.of).unwrap();
            let j = levels.iter().position(|level| *level == cell.level).unwrap();
            let [negative, positive] = found.cells[i][j].patients;
            assert!(negative >= 10 && positive >= 10, "{cell:?}");
            for (metric, of) in [
                ("sensitivity", positive),
                ("specificity", negative),
                ("selection_rate", negative + positive),
            ] {
                let Some(rate) = value(cell, metric) else { continue };
                // Neither of nobody nor of everybody, and the same for any count up to two away.
                assert!(rate > 0.0 && rate < 1.0);
                let whole = (of + 2) / 5 * 5;
                let near = (-1i64..=1).map(|more| (whole as i64 + 5 * more) as f64);
                let in_steps = near
                    .into_iter()
                    .any(|of| ((rate * of / 5.0).round() * 5.0 / of - rate).abs() < 6e-4);
                assert!(in_steps, "{metric} {rate} of {of}");
            }
            let auc = value(cell, "roc_auc_score").unwrap();
            let rows = found.cells[i][j].rows;
            let half_pair = 0.5 / (rows[0] * rows[1]) as f64;
            let decimals = format!("{auc}").len() - 2;
            assert!(0.1f64.powi(decimals as i32) > half_pair, "{auc} of {rows:?}");
        }
    }
}

/// Whatever the hidden cells hold, the report is the same but for its margins: nothing of them is in it.
#[test]
fn hidden_cells_leave_no_trace() {
    let patients = with_small_cells();
    let mut findings = with_crossed(findings(4, &patients), &patients);
    let before = Report::build(&findings, &context(&findings)).unwrap();
    let mut hidden = 0;
    for at in 0..3 {
        let table = tables(&before)[at].clone();
        let levels = findings.subgroups
            [usize::from(findings.targets[0].nested.judged.crossed[at].column)]
        .levels
        .clone();
        let rows: Vec<String> = match table.kind {
            CrossedKind::BySite => findings.sites.iter().map(|site| format!("at {site}")).collect(),
            CrossedKind::Intersection => findings.subgroups[0].levels.clone(),
        };
        let found = &mut findings.targets[0].nested.judged.crossed[at];
        for one in &table.not_judged {
            let i = rows.iter().position(|row| *row == one.of).unwrap();
            let j = levels.iter().position(|level| *level == one.level).unwrap();
            let cell = &mut found.cells[i][j];
            cell.auc = crate::made_up::known(0.123, 0.01);
            cell.sensitivity = crate::made_up::known(0.456, 0.01);
            for metric in &mut found.spread.metrics {
                metric.errors[i * levels.len() + j] = Some(0.77);
                metric.dealt[i * levels.len() + j].fill(Some(99.0));
            }
            hidden += 1;
        }
    }
    assert!(hidden > 6);
    assert_eq!(Report::build(&findings, &context(&findings)).unwrap(), before);
    assert!(before.to_text().contains("- not judged: "));
    assert!(before.to_html().contains("cells not judged"));
}

#[test]
fn a_site_that_refuses_has_no_cells() {
    let (findings, _) = usual();
    let mut context = context(&findings);
    context.sites[1].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&findings, &context).unwrap();
    for table in tables(&report).iter().filter(|table| table.kind == CrossedKind::BySite) {
        let site = format!("at {}", findings.sites[1]);
        assert!(table.cells.iter().all(|cell| cell.of != site));
        let why = table.not_judged.iter().filter(|one| one.of == site);
        assert!(why.clone().count() > 1);
        assert!({ why }.any(|one| one.why.contains("owner doesn't release")), "{table:?}");
    }
}

#[test]
fn sites_and_all_sites_may_disagree() {
    let (mut findings, _) = usual();
    // Over all sites nothing is beyond chance; at the second site everything is.
    let judged = &mut findings.targets[0].nested.judged;
    for metric in judged.fairness.iter_mut().flat_map(|column| &mut column.metrics) {
        for (level, dealt) in metric.dealt.iter_mut().enumerate() {
            dealt.fill(Some(3.0 * level as f64));
        }
    }
    let levels = findings.subgroups[0].levels.len();
    for metric in &mut judged.crossed[0].spread.metrics {
        metric.dealt[levels..2 * levels].iter_mut().for_each(|dealt| dealt.fill(Some(0.5)));
    }
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let site = format!("sex, at {}: ", findings.sites[1]);
    let text = report.to_html();
    assert!(text.contains("Where sites and all sites together disagree"));
    let line: String = text[text.find(&site).unwrap()..].chars().take(200).collect();
    assert!(line.contains("beyond chance; over all sites it is within chance"), "{line}");
    // Tables of another size are a fault of the coordinator.
    findings.targets[0].nested.judged.crossed[1].cells[0].pop();
    assert!(Report::build(&findings, &context(&findings)).is_err());
    let withheld = |estimate: &Estimate| matches!(estimate, Estimate::Withheld { .. });
    assert!(!tables(&report)[0].cells.iter().any(|cell| withheld(&cell.figures[0].estimate)));
}
