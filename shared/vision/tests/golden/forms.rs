//! Weights in others' form against the others' programs; `make_forms.py` made the numbers.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Device, Tensor};
use wardround_vision::Precision;
use wardround_vision::backbones::{
    Architecture, ConvNext, SwinTransformer, VisionTransformer, load_architecture,
};
use wardround_vision::weights::{StateDict, WeightsError};

use super::features::difference;
use super::{generated, golden};

/// Names and shapes of a case's tensors.
pub fn tensors(case: &str) -> BTreeMap<String, Vec<usize>> {
    let bytes = std::fs::read(golden("forms.json")).unwrap();
    let mut cases: BTreeMap<String, _> = serde_json::from_slice(&bytes).unwrap();
    cases.remove(case).unwrap_or_else(|| panic!("make_forms.py doesn't know {case}"))
}

/// Generated weights for them.
pub fn state(tensors: &BTreeMap<String, Vec<usize>>) -> StateDict {
    let parameter = |(name, shape): (&String, &Vec<usize>)| {
        (name.clone(), generated::parameter(name, shape, 1.0))
    };
    tensors.iter().map(parameter).collect()
}

/// The features of two images.
fn assert_theirs(form: &str, architecture: &dyn Architecture) {
    let case = format!("{}/{form}", architecture.name());
    let expected: HashMap<String, Tensor> =
        candle_core::safetensors::load(golden("forms.safetensors"), &Device::Cpu).unwrap();
    let size = expected[&case].to_vec1::<f64>().unwrap();
    let image = |n| generated::image(n, 3, size[0] as usize, size[1] as usize);
    let images = Tensor::cat(&[image(0), image(1)], 0).unwrap();
    let backbone =
        load_architecture(architecture, state(&tensors(&case)), [0; 32], Precision::F32).unwrap();
    let features = backbone.forward(&images).unwrap();
    let difference = difference(&features, &expected[&format!("{case}/features")]);
    assert!(difference <= 1e-4, "{case}: {difference}");
}

#[test]
fn vits_in_hugging_faces_form_are_theirs() {
    assert_theirs("hugging_face", &VisionTransformer::TINY);
    assert_theirs("hugging_face", &VisionTransformer::DINOV2_SMALL);
}

#[test]
fn swins_in_hugging_faces_and_the_original_form_are_theirs() {
    assert_theirs("hugging_face", &SwinTransformer::TINY);
    assert_theirs("original", &SwinTransformer::TINY);
}

#[test]
fn convnexts_in_hugging_faces_and_the_original_form_are_theirs() {
    assert_theirs("hugging_face", &ConvNext::TINY);
    assert_theirs("original", &ConvNext::TINY);
}

/// Queries, keys and values that don't belong together aren't merged, and the error names what is there instead.
#[test]
fn a_part_of_an_attention_that_is_missing_is_named() {
    let mut tensors = tensors("vit_tiny_patch16_224/hugging_face");
    tensors.remove("vit.encoder.layer.7.attention.attention.key.bias").unwrap();
    let error =
        load_architecture(&VisionTransformer::TINY, state(&tensors), [0; 32], Precision::F32);
    let error = error.map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, WeightsError::Missing { tensor, expected, .. }
        if tensor == "blocks.7.attn.qkv.bias" && expected == &[576]),
        "{error}"
    );
    assert!(error.to_string().contains("blocks.7.attn.q.bias"), "{error}");
}
