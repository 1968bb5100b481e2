//! Kernels that go over pixels once and keep no sums but one for each channel: scale and shift of every channel, and their mean.
//!
//! Scale, shift and clamp is batch norm before a convolution (Huang et al., "Densely Connected Convolutional Networks", CVPR
//! 2017), applied while a block of pixels is packed into scratch. With a scale alone it is the gate of a squeeze-and-excite layer
//! (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018), whose two small layers are convolutions of one pixel.

use super::epilogue::{Clamp, Curve, Gelu, Sigmoid, Silu};
use super::lanes::{Lanes, Portable};
use super::{Aligned, Epilogue, Level, check_rows, padded};

/// One scale and shift for each channel, padded with zeros.
#[derive(Debug)]
pub(crate) struct PackedAffine {
    level: Level,
    width: usize,
    scale: Aligned,
    shift: Aligned,
}

impl PackedAffine {
    /// `scale` and `shift` have one number for each channel.
    pub(crate) fn new(level: Level, scale: &[f32], shift: &[f32]) -> Self {
        assert_eq!(scale.len(), shift.len(), "one scale and one shift for each channel");
        let width = padded(scale.len());
        let fill = |values: &[f32]| {
            let mut filled = Aligned::zeros(width);
            filled[..values.len()].copy_from_slice(values);
            filled
        };
        Self { level, width, scale: fill(scale), shift: fill(shift) }
    }

    /// Channels read and written for each pixel, padding included.
    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

/// Scales, shifts and activates `pixels` rows of [`PackedAffine::width`] channels: row p is read at `input[p * input_pitch..]` and
/// written at `output[p * output_pitch..]`.
///
/// # Panics
/// If a row leaves its slice, or output rows overlap.
pub(crate) fn affine(
    packed: &PackedAffine,
    epilogue: Epilogue,
    pixels: usize,
    input: &[f32],
    input_pitch: usize,
    output: &mut [f32],
    output_pitch: usize,
) {
    let factors = Factors { scale: &packed.scale, shift: &packed.shift, width: packed.width };
    rows(packed.level, &factors, epilogue, pixels, (input, input_pitch), (output, output_pitch));
}

/// Multiplies the channels of `pixels` rows by `gate`: row p is read at `input[p * input_pitch..]` and written at
/// `output[p * output_pitch..]`, `gate.len()` channels each, a multiple of 16.
///
/// # Panics
/// If a row leaves its slice, output rows overlap, or the gate isn't a multiple of 16 long.
pub(crate) fn scale_channels(
    level: Level,
    gate: &[f32],
    pixels: usize,
    input: &[f32],
    input_pitch: usize,
    output: &mut [f32],
    output_pitch: usize,
) {
    let factors = Factors { scale: gate, shift: &[], width: gate.len() };
    rows(level, &factors, Epilogue::LINEAR, pixels, (input, input_pitch), (output, output_pitch));
}

/// Adds `pixels` rows to `sums`, channel by channel: row p is read at `input[p * pitch..]`, `sums.len()` channels, a multiple of
/// 16. Called for a few rows of a map at a time, the sums keep more digits than in one call.
///
/// # Panics
/// If a row leaves its slice, or the sums aren't a multiple of 16 long.
pub(crate) fn add_pixels(
    level: Level,
    pixels: usize,
    input: &[f32],
    pitch: usize,
    sums: &mut [f32],
) {
    assert_eq!(sums.len(), padded(sums.len()), "channels are padded");
    check_rows(pixels, pitch, sums.len(), input.len());
    // SAFETY: the input was checked for `pixels` rows of as many channels as there are sums; `level` was detected on this machine
    // or is portable.
    unsafe {
        match level {
            Level::Portable => portable::add(pixels, input.as_ptr(), pitch, sums),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::add(pixels, input.as_ptr(), pitch, sums),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::add(pixels, input.as_ptr(), pitch, sums),
        }
    }
}

/// `width` scales, and as many shifts or none.
struct Factors<'a> {
    scale: &'a [f32],
    shift: &'a [f32],
    width: usize,
}

fn rows(
    level: Level,
    factors: &Factors<'_>,
    epilogue: Epilogue,
    pixels: usize,
    (input, input_pitch): (&[f32], usize),
    (output, output_pitch): (&mut [f32], usize),
) {
    let Factors { scale, shift, width } = *factors;
    assert_eq!(width, padded(width), "channels are padded");
    assert_eq!(scale.len(), width, "one scale for each channel");
    assert!(shift.is_empty() || shift.len() == width, "one shift for each channel");
    check_rows(pixels, input_pitch, width, input.len());
    check_rows(pixels, output_pitch, width, output.len());
    for pixel in 0..pixels {
        let (from, to) =
            (&input[pixel * input_pitch..][..width], &mut output[pixel * output_pitch..][..width]);
        // SAFETY: all slices hold `width` floats, but for an empty shift; `level` was detected on this machine or is portable.
        unsafe {
            match level {
                Level::Portable => portable::row(scale, shift, from, to, epilogue),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2::row(scale, shift, from, to, epilogue),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512::row(scale, shift, from, to, epilogue),
            }
        }
    }
}

/// # Safety
/// The instructions of `V` exist, and all slices are as long as `to`, a multiple of LANE, but for an empty shift.
#[inline(always)]
unsafe fn row_body<V: Lanes>(
    scale: &[f32],
    shift: &[f32],
    from: &[f32],
    to: &mut [f32],
    curve: &impl Curve<V>,
) {
    // SAFETY: channels stay below the common length.
    unsafe {
        let to_start = to.as_mut_ptr();
        if shift.is_empty() {
            for c in (0..to.len()).step_by(V::COUNT) {
                let x = V::load(from.as_ptr().add(c)).mul(V::load(scale.as_ptr().add(c)));
                curve.apply(x).store(to_start.add(c));
            }
        } else {
            for c in (0..to.len()).step_by(V::COUNT) {
                let (scale, shift) =
                    (V::load(scale.as_ptr().add(c)), V::load(shift.as_ptr().add(c)));
                let x = V::load(from.as_ptr().add(c)).multiply_add(scale, shift);
                curve.apply(x).store(to_start.add(c));
            }
        }
    }
}

/// # Safety
/// The instructions of `V` exist, and `pixels` rows of `sums.len()` floats may be read, a multiple of LANE.
#[inline(always)]
unsafe fn add_body<V: Lanes, const N: usize>(
    pixels: usize,
    input: *const f32,
    pitch: usize,
    sums: *mut f32,
) {
    // SAFETY: the caller vouches for N registers of channels in each row and in `sums`.
    unsafe {
        let mut totals = [V::splat(0.0); N];
        for pixel in 0..pixels {
            let row = input.add(pixel * pitch);
            for (n, total) in totals.iter_mut().enumerate() {
                *total = total.add(V::load(row.add(n * V::COUNT)));
            }
        }
        for (n, total) in totals.iter().enumerate() {
            let at = sums.add(n * V::COUNT);
            total.add(V::load(at)).store(at);
        }
    }
}

macro_rules! level {
    ($name:ident, $register:ty $(, $feature:literal)?) => {
        mod $name {
            use super::*;

            /// # Safety
            /// The features of this level exist; the slices are as `row_body` wants them.
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn row(scale: &[f32], shift: &[f32], from: &[f32], to: &mut [f32], epilogue: Epilogue) {
                // SAFETY: forwarded to the caller.
                unsafe {
                    match epilogue {
                        Epilogue::Clamp { low, high } => {
                            let clamp = Clamp { low: <$register>::splat(low), high: <$register>::splat(high) };
                            row_body(scale, shift, from, to, &clamp);
                        }
                        Epilogue::Silu => row_body::<$register>(scale, shift, from, to, &Silu),
                        Epilogue::Gelu => row_body::<$register>(scale, shift, from, to, &Gelu),
                        Epilogue::Sigmoid => row_body::<$register>(scale, shift, from, to, &Sigmoid),
                    }
                }
            }

            /// # Safety
            /// The features of this level exist; `pixels` rows of `sums.len()` floats may be read, a multiple of LANE.
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn add(pixels: usize, input: *const f32, pitch: usize, sums: &mut [f32]) {
                let wide = 4 * <$register>::COUNT;
                let mut c = 0;
                // SAFETY: `c` plus the registers of a call stays within the sums.
                unsafe {
                    while c + wide <= sums.len() {
                        add_body::<$register, 4>(pixels, input.add(c), pitch, sums.as_mut_ptr().add(c));
                        c += wide;
                    }
                    while c < sums.len() {
                        add_body::<$register, 1>(pixels, input.add(c), pitch, sums.as_mut_ptr().add(c));
                        c += <$register>::COUNT;
                    }
                }
            }
        }
    };
}

level!(portable, Portable);
#[cfg(target_arch = "x86_64")]
level!(avx2, std::arch::x86_64::__m256, "avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(avx512, std::arch::x86_64::__m512, "avx512f");
