//! The report from made-up findings: what stands in it, in all its forms, and what must not.

use crate::made_up::{
    compared, context, findings, joined, known, outputs, patients, site, usual, with_curve,
    with_small_cells,
};
use serde_json::{Value, json};
use wardround::report::{
    BuildError, ComparisonSection, Count, CurvePointModels, DataKind, Estimate,
    LearningCurveSection, MatrixModels, MatrixSection, OwnSiteModel, OwnSitesSection, ReadError,
    Report, SCHEMA, SiteLess,
};
use wardround_core::study::{Balance, GridPoint, Standardise, Study};
use wardround_learn::findings::{
    Figure, FinalFit, FinalKernel, Interval, MissingFeatures, OwnKernel, RaceOf, RaceResult, Races,
    StoppedTrees, TreeCounts, Trial,
};
use wardround_privacy::policy::{Consent, MinimumPatients};
use wardround_privacy::suppress::Reason;

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
    let sample = include_str!("../../../deploy/studies/heart.toml");
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
        "/fairness/0/columns/0/gaps/0",
        "/fairness/0/columns/0/levels/0",
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
    other["format"] = json!(8);
    assert!(!validator.is_valid(&other));
    assert!(matches!(Report::from_json(&other.to_string()), Err(ReadError::Format(8))));
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
fn a_learning_curve_stands_in_every_output() {
    let plain = findings(4, &patients(4, 160));
    let patients_of_all = plain.profile.all.patients as f64;
    let findings = with_curve(plain);
    let mut context = context(&findings);
    let report = Report::build(&findings, &context).unwrap();
    let [json, html, text] = outputs(&report);
    assert_eq!(Report::from_json(&json).unwrap(), report);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::is_valid(&schema, &serde_json::to_value(&report).unwrap()));
    let LearningCurveSection::Asked { classes, .. } = &report.learning_curve else {
        panic!("asked")
    };
    let class = &classes[0];
    assert_eq!(
        class.steps.iter().map(|step| step.share).collect::<Vec<_>>(),
        [0.25, 0.5, 0.75, 1.0]
    );
    assert_eq!(class.steps[1].about_patients, (patients_of_all * 0.4).round() as u64);
    assert!(matches!(class.steps[0].models, CurvePointModels::Unfit { .. }));
    let verdict = class.verdict("lesion");
    assert!(verdict.contains("by +0.020 (0.015 to 0.025): it still rises"), "{verdict}");
    // The mean over sites that were left out, of figures that the report shows.
    let losses = report.sites[0].sites.iter().zip(&report.leave_one_site_out[0].sites);
    let losses: Vec<f64> = losses
        .map(|(site, out)| site.figures.auc.value().unwrap() - out.figures.auc.value().unwrap())
        .collect();
    let SiteLess::Known { mean_loss, sites } = class.site_less else { panic!("{verdict}") };
    assert_eq!(sites, 4);
    assert!((mean_loss - losses.iter().sum::<f64>() / 4.0).abs() < 1e-6, "{mean_loss}");
    assert!(verdict.contains("Models that saw no lesion of a site"), "{verdict}");
    assert!(html.contains("Would more patients help?") && html.contains("id=\"learning-0"));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("it still rises") && words.contains("a part holds one class only"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let csv = report.to_csv();
    let curve = csv.iter().find(|file| file.name == "learning_curve.csv").unwrap();
    assert_eq!(curve.bytes.iter().filter(|byte| **byte == b'\n').count(), 1 + 1 + 3 * 2 + 1);
    // What isn't shown of a site has no part in the mean.
    context.sites[2].policy.per_site_metrics = Consent::Refused;
    let report = Report::build(&findings, &context).unwrap();
    let LearningCurveSection::Asked { classes, .. } = &report.learning_curve else {
        panic!("asked")
    };
    assert!(!matches!(classes[0].site_less, SiteLess::Known { sites: 4, .. }));
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
    assert_eq!(plots.len(), 1 + 1 + 1 + 1 + 4 + 2);
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
