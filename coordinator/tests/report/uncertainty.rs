//! Recalibration, conformal sets and abstention in a report of made-up findings.

use crate::made_up::{context, findings, outputs, unlike, usual, with_small_cells};
use wardround::report::{Estimate, OutlierSection, Report, SCHEMA};
use wardround_learn::metrics::recalibrate::Method;

#[test]
fn what_probabilities_are_worth_stands_in_every_output() {
    let (findings, report) = usual();
    let section = &report.uncertainty[0];
    assert_eq!(section.recalibrated.len(), 4);
    assert_eq!(section.recalibrated[1].ece.value(), Some(0.0511));
    let isotonic = section.recalibrated.iter().find(|one| one.method == Method::Isotonic).unwrap();
    assert!(
        matches!(&isotonic.brier, Estimate::Undefined { reason } if reason == "no positive rows")
    );
    // All rows, four sites, and the levels of both columns.
    let levels: usize = findings.subgroups.iter().map(|column| column.levels.len()).sum();
    assert_eq!(section.conformal.len(), 1 + 4 + levels);
    let all = &section.conformal[0];
    let counts = &findings.targets[0].nested.judged.uncertainty.conformal[0].all;
    let exact = counts.covered.iter().sum::<u64>() as f64 / counts.rows.iter().sum::<u64>() as f64;
    let shown = all.coverage.value().unwrap();
    assert!((shown - exact).abs() < 0.01, "{shown} {exact}");
    assert!(all.coverage.ends().is_some());
    // The made-up thresholds of their own call as the common one does.
    assert_eq!(section.own_thresholds.len(), 4);
    assert_eq!(section.own_thresholds[0].sensitivity, section.own_thresholds[0].own_sensitivity);
    let [json, html, text] = outputs(&report);
    assert!(json.contains("\"coverage_wanted\": 0.9"));
    assert!(html.contains("Conformal sets that shall hold the right class in 90 of 100"));
    assert!(html.contains(&format!("{shown:.3}")) && text.contains(&format!("{shown:.3}")));
    assert!(text.contains("recalibration takes the ECE from 0.051 to 0.051"));
}

#[test]
fn withheld_slices_have_no_rates_and_shown_ones_no_small_counts() {
    let findings = findings(4, &with_small_cells());
    let build = |findings: &_| Report::build(findings, &context(findings)).unwrap();
    let before = build(&findings);
    let hidden = &before.subgroups[0].columns[1].levels;
    let mut withheld = 0;
    for row in hidden.iter().filter(|row| row.figures.auc.value().is_none()) {
        let of = format!("age {}", row.level);
        let rates = before.uncertainty[0].conformal.iter().find(|one| one.of == of).unwrap();
        for rate in
            [&rates.coverage, &rates.coverage_negative, &rates.coverage_positive, &rates.both]
        {
            assert!(matches!(rate, Estimate::Withheld { .. }), "{of}: {rate}");
        }
        withheld += 1;
    }
    assert!(withheld >= 2);
    // One patient more or less that is covered at a site isn't seen: numbers go in steps of five.
    let at = |report: &Report| report.uncertainty[0].conformal[1].coverage.value().unwrap();
    let changed: Vec<f64> = (0..6)
        .map(|less| {
            let mut findings = findings.clone();
            findings.targets[0].nested.judged.uncertainty.conformal[0].by_site[0].covered[0] -=
                less;
            at(&build(&findings))
        })
        .collect();
    let distinct = changed.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(distinct <= 2, "{changed:?}");
}

#[test]
fn shares_of_outliers_stand_in_every_output_and_small_ones_are_withheld() {
    let (findings, before) = usual();
    assert_eq!(before.outliers, OutlierSection::NotAsked);
    let findings = unlike(findings);
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let OutlierSection::Measured { limit, limit_percentile, beyond, sites, .. } = &report.outliers
    else {
        panic!("{:?}", report.outliers)
    };
    // The last edge below which there is a new percent: the ninth bin's upper end, of squares.
    assert!((limit - 0.25f64.exp()).abs() < 1e-12, "{limit}");
    let far: u64 = findings.profile.by_site.iter().enumerate().fold(0, |sum, (at, cell)| {
        sum + if at + 1 == sites.len() { cell.rows() * 3 / 10 } else { cell.rows() / 50 }
    });
    let rows = findings.profile.all.rows();
    assert!((100.0 - limit_percentile - 100.0 * far as f64 / rows as f64).abs() < 1e-9);
    assert!((beyond.value().unwrap() - far as f64 / rows as f64).abs() < 0.01);
    let last = sites.last().unwrap();
    assert!((last.beyond.value().unwrap() - 0.3).abs() < 0.02, "{}", last.beyond);
    let [json, html, text] = outputs(&report);
    for output in [&html, &text] {
        let one_line = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains("Mahalanobis distance to the nearest class mean"), "{one_line}");
    }
    let shown = format!("{:.3}", last.beyond.value().unwrap());
    assert!(html.contains(&shown) && text.contains(&shown));
    let value = serde_json::from_str(&json).unwrap();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&value));

    // A copy has them in the order of the pseudonyms.
    let copy = report.with_sites_pseudonymised().unwrap();
    let OutlierSection::Measured { sites: of_copy, .. } = &copy.outliers else {
        panic!("measured")
    };
    assert!(of_copy.is_sorted_by(|a, b| a.site < b.site), "{of_copy:?}");
    let shares = |of: &[wardround::report::OutlierSite]| {
        let mut all: Vec<String> = of.iter().map(|one| one.beyond.to_string()).collect();
        all.sort();
        all
    };
    assert_eq!(shares(of_copy), shares(sites));

    // Fewer than five patients of a site are beyond: its share isn't shown.
    let mut few = findings.clone();
    let wardround_learn::findings::Outliers::Measured(measured) = &mut few.outliers else {
        panic!("measured")
    };
    measured.by_site[0][8] += measured.by_site[0][14] - 2;
    measured.by_site[0][14] = 2;
    let report = Report::build(&few, &context(&few)).unwrap();
    let OutlierSection::Measured { sites, .. } = &report.outliers else { panic!("measured") };
    assert!(matches!(sites[0].beyond, Estimate::Withheld { .. }), "{}", sites[0].beyond);
}
