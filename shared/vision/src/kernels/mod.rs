//! The CPU kernels: one implicit-GEMM convolution, for f32 and for bfloat16 pixels, Winograd's way for 3x3 kernels, one direct depthwise
//! convolution, attention, norms.
//!
//! Layout is NHWC with the channels of a pixel padded with zeros to a multiple of [`LANE`] floats. A convolution reads
//! its input through a list of pixel offsets (the indirection buffer of Dukhan, "The Indirect Convolution
//! Algorithm", 2019), so stride, padding, row ends and image ends are all just offsets, and a border pixel is the
//! offset of a run of zeros.
//!
//! This is the only module of the crate with `unsafe` code. The functions that it exports are safe: each checks every
//! offset against its slice before the first raw access. Each is compiled for three [`Level`]s and chosen at run time.

#![expect(
    unsafe_code,
    reason = "vector intrinsics and reads through checked offsets: a bounds check per multiply-add costs more than the work"
)]

#[macro_use]
mod unrolled;

mod affine;
mod aligned;
mod attention;
mod bf16;
mod convolve;
mod convolve_bf16;
mod depthwise;
mod epilogue;
mod lanes;
mod layer_norm;
#[cfg(test)]
pub(crate) mod reference;
mod team;
mod winograd;

pub(crate) use affine::{PackedAffine, add_pixels, affine, scale_channels};
pub(crate) use aligned::Aligned;
pub(crate) use attention::{Group, PackedAttention, Windows, Wrapped, attention};
pub(crate) use bf16::{Bf16, gather};
pub(crate) use convolve::{Dense, PackedConvolution, Residual, convolve};
pub(crate) use convolve_bf16::{PackedBf16, PairLevel, convolve_bf16};
pub(crate) use depthwise::{PackedDepthwise, depthwise_row};
pub(crate) use epilogue::{Epilogue, activate};
pub(crate) use layer_norm::{PackedLayerNorm, layer_norm};
pub(crate) use team::Team;
pub(crate) use winograd::{Added, Bands, Extent, Grid, PackedWinograd, TILE, winograd};

/// Channels of a pixel are padded to a multiple of this many floats (one AVX-512 register, one cache line).
pub(crate) const LANE: usize = 16;

/// `channels` rounded up to a multiple of [`LANE`].
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANE)
}

/// The instructions that a kernel may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Plain Rust; runs everywhere.
    Portable,
    /// AVX2 and FMA, 8 floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, 16 floats.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best level of this machine.
    pub(crate) fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// All levels that this machine can run, the best last.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                levels.push(Self::Avx512);
            }
        }
        levels
    }
}

/// Panics unless `pixels` rows of `channels` floats, `pitch` apart, fit in `len` floats and don't overlap.
fn check_rows(pixels: usize, pitch: usize, channels: usize, len: usize) {
    let fits = match pixels.checked_sub(1) {
        None => true,
        Some(last) => last
            .checked_mul(pitch)
            .and_then(|start| start.checked_add(channels))
            .is_some_and(|end| end <= len),
    };
    assert!(
        fits && (pixels < 2 || pitch >= channels),
        "{pixels} rows of {channels} floats, {pitch} apart, don't fit in {len}"
    );
}

#[cfg(test)]
mod tests;
