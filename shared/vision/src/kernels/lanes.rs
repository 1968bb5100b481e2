//! One vector register of floats, so that a kernel's body is written once.
//!
//! The methods are always inlined into functions that enable the matching target feature; called from elsewhere they
//! would be slow, and on a machine without the feature undefined.

use super::Bf16;

/// Floats around 1.5 * 2^23 have no fraction and end in their value as an integer: adding this rounds, and subtracting it again
/// gives the whole number.
pub(super) const WHOLE: f32 = 12_582_912.0;

/// A register of `COUNT` floats.
///
/// # Safety
/// Callers make sure that the instructions exist on this machine, and that `COUNT` floats may be read or written at the
/// pointer. No alignment is needed.
pub(crate) trait Lanes: Copy {
    /// Floats in a register; divides [`super::LANE`].
    const COUNT: usize;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn abs(self) -> Self;
    /// The smaller one; `other` if either is NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// The larger one; `other` if either is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// `self * 2^power` for `biased = power + WHOLE`, a whole power from -126 to 127, and `self` and result that are neither zero
    /// nor subnormal.
    unsafe fn scale(self, biased: Self) -> Self;
    /// `1 / self` to about 2 units in the last place, for numbers that are neither zero nor infinite nor subnormal.
    unsafe fn reciprocal(self) -> Self;

    /// The sum of all floats.
    unsafe fn sum(self) -> f32;
    /// The largest of all floats, NaN aside.
    unsafe fn largest(self) -> f32;

    /// Rounds as [`Bf16::round`] does, and stores.
    unsafe fn store_bf16(self, to: *mut Bf16);
    /// Starts to bring the cache line of an address nearer. Never fails, whatever the address.
    unsafe fn prefetch<T>(from: *const T);
    /// Takes each lane's bits for a pair of bfloat16: the lower halves widened, and the upper ones.
    unsafe fn split(self) -> (Self, Self);

    /// Between `low` and `high`; NaN stays NaN.
    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: forwarded to the caller.
        unsafe { high.min(low.max(self)) }
    }
}

/// Four floats in plain Rust, which the compiler turns into the baseline vector instructions.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Lanes for Portable {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for `COUNT` floats at `from`; an array of floats has their alignment.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for `COUNT` floats at `to`.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * factor.0[i] + sum.0[i]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| if self.0[i] < other.0[i] { self.0[i] } else { other.0[i] }))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| if self.0[i] > other.0[i] { self.0[i] } else { other.0[i] }))
    }

    #[inline(always)]
    unsafe fn scale(self, biased: Self) -> Self {
        let scaled =
            |x: f32, biased: f32| f32::from_bits(x.to_bits().wrapping_add(biased.to_bits() << 23));
        Self(std::array::from_fn(|i| scaled(self.0[i], biased.0[i])))
    }

    #[inline(always)]
    unsafe fn reciprocal(self) -> Self {
        Self(std::array::from_fn(|i| 1.0 / self.0[i]))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.0.iter().sum()
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.0.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut Bf16) {
        // SAFETY: the caller vouches for `COUNT` numbers at `to`.
        unsafe { to.cast::<[Bf16; 4]>().write(self.0.map(Bf16::round)) }
    }

    #[inline(always)]
    unsafe fn split(self) -> (Self, Self) {
        let lower = self.0.map(|pair| f32::from_bits(pair.to_bits() << 16));
        let upper = self.0.map(|pair| f32::from_bits(pair.to_bits() & 0xffff_0000));
        (Self(lower), Self(upper))
    }

    #[inline(always)]
    unsafe fn prefetch<T>(_: *const T) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Bf16, Lanes};

    impl Lanes for __m256 {
        const COUNT: usize = 8;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller vouches for AVX2 and the pointer.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller vouches for AVX2 and the pointer.
            unsafe { _mm256_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: the caller vouches for FMA.
            unsafe { _mm256_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_sub_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_mul_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn abs(self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self) }
        }

        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_min_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_max_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn scale(self, biased: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe {
                let power = _mm256_slli_epi32::<23>(_mm256_castps_si256(biased));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self), power))
            }
        }

        #[inline(always)]
        unsafe fn reciprocal(self) -> Self {
            // SAFETY: the caller vouches for AVX2 and FMA.
            unsafe {
                // 12 bits, and one step of Newton's method.
                let near = _mm256_rcp_ps(self);
                _mm256_mul_ps(near, _mm256_fnmadd_ps(self, near, _mm256_set1_ps(2.0)))
            }
        }

        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: the caller vouches for AVX2.
            unsafe {
                let four =
                    _mm_add_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }

        #[inline(always)]
        unsafe fn largest(self) -> f32 {
            // SAFETY: the caller vouches for AVX2.
            unsafe {
                let four =
                    _mm_max_ps(_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self));
                let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
            }
        }

        #[inline(always)]
        unsafe fn store_bf16(self, to: *mut Bf16) {
            // SAFETY: the caller vouches for AVX2 and the pointer.
            unsafe {
                let bits = _mm256_castps_si256(self);
                let upper = _mm256_srli_epi32::<16>(bits);
                let even = _mm256_and_si256(upper, _mm256_set1_epi32(1));
                let half = _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff));
                let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
                let quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
                let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(self, self));
                let words = _mm256_blendv_epi8(rounded, quiet, is_nan);
                // Packing works within 128 bits: quarters 0 and 2 are the result.
                let packed = _mm256_packus_epi32(words, words);
                let packed = _mm256_permute4x64_epi64::<0b1000>(packed);
                _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed));
            }
        }

        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller vouches for AVX2.
            unsafe {
                let bits = _mm256_castps_si256(self);
                let upper = _mm256_and_si256(bits, _mm256_set1_epi32(0xffff_0000_u32 as i32));
                let lower = _mm256_slli_epi32::<16>(bits);
                (_mm256_castsi256_ps(lower), _mm256_castsi256_ps(upper))
            }
        }

        #[inline(always)]
        unsafe fn prefetch<T>(from: *const T) {
            // SAFETY: a hint, which reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }

    impl Lanes for __m512 {
        const COUNT: usize = 16;

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller vouches for AVX-512 and the pointer.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller vouches for AVX-512 and the pointer.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_sub_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_mul_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn abs(self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_abs_ps(self) }
        }

        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_min_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_max_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn scale(self, biased: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe {
                let power = _mm512_slli_epi32::<23>(_mm512_castps_si512(biased));
                _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self), power))
            }
        }

        #[inline(always)]
        unsafe fn reciprocal(self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe {
                // 14 bits, and one step of Newton's method.
                let near = _mm512_rcp14_ps(self);
                _mm512_mul_ps(near, _mm512_fnmadd_ps(self, near, _mm512_set1_ps(2.0)))
            }
        }

        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_reduce_add_ps(self) }
        }

        #[inline(always)]
        unsafe fn largest(self) -> f32 {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_reduce_max_ps(self) }
        }

        #[inline(always)]
        unsafe fn store_bf16(self, to: *mut Bf16) {
            // SAFETY: the caller vouches for AVX-512 and the pointer.
            unsafe {
                let bits = _mm512_castps_si512(self);
                let upper = _mm512_srli_epi32::<16>(bits);
                let even = _mm512_and_si512(upper, _mm512_set1_epi32(1));
                let half = _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff));
                let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
                let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self, self);
                let quiet = _mm512_set1_epi32(0x40);
                let words = _mm512_mask_or_epi32(rounded, is_nan, upper, quiet);
                _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(words));
            }
        }

        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller vouches for AVX-512.
            unsafe {
                let bits = _mm512_castps_si512(self);
                let upper = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
                let lower = _mm512_slli_epi32::<16>(bits);
                (_mm512_castsi512_ps(lower), _mm512_castsi512_ps(upper))
            }
        }

        #[inline(always)]
        unsafe fn prefetch<T>(from: *const T) {
            // SAFETY: a hint, which reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }
    }
}
