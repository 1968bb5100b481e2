//! One vector register of floats, so that a kernel's body is written once.
//!
//! The methods are always inlined into functions that enable the matching target feature; called from elsewhere they
//! would be slow, and on a machine without the feature undefined.

/// Floats around 1.5 * 2^23 have no fraction and end in their value as an integer: adding this rounds, and subtracting it again
/// gives the whole number.
pub(super) const WHOLE: f32 = 12_582_912.0;

/// A register of `COUNT` floats.
///
/// # Safety
/// Callers make sure that the instructions exist on this machine, and that `COUNT` floats may be read or written at the
/// pointer. No alignment is needed.
pub(super) trait Lanes: Copy {
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

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
    }
}
