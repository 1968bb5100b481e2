//! Weights and images that are computed, not stored, so that a check or a test needs no file. `tests/golden/make_architectures.py` has
//! the same in Python.

use super::{Parameter, StateDict};
use crate::backbones::Architecture;
use candle_core::{Device, Tensor};

/// u in [-1, 1) for each element of what is called `name`.
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> + use<> {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (0..count as u64).map(move |i| {
        let mut z = hash.wrapping_add(i).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// One tensor of a weights file. The gain, usually 1, widens the weights.
pub fn parameter(name: &str, shape: &[usize], gain: f64) -> Parameter {
    let count = shape.iter().product();
    let fan_in = shape.iter().skip(1).product::<usize>() as f64;
    let factors = [".running_var", "gamma", ".lambda1", ".layer_scale_parameter"];
    let (start, scale) = match () {
        () if name.ends_with(".weight") && shape.len() > 1 => (0.0, (6.0 * gain / fan_in).sqrt()),
        () if name.ends_with(".weight") => (1.0, 0.1),
        () if factors.iter().any(|end| name.ends_with(end)) => (1.0, 0.5),
        () if shape.len() < 2 => (0.0, 0.1),
        () => (0.0, 1.0),
    };
    let values = uniform(name, count).map(|u| (start + u * scale) as f32).collect();
    Parameter { shape: shape.to_vec(), values }
}

/// A whole weights file.
pub fn state(architecture: &dyn Architecture, gain: f64) -> StateDict {
    let parameters = architecture.network().parameters().into_iter();
    parameters.map(|(name, shape)| (name.clone(), parameter(&name, &shape, gain))).collect()
}

/// Image number n, `[1, channels, height, width]`: 3 x 3 patches under noise.
pub fn image(n: usize, channels: usize, height: usize, width: usize) -> Tensor {
    let mut values = Vec::with_capacity(channels * height * width);
    for c in 0..channels {
        let patches: Vec<f64> = uniform(&format!("image {n} {c}"), 9).collect();
        let pixels = uniform(&format!("pixels {n} {c}"), height * width);
        values.extend(pixels.enumerate().map(|(at, u)| {
            let (y, x) = (at / width * 3 / height, at % width * 3 / width);
            (3.0 * patches[3 * y + x] + u) as f32
        }));
    }
    Tensor::from_vec(values, (1, channels, height, width), &Device::Cpu)
        .expect("there are as many values as the shape says")
}
