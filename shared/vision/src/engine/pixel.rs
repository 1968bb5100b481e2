//! What is done to single pixels: norms and activations.

use crate::kernels::{
    Epilogue, Level, PackedAffine, PackedLayerNorm, activate, affine as apply_affine, layer_norm,
};
use crate::network::{Activation, Normalise, PixelNorm, affine};
use crate::weights::{StateDict, WeightsError};

/// The kernels' word for an activation.
pub(super) fn epilogue(activation: Activation) -> Epilogue {
    match activation {
        Activation::Linear => Epilogue::LINEAR,
        Activation::Relu => Epilogue::RELU,
        Activation::Relu6 => Epilogue::RELU6,
        Activation::Silu => Epilogue::Silu,
        Activation::Gelu => Epilogue::Gelu,
    }
}

/// A norm of single pixels and the activation behind it.
#[derive(Debug)]
pub(super) struct Norm {
    level: Level,
    kind: Kind,
    epilogue: Epilogue,
}

#[derive(Debug)]
enum Kind {
    Batch(PackedAffine),
    Layer(PackedLayerNorm),
}

impl Norm {
    pub(super) fn new(
        level: Level,
        normalise: &Normalise,
        state: &StateDict,
    ) -> Result<Self, WeightsError> {
        let epilogue = epilogue(normalise.activation);
        match &normalise.norm {
            PixelNorm::Batch { name, eps } => {
                let (scale, shift) = affine(name, *eps, state)?;
                let single =
                    |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
                let packed = PackedAffine::new(level, &single(scale), &single(shift));
                Ok(Self { level, kind: Kind::Batch(packed), epilogue })
            }
            PixelNorm::Layer { name, eps } => {
                Ok(Self { epilogue, ..Self::layer(level, name, *eps, state)? })
            }
        }
    }

    /// A layer norm without activation.
    pub(super) fn layer(
        level: Level,
        name: &str,
        eps: f64,
        state: &StateDict,
    ) -> Result<Self, WeightsError> {
        let weight = state.values(&format!("{name}.weight"))?;
        let bias = state.values(&format!("{name}.bias"))?;
        let packed = PackedLayerNorm::new(level, weight, bias, eps);
        Ok(Self { level, kind: Kind::Layer(packed), epilogue: Epilogue::LINEAR })
    }

    /// Channels read and written for each pixel, padding included.
    pub(super) fn width(&self) -> usize {
        match &self.kind {
            Kind::Batch(packed) => packed.width(),
            Kind::Layer(packed) => packed.width(),
        }
    }

    /// Pixels at the beginning of `from`, a pitch apart, become those at the beginning of `to`.
    pub(super) fn run(
        &self,
        pixels: usize,
        (from, from_pitch): (&[f32], usize),
        (to, to_pitch): (&mut [f32], usize),
    ) {
        match &self.kind {
            Kind::Batch(packed) => {
                apply_affine(packed, self.epilogue, pixels, from, from_pitch, to, to_pitch);
            }
            Kind::Layer(packed) => {
                layer_norm(packed, pixels, from, from_pitch, to, to_pitch);
                if self.epilogue != Epilogue::LINEAR {
                    for pixel in to.chunks_mut(to_pitch).take(pixels) {
                        activate(self.level, self.epilogue, &mut pixel[..packed.width()]);
                    }
                }
            }
        }
    }
}
