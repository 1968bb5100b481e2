//! `predict`: a bundle's models on a table and on images.

use std::fs;

use serde_json::{Value, json};
use wardround_core::digest::Digest;
use wardround_core::query::{Fill, Measure};
use wardround_core::seed::Seed;
use wardround_core::study::{Alterations, Precision, Recalibrate, UnitScore};
use wardround_learn::bundle::{
    Beside, BesideEntry, BundleInput, BundleJudged, BundleViews, ConformalEntry, ModelBundle,
    OutlierEntry, OutlierScore, Recalibration, SetLimits,
};
use wardround_learn::findings::{FinalScaler, MeansOf};
use wardround_learn::metrics::steps::Steps;
use wardround_vision::BackboneEntry;

use super::bundles::{unit, write_bundle, write_judged_bundle};
use super::made_up::{Site, weights};

fn table_input() -> BundleInput {
    BundleInput::Table {
        features: ["a", "cp = 1", "cp = 2"].map(str::to_owned).to_vec(),
        table: json!({
            "numeric": ["a"],
            "categorical": [{"column": "cp", "values": ["1", "2"]}],
            "missing": "drop",
        }),
    }
}

#[test]
fn rows_of_a_table_are_judged_one_by_one() {
    let site = Site::new();
    write_bundle(&site, table_input(), 3, unit(3));
    site.write("rows.csv", "who,a,cp\nx,0.25,1\ny,-0.75,2.0\nz,,1\nw,1,9\nshort\n");
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "rows.csv"];
    let ended = site.done(&[&arguments[..], &["--id-column", "who"]].concat());
    // 1 / (1 + exp(-1)) = 0.731059, and 0.5 is below the threshold.
    let expected = "\
id,probability,class,problem
x,0.731059,yes,
y,0.500000,no,
z,,,no value for a
w,,,the study doesn't know '9' of cp
line 6,,,\"1 cells, the header has 3\"
";
    assert_eq!(ended.out, expected);
    assert!(ended.err.contains("3 of 5 couldn't be judged"), "{ended:?}");
    let ended = site.done(&[&arguments[..], &["--format", "json"]].concat());
    let data = ended.data("predict");
    assert_eq!((&data["modelled"], &data["thresholds"]), (&json!(["yes"]), &json!([0.6])));
    let row: &Value = &data["rows"][0];
    assert_eq!((&row["id"], &row["classes"]), (&"line 2".into(), &json!(["yes"])));
    assert!((row["probabilities"][0].as_f64().unwrap() - 0.731_058_578_6).abs() < 1e-9);
}

#[test]
fn exams_are_judged_by_their_rows() {
    let site = Site::new();
    let judged = BundleJudged::Together {
        name: "exam".into(),
        column: "exam_id".into(),
        score: UnitScore::Mean,
    };
    write_judged_bundle(&site, table_input(), 3, unit(3), judged);
    site.write(
        "rows.csv",
        "who,a,cp,exam_id\nx,0.25,1,e2\ny,-0.75,2,e1\nz,,1,e1\nw,0.5,2,e2\nv,1,1,\n",
    );
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "rows.csv"];
    let ended = site.done(&[&arguments[..], &["--id-column", "who"]].concat());
    let p = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mean = (p(1.0) + p(1.25)) / 2.0;
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(
        lines[0],
        "id,probability,class,problem,exam,exam: rows,exam: probability,exam: class"
    );
    assert_eq!(lines[1], format!("x,0.731059,yes,,e2,2,{mean:.6},yes"));
    assert_eq!(lines[2], "y,0.500000,no,,e1,1,0.500000,no");
    assert_eq!(lines[3], "z,,,no value for a,e1,1,0.500000,no");
    assert_eq!(lines[5], format!("v,{:.6},yes,,,,,", p(1.75)));
    let data = site.done(&[&arguments[..], &["--format", "json"]].concat()).data("predict");
    assert_eq!(data["units"][0]["key"], "e1");
    assert_eq!((&data["units"][0]["rows"], &data["units"][0]["problems"]), (&json!(1), &json!(1)));
    assert_eq!(data["judged"]["score"], "mean");
    site.write("rows.csv", "a,cp,Untersuchung\n0.25,1,e2\n");
    let ended = site.done(&arguments);
    assert!(
        ended.err.contains("figures and thresholds are of exams (column 'exam_id')"),
        "{ended:?}"
    );
    assert!(ended.out.starts_with("id,probability,class,problem\n"), "{ended:?}");
    let ended = site.done(&[&arguments[..], &["--unit-column", "Untersuchung"]].concat());
    assert!(ended.out.contains("line 2,0.731059,yes,,e2,1,0.731059,yes"), "{ended:?}");
    let ended = site.run(&[&arguments[..], &["--unit-column", "exam"]].concat());
    assert!(ended.err.contains("no column 'exam'; it has a, cp, Untersuchung"), "{ended:?}");
}

#[test]
fn what_a_bundle_knows_stands_beside_the_probability() {
    let site = Site::new();
    write_bundle(&site, table_input(), 3, unit(3));
    let bytes = fs::read(site.path("model.bundle")).unwrap();
    let mut bundle = ModelBundle::read(&bytes).unwrap();
    bundle.manifest.beside = BesideEntry {
        conformal: ConformalEntry::ByClass { coverage_percent: 90 },
        recalibration: Recalibrate::Temperature,
        outliers: OutlierEntry::Mahalanobis { means: MeansOf::Classes, directions: 1 },
    };
    bundle.beside = Beside {
        sets: vec![SetLimits { negative_below: 0.9, positive_from: 0.7 }],
        recalibration: vec![Recalibration::Line { intercept: 0.0, slope: 0.5 }],
        outliers: OutlierScore::Measured {
            // Of three columns the last has no part.
            measure: Measure {
                inverse: vec![1.0, 1.0, 0.0],
                fill: Fill::Complete,
                means: vec![vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 0.0]],
                directions: vec![vec![1.0, 0.0, 0.0]],
                variances: vec![4.0],
                rest: 1.0,
            },
            steps: Steps { limits: vec![0.125, 2.0], shares: vec![0.5, 0.99] },
        },
    };
    fs::write(site.path("model.bundle"), bundle.write().unwrap()).unwrap();
    site.write("rows.csv", "a,cp\n0.25,1\n-0.75,2\n4,1\n,1\n");
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "rows.csv"];
    let ended = site.done(&arguments);
    // Distances: sqrt(0.25^2 / 4 / 2), sqrt(0.75^2 / 4 / 2), sqrt(16 / 4 / 2); recalibrated, logits are halved.
    let expected = "\
id,probability,class,recalibrated,possible classes,distance,distance percentile,outlier,problem
line 2,0.731059,yes,0.622459,no;yes,0.088,0.0,no,
line 3,0.500000,no,0.500000,no,0.265,0.0,no,
line 4,0.991423,yes,0.914901,yes,1.414,99.0,yes,
line 5,,,,,,,,no value for a
";
    assert_eq!(ended.out, expected);
    assert!(ended.err.contains("1 of 4 are outliers: farther"), "{ended:?}");
    let data = site.done(&[&arguments[..], &["--format", "json"]].concat()).data("predict");
    assert_eq!(data["conformal"], json!({"kind": "by-class", "coverage_percent": 90}));
    assert_eq!(data["recalibration"], "temperature");
    let row = &data["rows"][2];
    assert_eq!((&row["possible"], &row["unlike"]["outlier"]), (&json!(["yes"]), &json!(true)));
    assert_eq!(data["rows"][3]["possible"], Value::Null);
}

#[test]
fn columns_are_found_by_the_names_of_the_site_file() {
    let site = Site::new();
    write_bundle(&site, table_input(), 3, unit(3));
    site.write("rows.csv", "Wert,cp\n0.25,1\n");
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "rows.csv"];
    let ended = site.run(&arguments);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("lacks columns that the models take: a"), "{ended:?}");
    let file = site.read("site.toml") + "[columns]\na = \"Wert\"\n";
    site.write("site.toml", &file);
    assert!(site.done(&arguments).out.contains("line 2,0.731059,yes,"));
    fs::remove_file(site.path("site.toml")).unwrap();
    assert_eq!(site.run(&arguments).code, 4, "no site file, no mapping");
}

#[test]
fn a_site_may_be_scaled_by_its_own_rows() {
    let site = Site::new();
    write_bundle(&site, table_input(), 3, FinalScaler::OwnSite);
    site.write("rows.csv", "a,cp\n1,1\n3,1\n");
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "rows.csv"];
    let ended = site.done(&arguments);
    // a becomes -1 and 1; a constant column becomes 0: 1 / (1 + exp(1.25)), 1 / (1 + exp(-0.75)).
    assert!(ended.out.contains("line 2,0.222700,no,\nline 3,0.679179,yes,\n"), "{ended:?}");
    assert!(ended.err.contains("here only 2"), "{ended:?}");
    site.write("own.csv", "a,cp\n0,1\n2,1\n4,1\n6,1\n");
    let ended = site.done(&[&arguments[..], &["--scale-from", "own.csv"]].concat());
    // Mean 3, deviation sqrt(5): 1 / (1 + exp(0.25 + 2 / sqrt(5))) = 0.241472...
    let expected = 1.0 / (1.0 + (0.25f64 + 2.0 / 5f64.sqrt()).exp());
    assert!(ended.out.contains(&format!("line 2,{expected:.6},no,")), "{ended:?}");
    site.write("rows.csv", "a,cp\n1,1\n");
    let ended = site.run(&arguments);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("at least two rows"), "{ended:?}");
}

#[test]
fn images_go_through_the_bundles_own_network() {
    let site = Site::with_images(5);
    let entry = BackboneEntry::find("resnet18").unwrap();
    let views = |views, seed, alter| BundleViews::Averaged { views, seed: Seed(seed), alter };
    let of = |digest, views| BundleInput::Images {
        backbone: "resnet18".into(),
        weights_source: format!("file:{}", site.path("net.safetensors").display()),
        weights_digest: digest,
        preprocessing: serde_json::to_value(entry.preprocess()).unwrap(),
        precision: Precision::F32,
        views,
    };
    let input = |digest| of(digest, BundleViews::Plain);
    write_bundle(&site, input(Digest::of(&weights("resnet18"))), 512, unit(512));
    let ended = site.done(&["predict", "--model", "model.bundle", "0.png", "3.png", "1.png"]);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert!(lines[1].starts_with("0.png,0.") || lines[1].starts_with("0.png,1."), "{ended:?}");
    assert!(lines[2].starts_with("3.png,,,") && lines[2].contains("3.png"), "{ended:?}");
    assert_ne!(lines[1].split(',').nth(1), lines[3].split(',').nth(1), "{ended:?}");
    let table = ["predict", "--model", "model.bundle", "--manifest", "manifest.csv"];
    let of_table = site.done(&table).out;
    assert_eq!(of_table.lines().nth(1), Some(lines[1]));

    // Views that are all like the image change nothing; others do, and the seed decides how.
    let probability = |input| {
        write_bundle(&site, input, 512, unit(512));
        let ended = site.done(&["predict", "--model", "model.bundle", "0.png"]);
        ended.out.lines().nth(1).unwrap().to_owned()
    };
    let right = Digest::of(&weights("resnet18"));
    let turned = Alterations { rotation: 40.0, contrast: 0.9, ..Alterations::NOTHING };
    assert_eq!(probability(of(right, views(3, 1, Alterations::NOTHING))), lines[1]);
    let one = probability(of(right, views(3, 1, turned)));
    assert_ne!(one, lines[1]);
    assert_ne!(one, probability(of(right, views(3, 2, turned))));
    assert_eq!(one, probability(of(right, views(3, 1, turned))));

    write_bundle(&site, input(Digest::of(b"others")), 512, unit(512));
    let ended = site.run(&["predict", "--model", "model.bundle", "0.png"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains(&Digest::of(b"others").to_string()), "{ended:?}");
}

#[test]
fn what_does_not_fit_a_bundle_is_refused() {
    let site = Site::with_table(30);
    let code = |arguments: &[&str]| site.run(arguments).code;
    assert_eq!(code(&["predict", "--model", "no.bundle", "--manifest", "manifest.csv"]), 4);
    assert_eq!(code(&["predict", "--model", "study.toml", "--manifest", "manifest.csv"]), 4);
    write_bundle(&site, table_input(), 3, unit(3));
    assert_eq!(code(&["predict", "--model", "model.bundle"]), 4);
    assert_eq!(code(&["predict", "--model", "model.bundle", "a.png"]), 4);
    assert_eq!(code(&["predict", "--model", "model.bundle", "--manifest", "no.csv"]), 4);
    site.write("rows.csv", "a,cp\nx,1\n");
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "rows.csv"];
    assert_eq!(code(&arguments), 1, "no row could be judged");
    let unknown = [&arguments[..], &["--id-column", "who"]].concat();
    assert!(site.run(&unknown).err.contains("no column 'who'; it has a, cp"));
}
