//! Features and maps against torch, and the compiled plan against candle's operations.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use wardround_vision::backbones::{Compiled, load_architecture};
use wardround_vision::network::candle::CandleNetwork;
use wardround_vision::weights::{Parameter, StateDict};
use wardround_vision::{
    Backbone, BackboneEntry, LocalWeights, Precision, WeightsError, load_backbone, read_picture,
};

use super::photographs::store;
use super::{generated, golden, pictures};

/// One of every kind; what a whole family does, `architectures.rs` tests.
const KINDS: [&str; 5] =
    ["resnet18", "efficientnet_lite0", "efficientnet_b0", "mobilenetv2_100", "densenet121"];

fn with_generated_weights(entry: &BackboneEntry) -> Box<dyn Backbone> {
    let state = generated::state(entry.architecture(), 1.0);
    load_architecture(entry.architecture(), state, [0; 32], Precision::F32).unwrap()
}

fn batch(entry: &BackboneEntry) -> Tensor {
    let preprocess = entry.preprocess();
    let images: Vec<Vec<f32>> =
        pictures().iter().map(|path| preprocess.apply(&read_picture(path).unwrap())).collect();
    preprocess.tensor(&images).unwrap()
}

fn expected(name: &str) -> Tensor {
    static FEATURES: std::sync::OnceLock<HashMap<String, Tensor>> = std::sync::OnceLock::new();
    let read =
        || candle_core::safetensors::load(golden("features.safetensors"), &Device::Cpu).unwrap();
    FEATURES.get_or_init(read)[name].clone()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// max|a - b| / max|b|.
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    a.iter().zip(&b).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

/// Row by row: cosine above 0.9999 and no difference over 1e-3 of the largest feature.
fn assert_close(got: &Tensor, want: &Tensor) {
    assert_eq!(got.dims(), want.dims());
    for i in 0..got.dims()[0] {
        let (got, want) = (got.get(i).unwrap(), want.get(i).unwrap());
        let difference = difference(&got, &want);
        assert!(difference <= 1e-3, "image {i}: {difference}");
        let [a, b] = [values(&got), values(&want)];
        let dot = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        assert!(cosine > 0.9999, "image {i}: cosine {cosine}");
    }
}

fn lite0() -> LocalWeights {
    let entry = BackboneEntry::find("efficientnet_lite0").unwrap();
    store().fetch(&entry.source(), entry.digest()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn lite0_with_imagenet_weights_has_torchs_features() {
    let entry = BackboneEntry::find("efficientnet_lite0").unwrap();
    let backbone = load_backbone(entry, &lite0(), Precision::F32).unwrap();
    let features = backbone.forward(&batch(entry)).unwrap();
    assert_close(&features, &expected("efficientnet_lite0"));
}

#[test]
fn resnet18_with_generated_weights_has_torchs_features_and_maps() {
    let entry = BackboneEntry::find("resnet18").unwrap();
    let backbone = with_generated_weights(entry);
    let batch = batch(entry);
    assert_close(&backbone.forward(&batch).unwrap(), &expected("resnet18"));
    let stages = ["layer1", "layer2", "layer3", "layer4"];
    let first = batch.narrow(0, 0, 1).unwrap();
    for (name, map) in stages.iter().zip(backbone.forward_stages(&first, &stages).unwrap()) {
        let map = map.get(0).unwrap();
        let side = map.dims()[1] as u32;
        let at = Tensor::new(&[0, side / 2, side - 1], &Device::Cpu).unwrap();
        let points = map.index_select(&at, 1).unwrap().index_select(&at, 2).unwrap();
        let difference = difference(&points, &expected(&format!("resnet18.{name}")));
        assert!(difference <= 1e-4, "{name}: {difference}");
    }
}

#[test]
fn every_backbone_equals_its_description_in_candle_at_odd_sizes() {
    for entry in KINDS.map(|name| BackboneEntry::find(name).unwrap()) {
        let backbone = with_generated_weights(entry);
        let network = entry.architecture().network();
        let state = generated::state(entry.architecture(), 1.0);
        let last = network.last();
        let reference =
            CandleNetwork::new(network, &state, &Device::Cpu, candle_core::DType::F32).unwrap();
        for (height, width) in [(65, 97), (33, 40)] {
            let pixels: Vec<f32> = generated::uniform("pixels", 2 * 3 * height * width)
                .map(|u| 2.0 * u as f32)
                .collect();
            let images = Tensor::from_vec(pixels, (2, 3, height, width), &Device::Cpu).unwrap();
            let want = reference.forward(&images, &[last]).unwrap().maps.remove(0);
            let got = backbone.forward_features(&images).unwrap();
            let difference = difference(&got, &want);
            assert!(difference <= 1e-4, "{} at {height} x {width}: {difference}", entry.name);
            let pooled = want.mean((2, 3)).unwrap();
            assert_close(&backbone.forward(&images).unwrap(), &pooled);
        }
    }
}

#[test]
fn an_image_has_the_same_features_in_every_batch() {
    for entry in ["resnet18", "efficientnet_lite0"].map(|name| BackboneEntry::find(name).unwrap()) {
        let backbone = with_generated_weights(entry);
        let batch = batch(entry);
        let together = backbone.forward(&batch).unwrap();
        for i in [0, 7, 15] {
            let alone = backbone.forward(&batch.narrow(0, i, 1).unwrap()).unwrap();
            assert_eq!(
                values(&alone),
                values(&together.narrow(0, i, 1).unwrap()),
                "{}",
                entry.name
            );
        }
    }
}

#[test]
fn stages_have_the_shapes_they_announce() {
    for entry in KINDS.map(|name| BackboneEntry::find(name).unwrap()) {
        let backbone = with_generated_weights(entry);
        let image = Tensor::zeros((1, 3, 64, 96), candle_core::DType::F32, &Device::Cpu).unwrap();
        let names: Vec<&str> = backbone.stages().iter().map(|stage| stage.name.as_str()).collect();
        let maps = backbone.forward_stages(&image, &names).unwrap();
        for (stage, map) in backbone.stages().iter().zip(maps) {
            assert_eq!(
                map.dims(),
                [1, stage.channels, 64 / stage.reduction, 96 / stage.reduction],
                "{}",
                stage.name
            );
        }
        let error = backbone.forward_stages(&image, &["blocks.99"]).unwrap_err().to_string();
        assert!(error.contains("blocks.99") && error.contains(names[1]), "{error}");
    }
}

#[test]
fn wrong_weights_are_named() {
    let entry = BackboneEntry::find("resnet18").unwrap();
    let good = generated::state(entry.architecture(), 1.0);
    let compile = |state| {
        Compiled::new(entry.architecture(), state, [0; 32], Precision::F32).map(|_| ()).unwrap_err()
    };
    type Change<'a> = &'a dyn Fn(&str, Parameter) -> Option<(String, Parameter)>;
    let changed = |change: Change<'_>| -> StateDict {
        let network = entry.architecture().network();
        let parameters = network.parameters();
        parameters
            .iter()
            .filter_map(|(name, shape)| change(name, generated::parameter(name, shape, 1.0)))
            .collect()
    };
    assert!(Compiled::new(entry.architecture(), good, [0; 32], Precision::F32).is_ok());
    let missing = compile(changed(&|name, p| {
        (name != "layer2.0.conv1.weight").then(|| (name.to_owned(), p))
    }));
    assert!(
        matches!(&missing, WeightsError::Missing { tensor, expected, .. }
        if tensor == "layer2.0.conv1.weight" && expected == &[128, 64, 3, 3]),
        "{missing}"
    );
    let renamed = compile(changed(&|name, p| Some((name.replace("bn1.bias", "norm1.bias"), p))));
    assert!(
        renamed.to_string().contains("`bn1.bias`") && renamed.to_string().contains("norm1.bias"),
        "{renamed}"
    );
    let shape = compile(changed(&|name, mut p| {
        if name == "conv1.weight" {
            p.shape = vec![64, 1, 7, 7];
        }
        Some((name.to_owned(), p))
    }));
    assert_eq!(
        shape.to_string(),
        "tensor `conv1.weight` has shape [64, 1, 7, 7], expected [64, 3, 7, 7]"
    );
    let infinite = compile(changed(&|name, mut p| {
        if name == "layer4.1.bn2.running_var" {
            p.values[3] = f32::INFINITY;
        }
        Some((name.to_owned(), p))
    }));
    assert!(infinite.to_string().contains("layer4.1.bn2.running_var"), "{infinite}");
}

#[test]
fn a_file_of_another_network_is_refused() {
    let entry = BackboneEntry::find("efficientnet_lite0").unwrap();
    let other = LocalWeights { path: golden("tiny-legacy.pth"), digest: [0; 32] };
    let error = load_backbone(entry, &other, Precision::F32).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("conv_stem.weight"), "{error}");
    let none = LocalWeights { path: Path::new("nowhere.pth").to_owned(), digest: [0; 32] };
    assert!(
        load_backbone(entry, &none, Precision::F32)
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .contains("nowhere.pth")
    );
}
