//! Every architecture against timm, with generated weights; `make_architectures.py` made the numbers.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use candle_core::{Device, Tensor};
use serde_json::Value;
use wardround_vision::backbones::{
    Architecture, ConvNext, DenseNet, EfficientNet, MobileNetV2, OnCandle, ResNet, SwinTransformer,
    Vgg, VisionTransformer, load_architecture,
};
use wardround_vision::{Backbone, Precision, WeightsSource, backbones};

use super::{generated, golden};

/// max|a - b| / max|b| may be this.
const TOLERANCE: f32 = 1e-4;

static EXPECTED: LazyLock<HashMap<String, Tensor>> = LazyLock::new(|| {
    candle_core::safetensors::load(golden("architectures.safetensors"), &Device::Cpu).unwrap()
});

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference, in units of `largest`.
fn difference(got: &[f32], want: &[f32], largest: f32) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

fn expected(what: &str) -> &'static Tensor {
    EXPECTED.get(what).unwrap_or_else(|| panic!("make_architectures.py doesn't know {what}"))
}

/// Height, width and the weights' gain of a golden.
pub fn input(name: &str) -> (usize, usize, f64) {
    let input = expected(name).to_vec1::<f64>().unwrap();
    (input[0] as usize, input[1] as usize, input[2])
}

/// What runs an architecture.
#[derive(Debug, Clone, Copy)]
enum Engine {
    /// The compiled plan.
    Plan,
    /// candle's own operations.
    Candle,
}

/// Features of two images, together and alone, and maps of the first. `name` is the architecture's, or `NAME@HEIGHTxWIDTH`.
fn assert_timms(name: &str, architecture: &dyn Architecture, engine: Engine) {
    let (height, width, gain) = input(name);
    let channels = architecture.network().image_channels();
    let state = generated::state(architecture, gain);
    let backbone: Box<dyn Backbone> = match engine {
        Engine::Plan => load_architecture(architecture, state, [0; 32], Precision::F32).unwrap(),
        Engine::Candle => Box::new(OnCandle::on_cpu(architecture, state, [0; 32]).unwrap()),
    };

    let [first, second] = [0, 1].map(|n| generated::image(n, channels, height, width));
    let want = expected(&format!("{name}/features"));
    let together = backbone.forward(&Tensor::cat(&[&first, &second], 0).unwrap()).unwrap();
    assert_eq!(together.dims(), want.dims(), "{name}");
    for i in 0..2 {
        let want = values(&want.get(i).unwrap());
        let largest = want.iter().fold(0f32, |most, v| most.max(v.abs()));
        let difference = difference(&values(&together.get(i).unwrap()), &want, largest);
        assert!(difference <= TOLERANCE, "{name}: features of image {i} in a batch: {difference}");
    }

    let stages: Vec<&str> = backbone.stages().iter().map(|stage| stage.name.as_str()).collect();
    for (stage, map) in stages.iter().zip(backbone.forward_stages(&first, &stages).unwrap()) {
        let want = values(expected(&format!("{name}/{stage}")));
        let (largest, want) = want.split_first().unwrap();
        let got = values(&map);
        let every = got.len().div_ceil(256);
        let got: Vec<f32> = got.into_iter().step_by(every).collect();
        let difference = difference(&got, want, *largest);
        assert!(difference <= TOLERANCE, "{name}: {stage}: {difference}");
    }

    let want = values(&want.get(0).unwrap());
    let largest = want.iter().fold(0f32, |most, v| most.max(v.abs()));
    let alone = values(&backbone.forward(&first).unwrap());
    let difference = difference(&alone, &want, largest);
    assert!(difference <= TOLERANCE, "{name}: features of one image: {difference}");
}

/// Large networks one at a time: tests of one process run at once.
static ONE: Mutex<()> = Mutex::new(());

fn assert_all_timms(architectures: &[&dyn Architecture]) {
    for architecture in architectures {
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert_timms(architecture.name(), *architecture, Engine::Plan);
    }
}

/// In candle's operations too, as that is slow, for one network of each kind.
fn assert_timms_on_both(name: &str, architecture: &dyn Architecture) {
    for engine in [Engine::Plan, Engine::Candle] {
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert_timms(name, architecture, engine);
    }
}

#[test]
fn resnets_are_timms() {
    assert_all_timms(&[
        &ResNet::RESNET18,
        &ResNet::RESNET34,
        &ResNet::RESNET50,
        &ResNet::RESNET101,
        &ResNet::RESNET152,
    ]);
}

#[test]
fn vggs_are_timms() {
    assert_all_timms(&[&Vgg::VGG11, &Vgg::VGG13, &Vgg::VGG16, &Vgg::VGG19]);
}

#[test]
fn vggs_with_batch_norm_are_timms() {
    assert_all_timms(&[&Vgg::VGG11_BN, &Vgg::VGG13_BN, &Vgg::VGG16_BN, &Vgg::VGG19_BN]);
}

#[test]
fn densenets_are_timms_and_torchxrayvisions() {
    assert_all_timms(&[
        &DenseNet::DENSENET121,
        &DenseNet::DENSENET161,
        &DenseNet::DENSENET169,
        &DenseNet::DENSENET201,
        &DenseNet::XRAY_DENSENET121,
    ]);
}

#[test]
fn efficientnets_are_timms() {
    assert_all_timms(&[
        &EfficientNet::B0,
        &EfficientNet::B1,
        &EfficientNet::B2,
        &EfficientNet::B3,
        &EfficientNet::B4,
        &EfficientNet::B5,
        &EfficientNet::B6,
        &EfficientNet::B7,
    ]);
}

#[test]
fn efficientnets_of_tensorflow_are_timms() {
    assert_all_timms(&[
        &EfficientNet::TF_B0,
        &EfficientNet::TF_B1,
        &EfficientNet::TF_B2,
        &EfficientNet::TF_B3,
        &EfficientNet::TF_B4,
        &EfficientNet::TF_B5,
        &EfficientNet::TF_B6,
        &EfficientNet::TF_B7,
    ]);
}

#[test]
fn lite_efficientnets_and_mobilenet_are_timms() {
    assert_all_timms(&[
        &EfficientNet::TF_LITE0,
        &EfficientNet::TF_LITE1,
        &EfficientNet::TF_LITE2,
        &EfficientNet::TF_LITE3,
        &MobileNetV2,
    ]);
}

#[test]
fn vits_are_timms() {
    assert_timms_on_both("vit_tiny_patch16_224", &VisionTransformer::TINY);
    assert_timms_on_both("vit_tiny_patch16_224@160x256", &VisionTransformer::TINY);
    assert_all_timms(&[
        &VisionTransformer::SMALL,
        &VisionTransformer::BASE,
        &VisionTransformer::SMALL_PATCH8,
        &VisionTransformer::BASE_PATCH8,
    ]);
}

#[test]
fn deits_are_timms() {
    assert_all_timms(&[
        &VisionTransformer::DEIT_TINY,
        &VisionTransformer::DEIT_SMALL,
        &VisionTransformer::DEIT_BASE,
    ]);
}

#[test]
fn dinov2s_are_timms_at_any_multiple_of_14() {
    assert_timms_on_both("vit_small_patch14_dinov2@154x238", &VisionTransformer::DINOV2_SMALL);
    assert_timms(
        "vit_small_patch14_dinov2@224x224",
        &VisionTransformer::DINOV2_SMALL,
        Engine::Plan,
    );
    assert_all_timms(&[&VisionTransformer::DINOV2_SMALL, &VisionTransformer::DINOV2_BASE]);
}

#[test]
fn swins_are_timms() {
    assert_timms_on_both("swin_tiny_patch4_window7_224", &SwinTransformer::TINY);
    assert_timms_on_both("swin_tiny_patch4_window7_224@224x448", &SwinTransformer::TINY);
    assert_all_timms(&[&SwinTransformer::SMALL, &SwinTransformer::BASE]);
}

#[test]
fn convnexts_are_timms() {
    assert_timms_on_both("convnext_tiny@97x161", &ConvNext::TINY);
    assert_all_timms(&[&ConvNext::TINY, &ConvNext::SMALL, &ConvNext::BASE]);
}

#[test]
fn entries_are_as_timm_describes_them() {
    let registry: Value =
        serde_json::from_slice(&std::fs::read(golden("registry.json")).unwrap()).unwrap();
    for entry in backbones() {
        let size = &registry["architectures"][entry.architecture().name()];
        assert_eq!(size["features"], entry.features, "{}", entry.name);
        assert_eq!(size["parameters"], entry.parameters, "{}", entry.name);
        let WeightsSource::Hf { repo, .. } = entry.source() else { continue };
        let Some(published) = repo.strip_prefix("timm/") else { continue };
        let timm = &registry["published"][published];
        assert!(timm.is_object(), "timm publishes no {published}");
        let licence = entry.licence.to_string().to_lowercase();
        assert_eq!(timm["licence"], licence, "{published}");
        let preprocess = serde_json::to_value(entry.preprocess()).unwrap();
        // DINOv2 at another size than timm's says so in its name.
        if !entry.name.ends_with("_dinov2_224") {
            assert_eq!(timm["input_size"], entry.input_size, "{published}");
            let shorter_side = entry.input_size as f64 / timm["crop_pct"].as_f64().unwrap();
            assert_eq!(preprocess["shorter_side"], shorter_side.floor() as usize, "{published}");
        }
        assert_eq!(preprocess["interpolation"], timm["interpolation"], "{published}");
        for scale in ["mean", "std"] {
            let single = |value: &Value| -> Vec<f32> {
                let values = value[scale].as_array().unwrap().iter();
                values.map(|v| v.as_f64().unwrap() as f32).collect()
            };
            assert_eq!(single(&preprocess), single(timm), "{published}");
        }
    }
}
