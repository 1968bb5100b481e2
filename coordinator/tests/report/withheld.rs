//! What a report of made-up findings withholds, and what follows from it must be withheld with it.

use crate::made_up::{context, findings, heart, known, outputs, patients, usual, with_small_cells};
use wardround::report::{Count, Curve, Estimate, FigureRow, Report};
use wardround_learn::findings::{Figure, Findings, ProfileCell};
use wardround_privacy::policy::{Consent, MinimumPatients};
use wardround_privacy::suppress::Reason;

#[test]
fn no_suppressed_count_or_figure_appears_anywhere() {
    let mut findings = findings(4, &with_small_cells());
    // Numbers that give themselves away: images of a small cell, figures of a small slice.
    findings.profile.by_site_and_subgroup[0][0][1].rows_by_class = vec![770_117, 880_331];
    let unknown = &mut findings.targets[0].nested.judged.by_subgroup[1][3];
    assert!(unknown.patients.iter().all(|&n| n < 5));
    unknown.rows = [660_107, 550_127];
    unknown.confusion = [440_131, 330_017, 440_177, 220_019];
    unknown.auc = known(0.993_757, 0.000_1);
    unknown.sensitivity = known(0.987_131, 0.000_1);
    unknown.brier = Figure::Undefined { reason: "telltale".into() };
    unknown.roc = vec![[0.0, 0.0], [0.135_791, 0.246_813], [1.0, 1.0]];
    let report = Report::build(&findings, &context(&findings)).unwrap();
    for output in outputs(&report) {
        let output = output.replace(',', "");
        for telltale in [
            "770117", "880331", "1650448", "660107", "550127", "440131", "330017", "440177",
            "220019", "0.993757", "0.994", "0.987", "telltale", "0.135791", "0.246813",
        ] {
            assert!(!output.contains(telltale), "{telltale}");
        }
    }
    let age = &report.subgroups[0].columns[1].levels;
    let withheld = Estimate::Withheld { reason: Reason::SmallSlice };
    assert_eq!(age[3].figures.auc, withheld);
    assert_eq!(age[3].figures.roc, Curve::Withheld { reason: Reason::SmallSlice });
    // It doesn't stand alone, and it is listed.
    assert!(age[..3].iter().any(|row| row.figures.auc == withheld));
    assert!(report.to_text().contains("age unknown"));
    let cell = &report.cohort.sites[0].subgroups[0][1];
    assert_eq!(cell.patients, Count::Withheld(Reason::SmallCell));
    assert_eq!(cell.images, Count::Withheld(Reason::SmallCell));
}

/// In every row and column of every table of the cohort, at least two are withheld or none.
#[test]
fn no_withheld_count_is_its_margin_less_the_others() {
    let findings = findings(4, &with_small_cells());
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let hidden = |count: Count| matches!(count, Count::Withheld(reason) if reason != Reason::Empty);
    let mut withheld = 0;
    for (at, column) in report.cohort.subgroups.iter().enumerate() {
        let mut lines: Vec<Vec<Count>> = Vec::new();
        for site in &report.cohort.sites {
            let cells = site.subgroups[at].iter().map(|cell| cell.patients);
            lines.push(cells.chain([site.cell.patients]).collect());
        }
        for (level, total) in column.levels.iter().enumerate() {
            let cells = report.cohort.sites.iter().map(|site| site.subgroups[at][level].patients);
            lines.push(cells.chain([total.cell.patients]).collect());
        }
        let totals = column.levels.iter().map(|level| level.cell.patients);
        lines.push(totals.chain([report.cohort.all.patients]).collect());
        for line in lines {
            let count = line.iter().filter(|count| hidden(**count)).count();
            assert_ne!(count, 1, "{line:?}");
            withheld += count;
        }
    }
    assert!(withheld >= 8, "{withheld}");
    // Nothing small is shown.
    let small = |cell: &ProfileCell| cell.patients_by_class.iter().any(|&n| n < 5);
    for (site, shown) in findings.profile.by_site_and_subgroup.iter().zip(&report.cohort.sites) {
        for (cell, shown) in site.iter().flatten().zip(shown.subgroups.iter().flatten()) {
            assert!(
                !small(cell)
                    || shown.patients_by_class.iter().all(|n| matches!(n, Count::Withheld(_)))
            );
        }
    }
}

#[test]
fn a_small_site_takes_one_more_and_nothing_else() {
    let findings = findings(4, &heart());
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let nested: Vec<_> = report.sites[0].sites.iter().map(|row| &row.figures).collect();
    let left_out: Vec<_> =
        report.leave_one_site_out[0].sites.iter().map(|row| &row.figures).collect();
    for rows in [nested, left_out] {
        for (at, row) in rows.into_iter().enumerate() {
            let shown = at < 2;
            for figure in [&row.auc, &row.sensitivity, &row.specificity, &row.brier, &row.ece] {
                assert_eq!(figure.value().is_some(), shown, "{at} {figure}");
            }
            for count in [row.patients.negative, row.images.positive, row.confusion.true_negatives]
            {
                assert_eq!(matches!(count, Count::Shown(_)), shown, "{at}");
            }
            assert_eq!(row.roc.points().is_empty(), !shown);
        }
    }
    let totals = report.cohort.sites.iter().map(|site| site.cell.patients);
    assert_eq!(totals.collect::<Vec<_>>(), [303, 261, 46, 130].map(Count::Shown));
    for level in report.subgroups[0].columns.iter().flat_map(|column| &column.levels) {
        let nobody = level.figures.auc == Estimate::Withheld { reason: Reason::Empty };
        assert_eq!(nobody, level.figures.auc.value().is_none(), "{}", level.level);
    }
    // One note for all of it.
    let text = report.to_text();
    let notes: Vec<&str> = text.lines().filter(|line| line.starts_with("  - ")).collect();
    let small: Vec<&&str> = notes.iter().filter(|line| line.contains("at vidir_molemax")).collect();
    assert_eq!(small.len(), 1, "{notes:?}");
    assert!(small[0].contains("at vidir_molemax, at vienna_dias, left out: vidir_molemax"));
}

/// The third site's one patient of 46 without disease: whoever knows the figures of all sites can
/// tell it from no other number of the 30 that two sites hold together.
#[test]
fn figures_of_all_sites_do_not_tell_hidden_counts() {
    let mut findings = findings(4, &heart());
    // As counted: all pairs of the shown sites, a share of the others'.
    let pairs = |x: f64| [164.0 * 139.0, 163.0 * 98.0, x * (46.0 - x), (30.0 - x) * (100.0 + x)];
    let total: f64 = pairs(1.0).iter().sum();
    let won = (0.861 * total * 2.0).round() / 2.0;
    findings.targets[0].nested.judged.auc_within_sites = known(won / total, 0.03);
    findings.targets[0].used_for_choosing[0].auc_within_sites = known((won - 7.5) / total, 0.03);
    let site_only = |x: u64| {
        let counts = [[164, 139], [163, 98], [x, 46 - x], [30 - x, 100 + x]];
        wardround_learn::metrics::ranking::site_only_auc(&counts).unwrap()
    };
    findings.targets[0].site_only_auc = known(site_only(1), 0.0);
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let pooled = &report.pooled[0];
    let aucs = [&pooled.auc_within_sites, &report.models[0].used_for_choosing[0].auc_within_sites];
    for auc in aucs.map(|auc| auc.value().unwrap()) {
        let decimals = format!("{auc}").len() - 2;
        let half = 0.5 * 0.1f64.powi(decimals as i32);
        for x in 0..=30 {
            let total: f64 = pairs(f64::from(x)).iter().sum();
            let halves = ((auc + half) * total * 2.0).floor() - ((auc - half) * total * 2.0).ceil();
            assert!(halves >= 1.0, "{x} is ruled out by {auc}");
        }
    }
    let shown = pooled.auc_site_only.value().unwrap();
    let together =
        wardround_learn::metrics::ranking::site_only_auc(&[[164, 139], [163, 98], [30, 146]]);
    assert!((shown - together.unwrap()).abs() < 1e-6 && (shown - site_only(1)).abs() > 1e-4);
    assert!(report.to_html().contains("withheld are taken as one"));
}

#[test]
fn rates_of_none_and_all_are_cells() {
    let mut findings = findings(4, &patients(4, 160));
    let figures = &mut findings.targets[0].nested.judged.by_site[1];
    let positives = figures.rows[1];
    figures.confusion[0] = positives;
    figures.confusion[3] = 0;
    figures.sensitivity = known(1.0, 0.0);
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let rows = &report.sites[0].sites;
    let withheld = Estimate::Withheld { reason: Reason::SmallCell };
    assert_eq!(rows[1].figures.sensitivity, withheld);
    assert_eq!(rows[1].figures.confusion.false_negatives, Count::Withheld(Reason::SmallCell));
    let others = rows.iter().filter(|row| row.figures.sensitivity == withheld).count();
    assert!(others >= 2, "its calls would follow from all less the others");
    assert!(rows[1].figures.auc.value().is_some());
}

#[test]
fn what_follows_from_calls_is_withheld_with_them() {
    let findings = findings(4, &patients(4, 160));
    let made = |findings: &Findings| Report::build(findings, &context(findings)).unwrap();
    let of = |row: &FigureRow, name: &str| {
        let named = row.more.iter().find(|named| named.name == name).unwrap();
        named.estimate.clone()
    };
    let report = made(&findings);
    let all = &report.pooled[0].figures;
    let [judged] = findings.targets.as_slice() else { panic!("one class is modelled") };
    for named in &judged.nested.judged.one_list.more {
        assert_eq!(of(all, &named.name), Estimate::from(&named.figure));
        let shown = of(all, &named.name).short();
        assert!(report.to_html().contains(&format!("<td>{shown}")), "{}", named.name);
    }
    let html = report.to_html();
    assert!(html.contains("positive predictive value") && html.contains("log loss"));
    assert!(report.to_text().contains("positive predictive value"));

    // Every positive of the first site is called so: its calls are hidden, and what follows from them.
    let mut sure = findings.clone();
    let site = &mut sure.targets[0].nested.judged.by_site[0];
    let positives = site.confusion[0] + site.confusion[3];
    (site.confusion[0], site.confusion[3]) = (positives, 0);
    let report = made(&sure);
    let row = &report.sites[0].sites[0].figures;
    assert!(matches!(row.sensitivity, Estimate::Withheld { .. }));
    assert!(matches!(of(row, "ppv"), Estimate::Withheld { .. }));
    assert!(matches!(of(row, "log_loss"), Estimate::Known { .. }));
    // A site whose owner releases nothing has nothing here either.
    let mut refused = context(&findings);
    refused.sites[1].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&findings, &refused).unwrap();
    let row = &report.sites[0].sites[1].figures;
    assert!(row.more.iter().all(|one| matches!(one.estimate, Estimate::Withheld { .. })));
}

#[test]
fn the_mean_of_sites_and_net_benefit_are_of_what_is_shown() {
    let (findings, report) = usual();
    let together = &report.sites[0].together;
    assert_eq!(together.sites, 4);
    let [json, html, text] = outputs(&report);
    let mean = together.auc.short();
    assert!(html.contains(&format!("<td>{mean}")) && text.contains(&format!("4 sites {mean}")));
    assert!(html.contains("another site") && json.contains("another_site"));

    let pooled = &report.pooled[0];
    let bins = pooled.reliability.bins();
    assert_eq!(pooled.decision.len(), bins.len() - 1);
    let all = &findings.targets[0].nested.judged.one_list;
    for (point, bin) in pooled.decision.iter().zip(&bins[1..]) {
        assert_eq!(point.threshold, bin.from);
        assert!(bin.from <= bin.predicted, "{bin:?}");
        let called: u64 = all
            .reliability
            .iter()
            .filter(|b| b.lower_end() >= bin.from - 1e-6)
            .map(|b| b.rows)
            .sum();
        let shown: u64 = bins.iter().filter(|b| b.from >= bin.from).map(|b| b.images).sum();
        assert_eq!(called, shown);
        assert!(html.contains(&format!("<td>{:.3}", point.model + 0.0)), "{point:?}");
    }

    // A site that isn't shown has no part in the mean of those that are.
    let mut refused = context(&findings);
    refused.sites[1].policy.per_site_metrics = Consent::Refused;
    let less = Report::build(&findings, &refused).unwrap();
    let shown = less.sites[0].sites.iter().filter(|row| row.figures.auc.value().is_some()).count();
    assert!(shown < 4);
    assert_eq!(less.sites[0].together.sites as usize, shown);
    assert_ne!(less.sites[0].together.auc, together.auc);
}

#[test]
fn curves_go_in_steps_of_the_minimum() {
    let (findings, report) = usual();
    let judged = &findings.targets[0].nested.judged;
    for (row, figures) in report.sites[0].sites.iter().zip(&judged.by_site) {
        let points = row.figures.roc.points();
        assert!(points.len() > 3 && points.len() < figures.roc.len());
        for step in points.windows(2) {
            for class in 0..2 {
                let images = (step[1][class] - step[0][class]) * figures.rows[class] as f64;
                assert!(images > 4.5, "{} {step:?}", row.site);
            }
        }
    }
    let bins = report.pooled[0].reliability.bins();
    assert_eq!(
        bins.iter().map(|bin| bin.images).sum::<u64>(),
        judged.one_list.rows.iter().sum::<u64>()
    );
    for bin in bins {
        let positives = bin.observed * bin.images as f64;
        assert!(positives > 4.5 && bin.images as f64 - positives > 4.5, "{bin:?}");
    }
}

#[test]
fn a_site_that_does_not_release_its_figures_takes_another_with_it() {
    let findings = findings(4, &patients(4, 160));
    let mut context = context(&findings);
    context.sites[2].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&findings, &context).unwrap();
    let rows = &report.sites[0].sites;
    assert_eq!(rows[2].figures.auc, Estimate::Withheld { reason: Reason::RefusedBySite });
    assert!(rows.iter().filter(|row| row.figures.auc.value().is_none()).count() >= 2);
    let out = &report.leave_one_site_out[0].sites[2];
    assert_eq!(out.figures.auc, Estimate::Withheld { reason: Reason::RefusedBySite });
    assert!(out.auc_by_point.iter().all(|estimate| estimate.value().is_none()));
    assert!(report.to_html().contains("the site&#39;s owner doesn&#39;t release it"));
    // Alone, its figures are the study's.
    let alone = crate::made_up::findings(1, &patients(1, 160));
    let mut context = crate::made_up::context(&alone);
    context.sites[0].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&alone, &context).unwrap();
    assert!(report.pooled[0].figures.auc.value().is_none());
    assert!(report.pooled[0].auc_within_sites.value().is_none());
}

#[test]
fn the_strictest_site_sets_the_minimum() {
    let findings = findings(4, &patients(4, 160));
    let mut context = context(&findings);
    context.sites[3].policy.minimum_per_class_for_slice = MinimumPatients::new(100_000);
    let report = Report::build(&findings, &context).unwrap();
    assert!(report.sites[0].sites.iter().all(|row| row.figures.auc.value().is_none()));
    assert!(report.cohort.rules.contains("100000"));
}
