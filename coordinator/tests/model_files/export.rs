//! `model export --onnx`.

use std::fs;
use std::path::Path;

use wardround::export::onnx::{ExportError, coarse_inputs, write};

use crate::{Ran, broken, bundle, bundle_file, golden_file, wardround};

fn export(file: &str, out: &Path, more: &[&str]) -> Ran {
    let out = out.display().to_string();
    wardround(&[&["model", "export", file, "--onnx", &out][..], more].concat())
}

/// What lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn the_file_is_written_whole_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.onnx");
    let ran = export(&bundle_file("filled"), &out, &["--format", "json"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let written = fs::read(&out).unwrap();
    assert_eq!(written, write(&bundle("filled"), env!("CARGO_PKG_VERSION")).unwrap());
    let data = &ran.envelope()["data"];
    assert_eq!(data["bytes"].as_u64(), Some(written.len() as u64));
    assert_eq!(data["coarse_inputs"], serde_json::json!([]));
    assert_eq!(names(folder.path()), ["model.onnx"]);
    assert_eq!(ran.stderr, format!("written to {}\n", out.display()));
}

#[test]
fn a_file_is_replaced_only_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.onnx");
    fs::write(&out, "a person's work").unwrap();
    let ran = export(&bundle_file("svm"), &out, &[]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""));
    let says = format!("{} is there already: name another file, or say --force\n", out.display());
    assert_eq!(ran.stderr, says);
    assert_eq!(fs::read(&out).unwrap(), b"a person's work");
    assert_eq!(export(&bundle_file("svm"), &out, &["--force"]).exit, 0);
    assert_eq!(fs::read(&out).unwrap(), write(&bundle("svm"), env!("CARGO_PKG_VERSION")).unwrap());
    assert_eq!(names(folder.path()), ["model.onnx"]);
}

#[test]
fn the_bundle_itself_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    fs::copy(bundle_file("svm"), &file).unwrap();
    let before = fs::read(&file).unwrap();
    let out = folder.path().join(".").join("model.safetensors");
    let ran = export(&file.display().to_string(), &out, &["--force"]);
    assert_eq!(ran.exit, 4);
    assert!(ran.stderr.contains("is the bundle itself"), "{}", ran.stderr);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_place_that_cant_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("nowhere/model.onnx");
    let ran = export(&bundle_file("svm"), &out, &[]);
    assert_eq!(ran.exit, 4);
    assert!(ran.stderr.starts_with(&format!("{}: No such file", out.display())), "{}", ran.stderr);
    let out = folder.path().join("folder");
    fs::create_dir(&out).unwrap();
    assert_eq!(export(&bundle_file("svm"), &out, &["--force"]).exit, 4);
    assert_eq!(names(folder.path()), ["folder"], "nothing is left beside it");
}

#[test]
fn models_that_scale_a_site_by_itself_need_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let ran = export(&bundle_file("own_site"), &folder.path().join("a.onnx"), &[]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.starts_with(&bundle_file("own_site")), "{}", ran.stderr);
    for part in ["class 'malignant'", "by that site's own rows", "`wardround-site predict`"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert!(names(folder.path()).is_empty());
    let error = write(&bundle("own_site"), "0").unwrap_err();
    assert_eq!(error, ExportError::NeedsOwnRows("malignant".into()));
}

#[test]
fn what_is_no_bundle_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let outs = tempfile::tempdir().unwrap();
    for (file, says) in broken(folder.path()) {
        let ran = export(&file, &outs.path().join("a.onnx"), &[]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{file}");
        assert!(ran.stderr.contains(&says) && ran.stderr.contains(&file), "{}", ran.stderr);
    }
    assert!(names(outs.path()).is_empty());
}

#[test]
fn features_that_float32_spoils_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let ran = export(&bundle_file("large_means"), &folder.path().join("a.onnx"), &[]);
    assert_eq!(ran.exit, 0);
    assert!(ran.stderr.contains("float32 keeps too few digits of 5 of the features"));
    assert!(coarse_inputs(&bundle("filled")).is_empty());
    assert!(
        coarse_inputs(&bundle("own_site")).is_empty()
            && coarse_inputs(&bundle("forest")).is_empty()
    );

    // The bound holds: rounding the mean itself moves the probability by no more.
    let bundle = bundle("large_means");
    let worst = coarse_inputs(&bundle).into_iter().max_by(|a, b| a.moves.total_cmp(&b.moves));
    let worst = worst.unwrap();
    let linear = bundle.models[usize::from(worst.class)].scorer.linear().unwrap();
    let wardround_learn::findings::FinalScaler::All { mean, .. } = &linear.scaler else {
        panic!("scaled over all sites");
    };
    let judge = |row: &[f64]| {
        wardround_learn::bundle::predict(&bundle, row).unwrap()[usize::from(worst.class)]
    };
    let mut rounded = mean.clone();
    rounded[worst.feature] = f64::from(mean[worst.feature] as f32);
    let moved = (judge(&rounded) - judge(mean)).abs();
    assert!(moved > 0.0 && moved <= worst.moves, "{moved:e} of {:e}", worst.moves);
}

#[test]
fn metadata_says_what_the_columns_are() {
    // Texts are plain in the file.
    let file = fs::read(golden_file("images.onnx")).unwrap();
    let text = String::from_utf8_lossy(&file);
    for part in [
        r#"["mel","nv","bcc"]"#,
        r#"["mel","bcc"]"#,
        "Made up",
        "wardround 0.1.0",
        r#""backbone":"resnet18""#,
        "in this order: mel, bcc",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let bundle = bundle("images");
    let thresholds: Vec<f64> = bundle.models.iter().map(|model| model.threshold).collect();
    assert!(text.contains(&serde_json::to_string(&thresholds).unwrap()));
    assert!(!text.contains("graz"), "sites aren't named");
}
