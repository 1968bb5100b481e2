//! bfloat16, the upper half of an f32, with which newer processors multiply twice as fast.
//!
//! Only what is multiplied is rounded (to the nearest, ties to even); sums, biases, activations and maps are f32. Every level rounds
//! at the same places, so a machine without bfloat16 instructions computes the same study, only slower.

use super::convolve::check;
use super::lanes::{Lanes, Portable};
use super::{LANE, PairLevel};

/// A bfloat16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

impl Bf16 {
    /// The nearest bfloat16, of two equally near ones the even one. NaN stays NaN.
    pub(crate) fn round(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            // Quiet, so that a mantissa whose upper bits are zero doesn't become infinity.
            return Self((bits >> 16) as u16 | 0x40);
        }
        let even = (bits >> 16) & 1;
        Self(((bits + 0x7fff + even) >> 16) as u16)
    }

    /// The same number.
    #[cfg(test)]
    pub(crate) fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Two numbers as one word, the first in its lower half.
    pub(super) fn pair(first: Self, second: Self) -> u32 {
        u32::from(first.0) | u32::from(second.0) << 16
    }
}

/// Rounds the pixels that begin at these offsets, `channels` each, into pixels that follow one another in `to`. Numbers below
/// 2^-126 may become zero.
///
/// # Panics
/// If an offset leaves its slice, `to` has another length, or `channels` isn't a multiple of 16.
pub(crate) fn gather(
    level: PairLevel,
    channels: usize,
    input: &[f32],
    from: &[u32],
    to: &mut [Bf16],
) {
    assert!(channels.is_multiple_of(LANE), "channels are padded");
    assert_eq!(to.len(), from.len() * channels, "as many numbers come as go");
    check(from, channels, input.len());
    for (pixel, &start) in to.chunks_exact_mut(channels.max(1)).zip(from) {
        let row = &input[start as usize..][..channels];
        // SAFETY: both hold `channels` numbers, a multiple of LANE; `level` was detected on this machine or is portable.
        unsafe {
            match level {
                PairLevel::Portable => portable(row, pixel),
                #[cfg(target_arch = "x86_64")]
                PairLevel::Avx2 => x86::avx2(row, pixel),
                #[cfg(target_arch = "x86_64")]
                PairLevel::Native => x86::native(row, pixel),
            }
        }
    }
}

/// # Safety
/// The instructions of `V` exist, and `to` is as long as `from`, a multiple of LANE.
#[inline(always)]
unsafe fn round_row<V: Lanes>(from: &[f32], to: &mut [Bf16]) {
    for at in (0..from.len()).step_by(V::COUNT) {
        // SAFETY: `at` plus a register stays within both.
        unsafe { V::load(from.as_ptr().add(at)).store_bf16(to.as_mut_ptr().add(at)) }
    }
}

unsafe fn portable(from: &[f32], to: &mut [Bf16]) {
    // SAFETY: forwarded to the caller.
    unsafe { round_row::<Portable>(from, to) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m256bh, __m256i, _mm256_storeu_si256, _mm512_cvtneps_pbh, _mm512_loadu_ps,
    };

    use super::{Bf16, LANE, round_row};

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(from: &[f32], to: &mut [Bf16]) {
        // SAFETY: forwarded to the caller.
        unsafe { round_row::<__m256>(from, to) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn native(from: &[f32], to: &mut [Bf16]) {
        for at in (0..from.len()).step_by(LANE) {
            // SAFETY: `at` plus a register stays within both; the intrinsic's type and the integers are the same 32 bytes.
            unsafe {
                let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from.as_ptr().add(at)));
                let rounded = std::mem::transmute::<__m256bh, __m256i>(rounded);
                _mm256_storeu_si256(to.as_mut_ptr().add(at).cast(), rounded);
            }
        }
    }
}
