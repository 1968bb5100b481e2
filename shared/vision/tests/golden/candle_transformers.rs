//! The plan against candle-transformers' networks of the same weights: a second reference, from other hands than timm's.
//!
//! Its ResNets are right: where timm pads the first pooling with minus infinity it repeats the border, whose maximum is the same. Its
//! ViT is right at the size it was trained on, and unwritten at others (`todo!`). Its DINOv2 deviates: GELU is the tanh approximation
//! instead of erf, the layer norms' epsilon is 1e-5 instead of 1e-6, and the position embedding is resampled by nearest neighbour
//! instead of bicubically; it takes one image at a time. So it is held to 518 pixels, where nothing is resampled, and to a tolerance
//! that the approximation needs.
//!
//! Where a network gives only its classifier's scores, the classifier is the identity.

use std::collections::HashMap;

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{Activation, Func, VarBuilder};
use candle_transformers::models::{dinov2, resnet, vit};
use wardround_vision::Precision;
use wardround_vision::backbones::{Architecture, ResNet, VisionTransformer, load_architecture};
use wardround_vision::weights::StateDict;

use super::features::difference;
use super::{architectures, forms, generated};

/// The weights as candle-transformers takes them, with a classifier of this shape whose scores are its first inputs.
fn variables(
    state: &StateDict,
    classifier: &str,
    [scores, inputs]: [usize; 2],
) -> VarBuilder<'static> {
    let mut tensors: HashMap<String, Tensor> = state
        .shapes()
        .map(|(name, shape)| {
            let values = state.get(name).unwrap().values.as_slice();
            (name.to_owned(), Tensor::from_slice(values, shape, &Device::Cpu).unwrap())
        })
        .collect();
    let mut weight = vec![0f32; scores * inputs];
    (0..scores.min(inputs)).for_each(|i| weight[i * inputs + i] = 1.0);
    let weight = Tensor::from_vec(weight, (scores, inputs), &Device::Cpu).unwrap();
    let bias = Tensor::zeros(scores, DType::F32, &Device::Cpu).unwrap();
    tensors.insert(format!("{classifier}.weight"), weight);
    tensors.insert(format!("{classifier}.bias"), bias);
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

fn ours(architecture: &dyn Architecture, state: StateDict, images: &Tensor) -> Tensor {
    let backbone = load_architecture(architecture, state, [0; 32], Precision::F32).unwrap();
    backbone.forward(images).unwrap()
}

fn images(height: usize, width: usize) -> Tensor {
    Tensor::cat(&[0, 1].map(|n| generated::image(n, 3, height, width)), 0).unwrap()
}

#[test]
fn resnets_are_candle_transformers() {
    type Make = fn(VarBuilder<'_>) -> Result<Func<'_>>;
    let all: [(ResNet, Make); 5] = [
        (ResNet::RESNET18, resnet::resnet18_no_final_layer),
        (ResNet::RESNET34, resnet::resnet34_no_final_layer),
        (ResNet::RESNET50, resnet::resnet50_no_final_layer),
        (ResNet::RESNET101, resnet::resnet101_no_final_layer),
        (ResNet::RESNET152, resnet::resnet152_no_final_layer),
    ];
    for (architecture, make) in all {
        let name = architecture.name();
        let state = generated::state(&architecture, architectures::input(name).2);
        // An odd size among them, as the first pooling's border is what differs.
        for images in [images(96, 128), images(75, 99)] {
            let theirs = make(variables(&state, "fc", [0, 0])).unwrap().forward(&images).unwrap();
            let difference = difference(&ours(&architecture, state.clone(), &images), &theirs);
            assert!(difference <= 1e-4, "{name}: {difference}");
        }
    }
}

#[test]
fn a_vit_with_hugging_faces_keys_is_candle_transformers() {
    let state = forms::state(&forms::tensors("vit_tiny_patch16_224/hugging_face"));
    let config = vit::Config {
        hidden_size: 192,
        num_hidden_layers: 12,
        num_attention_heads: 3,
        intermediate_size: 768,
        hidden_act: Activation::Gelu,
        layer_norm_eps: 1e-6,
        image_size: 224,
        patch_size: 16,
        num_channels: 3,
        qkv_bias: true,
    };
    let images = images(224, 224);
    let theirs = vit::Model::new(&config, 192, variables(&state, "classifier", [192, 192]));
    let theirs = theirs.unwrap().forward(&images).unwrap();
    let difference = difference(&ours(&VisionTransformer::TINY, state, &images), &theirs);
    assert!(difference <= 1e-4, "{difference}");
}

#[test]
fn dinov2_is_candle_transformers_but_for_its_approximations() {
    let architecture = VisionTransformer::DINOV2_SMALL;
    let state = generated::state(&architecture, architectures::input(architecture.name()).2);
    // Its classifier sees the class token, then the mean of the patches.
    let theirs = dinov2::vit_small(variables(&state, "head", [1000, 2 * 384])).unwrap();
    let [near, far] = [518, 224].map(|size| {
        let image = generated::image(0, 3, size, size);
        let theirs = theirs.forward(&image).unwrap().narrow(1, 0, 384).unwrap();
        difference(&ours(&architecture, state.clone(), &image), &theirs)
    });
    assert!(near <= 5e-4, "{near}");
    assert!(far > 0.1, "{far}: it resamples rightly by now, so hold it to that");
}
