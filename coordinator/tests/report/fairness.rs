//! How far subgroups lie apart in a report of made-up findings.

use crate::made_up::{context, findings, outputs, usual, with_small_cells};
use wardround::report::{Estimate, GapRow, Report, Verdict};
use wardround_learn::findings::{Findings, Interval};

fn gap<'a>(report: &'a Report, column: usize, name: &str) -> &'a GapRow {
    let gaps = &report.fairness[0].columns[column].gaps;
    gaps.iter().find(|gap| gap.name == name).expect("it is compared")
}

#[test]
fn gaps_are_the_shown_figures_largest_less_smallest() {
    let (_, report) = usual();
    let levels = &report.subgroups[0].columns[1].levels;
    let shown: Vec<(f64, &str)> = levels
        .iter()
        .filter_map(|row| Some((row.figures.sensitivity.value()?, row.level.as_str())))
        .collect();
    let largest = shown.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let smallest = shown.iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let row = gap(&report, 1, "equal_opportunity_difference");
    assert!((row.difference.value().unwrap() - (largest.0 - smallest.0)).abs() < 2e-6);
    assert!((row.ratio.value().unwrap() - smallest.0 / largest.0).abs() < 2e-6);
    assert_eq!((row.lowest.as_str(), row.highest.as_str()), (smallest.1, largest.1));
    assert_eq!(row.compared, shown.iter().map(|one| one.1).collect::<Vec<_>>());
    // Equalized odds are the larger of the two, with a wider interval than either's own.
    let specificity = gap(&report, 1, "specificity_difference");
    let odds = gap(&report, 1, "equalized_odds_difference");
    let larger = row.difference.value().unwrap().max(specificity.difference.value().unwrap());
    assert_eq!(odds.difference.value().unwrap(), larger);
    // What no row has isn't compared.
    let none = gap(&report, 1, "calibration_in_the_large_difference");
    assert!(none.compared.is_empty() && none.difference.value().is_none());
}

#[test]
fn a_gap_is_one_beyond_chance_in_every_output() {
    let (mut findings, _) = usual();
    // The second column's deals lie further apart than its levels.
    let metrics = &mut findings.targets[0].nested.judged.fairness[1].metrics;
    for (level, dealt) in metrics.iter_mut().flat_map(|one| one.dealt.iter_mut().enumerate()) {
        let far = 3.0 * level as f64;
        dealt.iter_mut().for_each(|value| *value = value.map(|value| value + far));
    }
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let gaps = || report.fairness[0].gaps();
    assert!(gaps().filter(|(column, _)| *column == "age").all(|(_, gap)| !gap.is_gap()));
    let mut found = 0;
    for (_, row) in gaps().filter(|(column, _)| *column == "sex") {
        // The made-up rows have few metrics.
        let Some([limit, mean, p]) = row.verdict.chance() else { continue };
        assert!(0.0 < mean && mean < limit && p > 0.0 && p <= 1.0);
        assert_eq!(row.is_gap(), row.difference.value().unwrap() > limit, "{}", row.name);
        found += usize::from(row.is_gap());
    }
    assert!(found > 0, "a gap in the first column");
    let [json, html, text] = outputs(&report);
    assert!(json.contains("\"verdict\": \"gap\"") && json.contains("\"verdict\": \"chance\""));
    assert!(html.contains("For whom it isn\u{2019}t") && text.contains("For whom it isn't"));
    let (_, first) = gaps().find(|(_, gap)| gap.is_gap()).unwrap();
    for output in [&html, &text.replace('\n', " ").replace("    ", " ")] {
        assert!(output.contains(first.words()), "{}", first.words());
    }
    assert!(html.contains("within chance") && html.contains(">a gap<"));
    let compared = gaps().filter(|(_, gap)| gap.verdict.chance().is_some()).count();
    assert!(compared > 12, "{compared}");
    assert!(html.contains(&format!("{found} of {compared} differences are gaps")), "{found}");
}

#[test]
fn levels_that_are_withheld_leave_no_trace() {
    let mut findings = findings(4, &with_small_cells());
    let build = |findings: &Findings| Report::build(findings, &context(findings)).unwrap();
    let before = build(&findings);
    let column = &before.fairness[0].columns[1];
    let hidden: Vec<usize> = before.subgroups[0].columns[1]
        .levels
        .iter()
        .enumerate()
        .filter(|(_, row)| row.figures.auc.value().is_none())
        .map(|(at, _)| at)
        .collect();
    assert!(hidden.len() >= 2 && column.not_judged.len() == hidden.len());
    assert_eq!(column.levels.len() + column.not_judged.len(), 4);
    for gap in &column.gaps {
        assert!(gap.compared.iter().all(|name| column.levels.iter().any(|one| one.level == *name)));
    }
    for metric in &mut findings.targets[0].nested.judged.fairness[1].metrics {
        for &at in &hidden {
            metric.errors[at] = Some(0.9);
            metric.dealt[at].fill(Some(123.0));
        }
    }
    assert_eq!(build(&findings), before);
    // Where calls are withheld, so is what follows from them.
    for gap in before.fairness[0].columns.iter().flat_map(|column| &column.gaps) {
        if gap.compared.len() < 2 {
            assert!(matches!(gap.difference, Estimate::Undefined { .. }), "{}", gap.name);
            assert_eq!(gap.verdict, Verdict::Unknown);
        }
    }
    assert!(before.to_text().contains("Not judged, withheld or nobody there"));
}

#[test]
fn intervals_of_levels_hold_for_all_at_once() {
    let (_, report) = usual();
    for column in &report.fairness[0].columns {
        for level in &column.levels {
            let auc = &level.figures[0].estimate;
            let [low, high] = auc.ends().expect("it has an error");
            // One level alone would have 1.96 errors of .02 to each side, about.
            assert!(high - low > 2.0 * 1.96 * 0.02, "{auc:?}");
            assert!(level.prevalence.value().is_some_and(|share| 0.1 < share && share < 0.6));
        }
    }
}

#[test]
fn without_draws_nothing_is_compared() {
    let (mut findings, _) = usual();
    findings.targets[0].nested.judged.fairness.clear();
    let report = Report::build(&findings, &context(&findings)).unwrap();
    assert!(report.fairness[0].columns.is_empty());
    let [_, html, text] = outputs(&report);
    assert!(html.contains("bootstrap = false") && text.contains("subgroups weren't compared"));
    // One column less than there are is a fault of the coordinator.
    let (mut findings, _) = usual();
    findings.targets[0].nested.judged.fairness.pop();
    assert!(Report::build(&findings, &context(&findings)).is_err());
}

#[test]
fn a_level_without_an_error_has_no_interval() {
    let (mut findings, _) = usual();
    for metric in &mut findings.targets[0].nested.judged.fairness[0].metrics {
        metric.errors[0] = None;
    }
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let row = gap(&report, 0, "roc_auc_difference");
    let none = matches!(row.difference, Estimate::Known { interval: Interval::NotComputed, .. });
    assert!(none, "{row:?}");
}
