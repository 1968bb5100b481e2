//! Exported files against onnxruntime: the bytes are those that it ran, and its probabilities are
//! `predict`'s on the same float32 rows, to 1e-5.

use std::collections::BTreeMap;

use serde::Deserialize;
use wardround::export::onnx::write;
use wardround_learn::bundle::predict;

use crate::{bundle, golden_file};

/// By how much float32 probabilities may differ.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    exported_by: String,
    rows: Vec<Vec<Option<f64>>>,
    probabilities: Vec<Vec<Option<f64>>>,
}

fn cases() -> BTreeMap<String, Case> {
    let text = std::fs::read_to_string(golden_file("onnx.json")).expect("a golden file");
    serde_json::from_str::<Golden>(&text).expect("as the script writes it").cases
}

#[test]
fn exported_bytes_are_those_that_onnxruntime_ran() {
    for (name, case) in cases() {
        let exported = write(&bundle(&name), &case.exported_by).unwrap();
        let ran = std::fs::read(golden_file(&format!("{name}.onnx"))).unwrap();
        assert!(exported == ran, "{name}: run check_onnx.py again if the change is meant");
    }
}

#[test]
fn onnxruntime_says_what_predict_says() {
    let (mut judged, mut refused) = (0, 0);
    for (name, case) in cases() {
        let bundle = bundle(&name);
        for (at, (row, expected)) in case.rows.iter().zip(&case.probabilities).enumerate() {
            // Rows were float32; what was beyond it was infinite.
            let row: Vec<f64> =
                row.iter().map(|x| f64::from(x.map_or(f32::NAN, |x| x as f32))).collect();
            match predict(&bundle, &row) {
                Ok(got) => {
                    assert_eq!(got.len(), expected.len());
                    for (got, expected) in got.iter().zip(expected) {
                        let off = (got - expected.expect("a judged row has a number")).abs();
                        assert!(off < TOLERANCE, "{name}, row {at}: {off:e}");
                        judged += 1;
                    }
                }
                Err(_) => {
                    assert!(expected.iter().all(Option::is_none), "{name}, row {at} is refused");
                    refused += 1;
                }
            }
        }
    }
    // 12 rows of 36 columns; without three rows of `refused`, one of each kind of trees, two of `kernel` and one of each
    // ensemble with trees, 1 + 3 + 1 + 1 + 1 columns.
    assert_eq!((judged, refused), (12 * 40 - 3 - 3 - 1 - 2 - 2 - 2, 11));
}

#[test]
fn golden_cases_hold_what_they_are_for() {
    let cases = cases();
    let missing = |name: &str| cases[name].rows.iter().flatten().filter(|x| x.is_none()).count();
    assert!(missing("filled") >= 8 && missing("boosting") >= 3 && missing("refused") == 1);
    let large = bundle("large_means");
    let scaler = &large.models[0].scorer.linear().unwrap().scaler;
    let wardround_learn::findings::FinalScaler::All { mean, deviation } = scaler else {
        panic!("scaled over all sites");
    };
    assert!(mean.iter().zip(deviation).all(|(mean, deviation)| *mean > 1e5 * deviation));
    assert_eq!(large.models.len(), 3);
}
