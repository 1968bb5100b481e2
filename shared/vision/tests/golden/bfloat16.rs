//! Published weights in bfloat16: a study may ask for it, and its features must stay those of f32.
//! `bench/admit_bf16.py` judges on thousands of images; this keeps what it found.

use std::path::PathBuf;

use candle_core::Tensor;
use wardround_vision::{BackboneEntry, Precision, load_backbone, read_picture};

use super::photographs::store;
use super::pictures;

/// What admits a backbone.
const COSINE: f64 = 0.9995;

#[test]
fn published_weights_keep_their_features_in_bfloat16() {
    let entry = BackboneEntry::find("efficientnet_lite0").unwrap();
    assert!(entry.admits(Precision::Bf16));
    let weights = store().fetch(&entry.source(), entry.digest()).unwrap();
    let images = batch(entry, &pictures());
    let features = |precision| -> Vec<Vec<f32>> {
        let backbone = load_backbone(entry, &weights, precision).unwrap();
        backbone.forward(&images).unwrap().to_vec2().unwrap()
    };
    let (full, half) = (features(Precision::F32), features(Precision::Bf16));
    assert_ne!(full, half, "bfloat16 was asked for and not used");
    for (full, half) in full.iter().zip(&half) {
        let cosine = dot(full, half) / (dot(full, full) * dot(half, half)).sqrt();
        assert!(cosine >= COSINE, "cosine {cosine}");
    }
}

fn batch(entry: &BackboneEntry, paths: &[PathBuf]) -> Tensor {
    let preprocess = entry.preprocess();
    let images: Vec<_> =
        paths.iter().map(|path| preprocess.apply(&read_picture(path).unwrap())).collect();
    preprocess.tensor(&images).unwrap()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
