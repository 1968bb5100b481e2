//! `wardround model` on bundles that `golden/check_onnx.py` made: what it prints, and what it exports.

mod export;
mod golden;
#[path = "../ran/mod.rs"]
mod ran;
mod show;

use std::path::{Path, PathBuf};
use std::process::Command;

use wardround_learn::bundle::ModelBundle;

use crate::ran::Ran;

/// Runs the binary with nothing of the tester's own environment.
fn wardround(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_wardround"))
        .args(arguments)
        .env_clear()
        .output()
        .expect("the binary is built");
    Ran::of(output)
}

/// A golden file.
fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx").join(name)
}

/// The golden bundle of a case, as an argument.
fn bundle_file(case: &str) -> String {
    golden_file(&format!("{case}.safetensors")).display().to_string()
}

fn bundle(case: &str) -> ModelBundle {
    let bytes = std::fs::read(bundle_file(case)).expect("a golden file");
    ModelBundle::read(&bytes).expect("a bundle")
}

/// Files that are no bundles, each with what is said of it.
fn broken(folder: &Path) -> Vec<(String, String)> {
    let whole = std::fs::read(bundle_file("filled")).expect("a golden file");
    let mut not_finite = whole.clone();
    let at = whole.len() - 8;
    not_finite[at..].copy_from_slice(&f64::NAN.to_le_bytes());
    let made: [(&str, &[u8], String); 7] = [
        ("empty", b"", "the file is empty, expected a model bundle".into()),
        ("text", b"sex,age,class\nf,70,1\n", "expected a model bundle, but it is not a".into()),
        (
            "archive.zip",
            b"PK\x03\x04 and so on",
            "its entry model.safetensors is the bundle".into(),
        ),
        ("header", &whole[..100], "the file is cut off in its header: expected more than".into()),
        (
            "cut",
            &whole[..whole.len() - 1],
            format!("the file is cut off: expected {} bytes, got {}", whole.len(), whole.len() - 1),
        ),
        ("not_finite", &not_finite, "weights isn't finite".into()),
        (
            "onnx",
            &std::fs::read(golden_file("filled.onnx")).expect("a golden file"),
            "expected a model bundle".into(),
        ),
    ];
    let written = made.into_iter().map(|(name, bytes, says)| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("the folder can be written");
        (path.display().to_string(), says)
    });
    let missing = folder.join("missing").display().to_string();
    written.chain([(missing, "No such file".into())]).collect()
}
