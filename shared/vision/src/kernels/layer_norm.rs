//! Layer norm over the channels of each pixel (Ba, Kiros and Hinton, "Layer Normalization", 2016).
//!
//! Three passes over a row that lies in the first-level cache: mean, variance around that mean, result. One pass with the sum of
//! squares would lose the variance of a row whose mean is large.

use super::lanes::{Lanes, Portable};
use super::{Aligned, LANE, Level, check_rows, padded};

/// Weights of a layer norm, padded with zeros.
#[derive(Debug)]
pub(crate) struct PackedLayerNorm {
    level: Level,
    channels: usize,
    width: usize,
    eps: f32,
    weight: Aligned,
    bias: Aligned,
    /// One for each channel among the last [`LANE`] that is real, zero for padding.
    last: Aligned,
}

impl PackedLayerNorm {
    /// `weight` and `bias` have one number for each channel; `eps` is added to the variance.
    pub(crate) fn new(level: Level, weight: &[f32], bias: &[f32], eps: f64) -> Self {
        let channels = weight.len();
        assert!(channels > 0 && bias.len() == channels, "one weight and one bias for each channel");
        let width = padded(channels);
        let fill = |values: &[f32]| {
            let mut filled = Aligned::zeros(width);
            filled[..channels].copy_from_slice(values);
            filled
        };
        let mut last = Aligned::zeros(LANE);
        last[..channels - (width - LANE)].fill(1.0);
        Self {
            level,
            channels,
            width,
            eps: eps as f32,
            weight: fill(weight),
            bias: fill(bias),
            last,
        }
    }

    /// Channels read and written for each pixel, padding included.
    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

/// Normalises `pixels` rows of [`PackedLayerNorm::width`] channels: row p is read at `input[p * input_pitch..]` and written at
/// `output[p * output_pitch..]`. What the input has as padding doesn't count, if it is finite; the output's padding is zero.
///
/// # Panics
/// If a row leaves its slice, or output rows overlap.
pub(crate) fn layer_norm(
    packed: &PackedLayerNorm,
    pixels: usize,
    input: &[f32],
    input_pitch: usize,
    output: &mut [f32],
    output_pitch: usize,
) {
    check_rows(pixels, input_pitch, packed.width, input.len());
    check_rows(pixels, output_pitch, packed.width, output.len());
    let rows = Rows {
        pixels,
        input: input.as_ptr(),
        input_pitch,
        output: output.as_mut_ptr(),
        output_pitch,
    };
    // SAFETY: both views were checked for `pixels` rows of `width` channels; `level` was detected on this machine or is portable.
    unsafe {
        match packed.level {
            Level::Portable => portable(packed, &rows),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2(packed, &rows),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512(packed, &rows),
        }
    }
}

struct Rows {
    pixels: usize,
    input: *const f32,
    input_pitch: usize,
    output: *mut f32,
    output_pitch: usize,
}

/// # Safety
/// The instructions of `V` exist, the rows are checked.
#[inline(always)]
unsafe fn body<V: Lanes>(packed: &PackedLayerNorm, rows: &Rows) {
    // SAFETY: channels stay below `width`, which was checked for every row and is the length of weight and bias; `last` holds
    // LANE floats.
    unsafe {
        let whole = packed.width - LANE;
        let (weight, bias, last) =
            (packed.weight.as_ptr(), packed.bias.as_ptr(), packed.last.as_ptr());
        for pixel in 0..rows.pixels {
            let row = rows.input.add(pixel * rows.input_pitch);
            let to = rows.output.add(pixel * rows.output_pitch);
            let sum = sum_of_powers::<V, 1>(row, whole, last, V::splat(0.0));
            let middle = V::splat(sum / packed.channels as f32);
            let squares = sum_of_powers::<V, 2>(row, whole, last, middle);
            let factor = V::splat(1.0 / (squares / packed.channels as f32 + packed.eps).sqrt());
            for c in (0..packed.width).step_by(V::COUNT) {
                let scale = factor.mul(V::load(weight.add(c)));
                let d = V::load(row.add(c)).sub(middle);
                d.multiply_add(scale, V::load(bias.add(c))).store(to.add(c));
            }
        }
    }
}

/// The sum of (x - middle)^P, P being 1 or 2, over `whole` floats of a row and those of the next [`LANE`] where `last` is one.
///
/// # Safety
/// The instructions of `V` exist, and `whole + LANE` floats may be read at `row`, [`LANE`] at `last`.
#[inline(always)]
unsafe fn sum_of_powers<V: Lanes, const P: usize>(
    row: *const f32,
    whole: usize,
    last: *const f32,
    middle: V,
) -> f32 {
    // SAFETY: forwarded to the caller; `whole` is a multiple of LANE, and LANE of COUNT.
    unsafe {
        // Independent sums, since each addition waits for the one before.
        let mut sums = [V::splat(0.0); 4];
        let step = 4 * V::COUNT;
        let unrolled = whole / step * step;
        for c in (0..unrolled).step_by(step) {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(power::<V, P>(row.add(c + i * V::COUNT), middle));
            }
        }
        for c in (unrolled..whole).step_by(V::COUNT) {
            sums[0] = sums[0].add(power::<V, P>(row.add(c), middle));
        }
        for c in (0..LANE).step_by(V::COUNT) {
            let power = power::<V, P>(row.add(whole + c), middle);
            sums[1] = power.multiply_add(V::load(last.add(c)), sums[1]);
        }
        sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum()
    }
}

/// # Safety
/// The instructions of `V` exist, and `COUNT` floats may be read at `from`.
#[inline(always)]
unsafe fn power<V: Lanes, const P: usize>(from: *const f32, middle: V) -> V {
    // SAFETY: forwarded to the caller.
    unsafe {
        let d = V::load(from).sub(middle);
        if P == 1 { d } else { d.mul(d) }
    }
}

unsafe fn portable(packed: &PackedLayerNorm, rows: &Rows) {
    // SAFETY: forwarded to the caller.
    unsafe { body::<Portable>(packed, rows) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(packed: &PackedLayerNorm, rows: &Rows) {
    // SAFETY: forwarded to the caller.
    unsafe { body::<std::arch::x86_64::__m256>(packed, rows) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(packed: &PackedLayerNorm, rows: &Rows) {
    // SAFETY: forwarded to the caller.
    unsafe { body::<std::arch::x86_64::__m512>(packed, rows) }
}
