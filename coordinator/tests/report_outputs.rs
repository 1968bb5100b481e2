//! The report from made-up findings: what stands in it, in all its forms, and what must not.

mod report_made_up;

use report_made_up::{Patient, compared, context, findings, heart, joined, known, patients, site};
use serde_json::{Value, json};
use wardround::report::{
    BuildError, ComparisonSection, Count, Curve, DataKind, Estimate, FigureRow, MatrixModels,
    MatrixSection, OwnSiteModel, OwnSitesSection, ReadError, Report, SCHEMA,
};
use wardround_core::study::{Balance, GridPoint, Standardise, Study};
use wardround_learn::findings::{
    Figure, FinalFit, FinalKernel, Findings, Interval, MissingFeatures, OwnKernel, ProfileCell,
    RaceOf, RaceResult, Races, StoppedTrees, TreeCounts, Trial,
};
use wardround_privacy::policy::{Consent, MinimumPatients};
use wardround_privacy::suppress::Reason;

fn usual() -> (Findings, Report) {
    let findings = findings(4, &patients(4, 160));
    let report = Report::build(&findings, &context(&findings)).expect("consistent findings");
    (findings, report)
}

fn outputs(report: &Report) -> [String; 3] {
    [report.to_json(), report.to_html(), report.to_text()]
}

/// A patient who is alone with two others in a cell of site and sex, and one who has no sex.
fn with_small_cells() -> Vec<Patient> {
    let mut list = patients(4, 160);
    // Three women at the first site, all other women are men there.
    let mut women = 0;
    for patient in list.iter_mut().filter(|p| p.site == 0 && p.levels[0] == 1) {
        women += 1;
        if women > 3 {
            patient.levels[0] = 0;
        }
    }
    // Two of unknown age at the third site.
    list.iter_mut().filter(|p| p.site == 2).take(2).for_each(|p| p.levels[1] = 3);
    list
}

#[test]
fn numbers_agree_across_json_page_and_terminal() {
    let (findings, report) = usual();
    let [json, html, text] = outputs(&report);
    assert_eq!(Report::from_json(&json).unwrap(), report);
    let judged = &findings.targets[0].nested.judged;
    let pooled = &report.pooled[0];
    assert_eq!(pooled.auc_within_sites, Estimate::from(&judged.auc_within_sites));
    let mut shown = vec![&pooled.auc_within_sites, &pooled.auc_one_list, &pooled.auc_site_only];
    let rows = report.sites[0].sites.iter().map(|row| &row.figures);
    let levels = report.subgroups[0].columns.iter().flat_map(|column| &column.levels);
    let left_out = report.leave_one_site_out[0].sites.iter().map(|row| &row.figures);
    let rows: Vec<_> = rows.chain(levels.map(|row| &row.figures)).chain(left_out).collect();
    shown.extend(
        rows.iter()
            .flat_map(|row| [&row.auc, &row.sensitivity, &row.specificity, &row.brier, &row.ece]),
    );
    let known: Vec<f64> = shown.iter().filter_map(|estimate| estimate.value()).collect();
    assert!(known.len() > 60, "{}", known.len());
    for value in known {
        let printed = format!("{value:.3}");
        assert!(html.contains(&printed), "{printed} isn't on the page");
        assert!(text.contains(&printed), "{printed} isn't in the terminal's table");
    }
    for (row, figures) in report.sites[0].sites.iter().zip(&judged.by_site) {
        assert_eq!(row.figures.auc, Estimate::from(&figures.auc));
        let [negative, positive] = figures.patients;
        assert_eq!(row.figures.patients.negative, Count::Shown(negative));
        assert!(html.contains(&format!("{negative} / {positive}")), "{}", row.site);
        assert!(text.contains(&format!("{negative}/{positive}")), "{}", row.site);
        let [negative, positive] = figures.rows;
        assert!(html.contains(&format!("{negative} / {positive}")), "{}", row.site);
        assert!(text.contains(&format!("{negative}/{positive}")), "{}", row.site);
    }
    let digest = wardround_core::digest::Digest::of(json.as_bytes());
    assert!(html.contains(&digest.to_string()));
}

#[test]
fn three_ways_stand_in_their_order() {
    let (_, report) = usual();
    let [json, html, text] = outputs(&report);
    let main = html.split("<main>").nth(1).unwrap();
    let terminal = ["within sites (nested)", "all sites in one list", "the site alone"];
    for (output, names) in [
        (json.as_str(), ["\"auc_within_sites\"", "\"auc_one_list\"", "\"auc_site_only\""]),
        (main, [">within sites<", ">all sites in one list<", ">the site alone, in one list<"]),
        (text.as_str(), terminal),
    ] {
        let from = output.find("\"pooled\"").unwrap_or(0);
        let at: Vec<usize> = names.iter().map(|name| output[from..].find(name).unwrap()).collect();
        assert!(at.is_sorted(), "{names:?} {at:?}");
    }
}

#[test]
fn the_first_screen_says_what_the_coordinator_saw() {
    let (_, report) = usual();
    let html = report.to_html();
    let first = html.split("<main>").next().unwrap();
    let sentence = "The coordinator saw each hospital&#39;s own sums; until secure aggregation is on \
                    they are not protected against reconstruction";
    for expected in [
        sentence,
        "numbers sent",
        "numbers held",
        "8,912,345",
        "wide_sums = allowed",
        "leave_one_site_out = allowed",
        " at all 4 sites",
        " (default refused) at vidir_modern, vidir_molemax, vienna_dias",
        "Synthetic data",
        "0.731",
        "0.700 to 0.762",
        "lesions",
    ] {
        assert!(first.contains(expected), "{expected}");
    }
    let text = report.to_text();
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains(&report.protection.sentence));
    assert!(unwrapped.contains(
        "loosened: wide_sums = allowed (default secure-aggregation-only) at all 4 sites"
    ));
    assert!(outputs(&report)[1..].iter().all(|output| output.contains("Synthetic data")));
    let recorded = Report { data: DataKind::Recorded, ..report };
    assert!(outputs(&recorded).iter().all(|output| !output.contains("Synthetic data")));
}

#[test]
fn what_balance_and_combat_do_is_said_on_page_and_terminal() {
    let made = findings(4, &patients(4, 160));
    let said = |balance, standardise| {
        let mut made = made.clone();
        for point in &mut made.grid {
            if let GridPoint::Linear(point) = point {
                (point.balance, point.standardise) = (balance, standardise);
            }
        }
        let report = Report::build(&made, &context(&made)).unwrap();
        let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let both = [words(report.to_html()), words(report.to_text())];
        let has = |text: &str| both.each_ref().map(|output| output.contains(text));
        [
            has("its Brier score and calibration error are worse"),
            has("rows lie between rows of one"),
            has("is scaled by its own rows without their labels"),
        ]
    };
    let (yes, no) = ([true; 2], [false; 2]);
    assert_eq!(said(Balance::None, Standardise::Site), [no, no, no]);
    assert_eq!(said(Balance::OverSampling, Standardise::All), [yes, no, no]);
    assert_eq!(said(Balance::Smote, Standardise::All), [yes, yes, no]);
    assert_eq!(said(Balance::None, Standardise::Combat), [no, no, yes]);
}

#[test]
fn a_model_that_holds_rows_of_patients_says_so_first() {
    let (mut made, _) = usual();
    made.targets[0].model.fitted = FinalFit::Kernel(FinalKernel {
        model: OwnKernel {
            gamma: 1.0,
            mean: vec![0.0; 2],
            inverse: vec![1.0; 2],
            missing: MissingFeatures::Refused,
            vectors: vec![4711.25; 2 * 1234],
            coefficients: vec![0.5; 1234],
            intercept: 0.25,
        },
        violation: 7.1e-8,
    });
    let report = Report::build(&made, &context(&made)).unwrap();
    let said = "; the model holds 1,234 rows of features of patients of sites";
    assert!(report.protection.sentence.contains(said), "{}", report.protection.sentence);
    assert!(report.to_html().split("<main>").next().unwrap().contains(said));
    let terminal = report.to_text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(terminal.contains(said) && terminal.contains("1,234 rows of patients"), "{terminal}");
    let value: Value = serde_json::from_str(&report.to_json()).unwrap();
    let fitted = json!({ "kind": "kernel", "rows_of_patients": 1234, "violation": 7.1e-8 });
    assert_eq!(value["models"][0]["chosen"]["fitted"], fitted);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&value));
    // No feature of any patient stands in it.
    assert!(outputs(&report).iter().all(|output| !output.contains("4711.25")));
}

#[test]
fn every_grid_point_is_in_the_schema() {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let definitions = schema["$defs"].take();
    let of_points = json!({ "$ref": "#/$defs/point", "$defs": definitions });
    let validator = jsonschema::validator_for(&of_points).unwrap();
    let sample = include_str!("../../deploy/studies/heart.toml");
    let (before, rest) = sample.split_once("[classifier]").unwrap();
    let after = &rest[rest.find("\n[").unwrap()..];
    let scaled = "standardise = [\"all\", \"site\", \"combat\"]";
    let balance = "balance = [\"none\", \"weights\", \"over-sampling\", \"smote\"]";
    let reduce = "reduce = [\"none\", \"variance:8\", \"univariate:8\",";
    let mut points = 0;
    for kind in [
        &format!("kind = \"logistic\"\nc = [1.0]\n{scaled}\n{balance}"),
        &format!("kind = \"rbf-svm\"\nc = [1.0]\n{scaled}\n{balance}"),
        &format!("kind = \"ridge\"\nalpha = [1.0]\n{scaled}"),
        &format!("kind = \"lda\"\n{scaled}"),
        &format!("kind = \"nearest-mean\"\n{scaled}"),
        &format!("kind = \"forest\"\ntrees = [5]\n{balance}"),
        &format!("kind = \"boosting\"\ntrees = [5]\n{balance}"),
        "kind = \"logistic\"\nc = [1.0]\nl1_ratio = [0, 0.5, 1]",
        &format!("kind = \"ridge\"\nalpha = [1.0]\n{reduce}\"pca:8\"]"),
        &format!("kind = \"linear-svm\"\nc = [1.0]\n{reduce}\"pca:8\"]"),
        &format!("kind = \"rbf-svm\"\nc = [1.0]\n{reduce}]"),
        &format!("kind = \"boosting\"\ntrees = [5]\n{reduce}]"),
        "kind = \"kernel-svm\"\nc = [1.0]\nbalance = [\"none\", \"weights\"]",
    ] {
        let mode = if kind.contains("kernel-svm") { "feature-rows" } else { "sums" };
        let federation = format!("[federation]\nmode = \"{mode}\"\n");
        let file = format!("{before}[classifier]\n{kind}\n{after}\n{federation}");
        let study = Study::parse(&file).unwrap();
        for point in study.classifiers[0].grid() {
            points += 1;
            let value = serde_json::to_value(point).unwrap();
            assert!(validator.is_valid(&value), "{value}");
        }
    }
    assert_eq!(points, 12 + 12 + 3 * 3 + 4 + 4 + 3 + 4 + 4 + 3 + 3 + 2);
}

#[test]
fn the_schema_holds_and_a_missing_or_extra_field_fails() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (sites, list) in [(4, with_small_cells()), (1, patients(1, 90)), (2, patients(2, 9))] {
        for findings in [findings(sites, &list), compared(findings(sites, &list))] {
            let report = Report::build(&findings, &context(&findings)).unwrap();
            let value = serde_json::to_value(&report).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&value)
                .map(|error| format!("{}: {error}", error.instance_path))
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }
    let value = serde_json::to_value(usual().1).unwrap();
    for path in [
        "",
        "/study",
        "/cohort/sites/0",
        "/models/0/chosen",
        "/pooled/0/figures",
        "/sites/0/sites/1/figures/auc",
        "/sites/0/sites/1/figures/confusion",
        "/leave_one_site_out/0/sites/0/point",
        "/rounds/rounds/3",
        "/digests/weights",
    ] {
        let mut extra = value.clone();
        extra
            .pointer_mut(path)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert("surplus".into(), json!(1));
        assert!(!validator.is_valid(&extra), "{path} takes a surplus field");
        assert!(Report::from_json(&extra.to_string()).is_err(), "{path} reads a surplus field");
        let fields = value.pointer(path).unwrap().as_object().unwrap();
        // A point of nothing but a scaler is a nearest mean's.
        for field in fields.keys().filter(|field| *field != "c") {
            let mut less = value.clone();
            less.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(field);
            assert!(!validator.is_valid(&less), "{path} does without {field}");
        }
    }
    let mut other = value;
    other["format"] = json!(6);
    assert!(!validator.is_valid(&other));
    assert!(matches!(Report::from_json(&other.to_string()), Err(ReadError::Format(6))));
}

#[test]
fn numbers_of_trees_that_stopped_early_are_shown() {
    let mut findings = usual().0;
    let one = |all| StoppedTrees { folds: vec![35, 4715], left_out: vec![], all };
    let points = (0..findings.grid.len() as u32).map(|at| one(4710 + at)).collect();
    findings.targets[0].trees = TreeCounts::Stopped { points };
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let value = serde_json::to_value(&report).unwrap();
    assert!(jsonschema::is_valid(&schema, &value));
    let chosen = findings.targets[0].model.point as u32 + 4710;
    for text in outputs(&report) {
        assert!(text.contains(&chosen.to_string()) && text.contains("4715"), "{text}");
    }
    findings.targets[0].trees = TreeCounts::Stopped { points: vec![] };
    assert!(Report::build(&findings, &context(&findings)).is_err());
}

#[test]
fn races_say_where_every_point_left() {
    let mut findings = usual().0;
    let points = findings.grid.len();
    let trial = |at: usize| Trial {
        folds: if at == 0 { 5 } else { 1 },
        auc: Figure::Known { value: 0.7125, interval: Interval::NotComputed },
    };
    let race = |of| RaceResult { of, trials: (0..points).map(trial).collect() };
    let races = vec![race(RaceOf::Fold { repeat: 0, fold: 1 }), race(RaceOf::All)];
    findings.targets[0].races = Races::Halved { eta: 3, races };
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let value = serde_json::to_value(&report).unwrap();
    assert!(jsonschema::is_valid(&schema, &value));
    let races = &report.models[0].races;
    assert_eq!(
        races.iter().map(|race| race.of.as_str()).collect::<Vec<_>>(),
        ["repeat 1, fold 2", "final model"]
    );
    assert_eq!(races[1].trials.iter().map(|trial| trial.folds).sum::<u32>(), 4 + points as u32);
    let [_, page, terminal] = outputs(&report);
    assert!(page.contains("Races of grid points"));
    assert!(terminal.contains(&format!("{points} grid points raced; 1 of them")), "{terminal}");
    findings.targets[0].races = Races::Halved {
        eta: 3,
        races: vec![RaceResult { of: RaceOf::Site { site: 40 }, trials: vec![] }],
    };
    assert!(Report::build(&findings, &context(&findings)).is_err());
}

#[test]
fn no_suppressed_count_or_figure_appears_anywhere() {
    let mut findings = findings(4, &with_small_cells());
    // Numbers that give themselves away: images of a small cell, figures of a small slice.
    findings.profile.by_site_and_subgroup[0][0][1].rows_by_class = vec![770_117, 880_331];
    let unknown = &mut findings.targets[0].nested.judged.by_subgroup[1][3];
    assert!(unknown.patients.iter().all(|&n| n < 5));
    unknown.rows = [660_107, 550_127];
    unknown.confusion = [440_131, 330_017, 440_177, 220_019];
    unknown.auc = known(0.123_757, 0.000_1);
    unknown.sensitivity = known(0.987_131, 0.000_1);
    unknown.brier = Figure::Undefined { reason: "telltale".into() };
    unknown.roc = vec![[0.0, 0.0], [0.135_791, 0.246_813], [1.0, 1.0]];
    let report = Report::build(&findings, &context(&findings)).unwrap();
    for output in outputs(&report) {
        let output = output.replace(',', "");
        for telltale in [
            "770117", "880331", "1650448", "660107", "550127", "440131", "330017", "440177",
            "220019", "0.123757", "0.124", "0.987", "telltale", "0.135791", "0.246813",
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
    let small: Vec<&&str> = notes.iter().filter(|line| line.contains("vidir_molemax")).collect();
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
    let alone = report_made_up::findings(1, &patients(1, 160));
    let mut context = report_made_up::context(&alone);
    context.sites[0].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&alone, &context).unwrap();
    assert!(report.pooled[0].figures.auc.value().is_none());
    assert!(report.pooled[0].auc_within_sites.value().is_none());
}

#[test]
fn what_joining_gains_stands_in_every_output() {
    let findings = joined(findings(4, &patients(4, 160)));
    let mut context = context(&findings);
    let report = Report::build(&findings, &context).unwrap();
    let [json, html, text] = outputs(&report);
    assert_eq!(Report::from_json(&json).unwrap(), report);
    let OwnSitesSection::Asked { classes, .. } = &report.own_sites else { panic!("asked") };
    let OwnSiteModel::Fitted { gain, .. } = &classes[0].sites[3].model else { panic!("fitted") };
    assert_eq!(gain.value(), Some(-0.03), "shown when it is a loss");
    assert!(matches!(classes[0].sites[1].model, OwnSiteModel::Unfit { .. }));
    let MatrixSection::Asked { classes, .. } = &report.matrix else { panic!("asked") };
    let kinds: Vec<String> = classes[0].rows.iter().map(|row| row.trained_on.words()).collect();
    assert_eq!(kinds[4..], ["all sites", "all other sites"]);
    let MatrixModels::Judged { auc } = &classes[0].rows[4].models else { panic!("judged") };
    let federated = report.sites[0].sites.iter().map(|row| row.figures.auc.clone());
    assert_eq!(*auc, federated.collect::<Vec<_>>());
    assert_eq!(classes[0].rows[0].models, MatrixModels::Refused);
    let refuses = "the owner doesn't let a model of this site alone leave";
    assert!(text.contains(refuses) && text.contains("-0.030 ("), "{text}");
    assert!(html.contains("What joining gains") && html.contains("gain by joining"));
    assert!(html.contains("trained on \\ judged at"));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    // A site whose owner doesn't release its figures shows none of these either.
    context.sites[2].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&findings, &context).unwrap();
    let OwnSitesSection::Asked { classes, .. } = &report.own_sites else { panic!("asked") };
    let OwnSiteModel::Fitted { own, federated, gain } = &classes[0].sites[2].model else {
        panic!("fitted")
    };
    let withheld = Estimate::Withheld { reason: Reason::RefusedBySite };
    assert_eq!([&own.auc, federated, gain], [&withheld; 3]);
    let MatrixSection::Asked { classes, .. } = &report.matrix else { panic!("asked") };
    for row in &classes[0].rows {
        if let MatrixModels::Judged { auc } = &row.models {
            assert_eq!(auc[2], withheld);
        }
    }
}

#[test]
fn classifiers_stand_beside_each_other_with_what_the_best_is_worth() {
    let findings = compared(findings(4, &patients(4, 160)));
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let [json, html, text] = outputs(&report);
    assert_eq!(Report::from_json(&json).unwrap(), report);
    let ComparisonSection::Several(section) = &report.comparison else { panic!("several") };
    assert_eq!(section.ranking[0].name, "logistic");
    assert!(section.ranking[0].chosen && !section.ranking[1].chosen);
    assert_eq!(section.grid_points, 2 * findings.grid.len() as u64);
    assert_eq!(section.estimate, Estimate::from(&known(0.7317, 0.041)));
    let own = |one: &wardround::report::RankedClassifier| (one.cost.rounds, one.cost.bytes_up > 0);
    assert_eq!(section.ranking.iter().map(own).collect::<Vec<_>>(), [(28, true), (31, true)]);
    // The head gives the estimate, not the first row's figure.
    let head = html.split("<main>").next().unwrap();
    assert!(head.contains("0.732") && head.contains("bootstrap bias-corrected"), "{head}");
    for output in [&html, &text] {
        for shown in ["logistic, class weights", "0.012", "0.017", "2 classifiers"] {
            assert!(output.contains(shown), "{shown} is missing");
        }
    }
    assert!(html.contains("<strong>+0.012</strong>") && html.contains("<strong>-0.012</strong>"));
    // What is withheld of the one is withheld of all.
    let mut strict = context(&findings);
    strict.sites[3].policy.minimum_per_class_for_slice = MinimumPatients::new(100_000);
    let report = Report::build(&findings, &strict).unwrap();
    let ComparisonSection::Several(section) = &report.comparison else { panic!("several") };
    let withheld = Estimate::Withheld { reason: Reason::SmallSlice };
    assert_eq!((&section.estimate, &section.estimate_by_class[0].auc), (&withheld, &withheld));
    assert!(section.ranking.iter().all(|one| one.auc == withheld));
    assert!(section.ranking.iter().all(|one| one.classes[0].brier == withheld));
    assert!(section.differences.iter().all(|d| d.auc == withheld && d.p.is_none()));
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

#[test]
fn undefined_figures_say_why() {
    let mut findings = findings(4, &patients(4, 160));
    findings.targets[0].nested.judged.by_site[1].ece =
        Figure::Undefined { reason: "fewer than one bin <is> full".into() };
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let [json, html, text] = outputs(&report);
    assert!(json.contains("fewer than one bin <is> full"));
    assert!(html.contains("fewer than one bin &lt;is&gt; full"));
    assert!(
        text.contains("- at vidir_modern: ECE undefined, fewer than one bin <is> full"),
        "{text}"
    );
}

#[test]
fn names_cannot_break_out_of_the_page() {
    let mut findings = findings(4, &patients(4, 160));
    let nasty = "</title></style><script>alert('x')</script><img src=x onerror=\"alert(1)\">&lt;";
    findings.classes[1] = nasty.into();
    findings.subgroups[0].name = nasty.into();
    findings.subgroups[0].levels[0] = nasty.into();
    findings.targets[0].nested.judged.by_site[0].ece = Figure::Undefined { reason: nasty.into() };
    let mut context = context(&findings);
    context.study.name = nasty.into();
    context.study.patient.unit = nasty.into();
    context.study.target.column = nasty.into();
    context.software = nasty.into();
    context.sites[0].device = nasty.into();
    context.sites[0].set_aside[0].reason = nasty.into();
    context.rounds[0].statistic = nasty.into();
    context.attempts[0].reason = nasty.into();
    context.reports[0].name = nasty.into();
    let html = Report::build(&findings, &context).unwrap().to_html();
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("onerror=\""));
    for element in ["</title></style>", "</style><"] {
        assert!(!html.contains(&format!("{element}script")));
    }
    assert_eq!(html.matches("<style>").count(), 1);
    assert_eq!(html.matches("</style>").count(), 1);
}

#[test]
fn the_page_needs_neither_network_nor_script_and_says_its_plots_in_words() {
    let (_, report) = usual();
    let html = report.to_html();
    for never in ["<script", "http://", "https://", " src=", "url(", "@import", "<link", "<iframe"]
    {
        assert!(!html.contains(never), "{never}");
    }
    assert!(html.contains("default-src &#39;none&#39;"));
    let links: Vec<&str> =
        html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() >= 9);
    for link in links {
        let id = link.strip_prefix('#').unwrap();
        assert_eq!(html.matches(&format!("id=\"{id}\"")).count(), 1, "{link}");
    }
    let plots: Vec<&str> = html.split("<svg").skip(1).collect();
    assert_eq!(plots.len(), 1 + 1 + 1 + 1 + 4);
    for plot in plots {
        let head = plot.split("</desc>").next().unwrap();
        assert!(head.contains("role=\"img\"") && head.contains("<title") && head.contains("<desc"));
    }
    let tables = html.matches("<table>").count();
    assert!(tables > 10);
    assert_eq!(html.matches("<caption>").count(), tables);
    for tag in ["<th scope=\"col\">", "<th scope=\"row\">"] {
        assert!(html.contains(tag), "{tag}");
    }
    assert!(!html.contains("<th>"));
}

#[test]
fn one_site_and_twenty_fit() {
    let mut heights = Vec::new();
    for sites in [1, 4, 20] {
        let findings = findings(sites, &patients(sites, 90));
        let report = Report::build(&findings, &context(&findings)).unwrap();
        let (html, text) = (report.to_html(), report.to_text());
        let forest = html.split("aria-labelledby=\"forest-0-title").next().unwrap();
        let view = forest.rsplit("viewBox=\"0 0 ").next().unwrap().split('"').next().unwrap();
        let height: f64 = view.split(' ').nth(1).unwrap().parse().unwrap();
        heights.push(height);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for number in 0..sites {
            assert!(html.contains(site(number).as_str()));
        }
        assert_eq!(report.sites[0].sites.len(), sites);
    }
    assert!(heights[1] > heights[0] + 100.0 && heights[2] > heights[1] + 400.0, "{heights:?}");
}

#[test]
fn long_names_keep_the_terminal_narrow() {
    let mut findings = findings(4, &patients(4, 160));
    findings.subgroups[0].name =
        "a very long name of a column that nobody should have chosen".into();
    findings.classes[1] = "x".repeat(150);
    let mut context = context(&findings);
    context.study.name = format!("{} \u{1b}[31m red", "long ".repeat(30));
    let text = Report::build(&findings, &context).unwrap().to_text();
    assert!(!text.contains('\u{1b}'));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn findings_and_context_must_belong_together() {
    let (findings, _) = usual();
    let mut less = context(&findings);
    less.sites.remove(1);
    assert_eq!(Report::build(&findings, &less), Err(BuildError::UnknownSite(site(1))));
    let mut short = findings.clone();
    short.targets[0].nested.judged.by_site.pop();
    let error = Report::build(&short, &context(&findings)).unwrap_err();
    assert_eq!(error.to_string(), "expected 4 judged sites in the findings, got 3");
    let mut lost = findings.clone();
    lost.targets[0].model.point = 6;
    let error = Report::build(&lost, &context(&findings)).unwrap_err();
    assert_eq!(error.to_string(), "expected a grid point below 6 in the findings, got 6");
    let mut wild = findings.clone();
    wild.targets[0].model.threshold = f64::NAN;
    let error = Report::build(&wild, &context(&findings)).unwrap_err();
    assert_eq!(error.to_string(), "expected a threshold from 0 to 1 in the findings, got NaN");
}
