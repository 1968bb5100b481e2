//! The weights of a dense convolution of a map, for products in f32 or in bfloat16.
//!
//! Maps are f32 either way. For bfloat16 the input pixels of a block are rounded on their way into scratch memory, which costs one
//! pass over them, a small part of the products with 64 output channels and more; residuals, norms and activations keep all their
//! digits, and so does what follows from a residual to the next. That is why real weights stay closer to f32 than with maps in
//! bfloat16 (worst cosine of EfficientNet-Lite0 .9997 there).

use crate::kernels::{
    Aligned, Dense, Epilogue, Level, PackedBf16, PackedConvolution, PairLevel, Residual, convolve,
    convolve_bf16, gather, padded,
};
use crate::precision::Precision;

/// Packed weights.
#[derive(Debug)]
pub(super) enum Product {
    F32(PackedConvolution),
    Bf16(PackedBf16),
}

/// Rounded pixels, and where each begins.
#[derive(Debug, Default)]
pub(super) struct Rounded {
    values: Aligned,
    places: Vec<u32>,
}

impl Product {
    pub(super) fn new(level: Level, precision: Precision, dense: &Dense<'_>) -> Self {
        match precision {
            Precision::F32 => Self::F32(PackedConvolution::new(level, dense)),
            Precision::Bf16 => Self::Bf16(PackedBf16::new(PairLevel::detect(level), dense)),
        }
    }

    /// Input channels, without padding.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::F32(packed) => packed.inputs(),
            Self::Bf16(packed) => packed.inputs(),
        }
    }

    /// Multiply-adds for a pixel, padding included.
    pub(super) fn multiply_adds(&self) -> usize {
        match self {
            Self::F32(packed) => packed.multiply_adds(),
            Self::Bf16(packed) => packed.multiply_adds(),
        }
    }

    /// Bytes of a number that is multiplied.
    pub(super) fn number(&self) -> usize {
        match self {
            Self::F32(_) => size_of::<f32>(),
            Self::Bf16(_) => size_of::<f32>() / 2,
        }
    }

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        self.multiply_adds() * self.number()
    }

    /// Convolves as [`convolve`]; the input's pixels are padded.
    #[expect(clippy::too_many_arguments, reason = "those of `convolve` and one more")]
    pub(super) fn run(
        &self,
        input: &[f32],
        from: &[u32],
        output: &mut [f32],
        to: &[u32],
        residual: Residual<'_>,
        epilogue: Epilogue,
        rounded: &mut Rounded,
    ) {
        match self {
            Self::F32(packed) => convolve(packed, input, from, output, to, residual, epilogue),
            Self::Bf16(packed) => {
                let pitch = padded(packed.inputs());
                let Rounded { values, places } = rounded;
                values.reserve((from.len() * pitch).div_ceil(2));
                let values = &mut values.as_bf16_mut()[..from.len() * pitch];
                gather(packed.level(), pitch, input, from, values);
                places.clear();
                places.extend((0..from.len()).map(|p| (p * pitch) as u32));
                convolve_bf16(packed, values, places, output, to, residual, epilogue);
            }
        }
    }
}
