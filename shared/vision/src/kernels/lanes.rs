//! One vector register of floats, so that a kernel's body is written once.
//!
//! The methods are always inlined into functions that enable the matching target feature; called from elsewhere they
//! would be slow, and on a machine without the feature undefined.

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
    /// `self * factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn clamp(self, low: Self, high: Self) -> Self;
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
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(low.0[i]).min(high.0[i])))
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
        unsafe fn clamp(self, low: Self, high: Self) -> Self {
            // SAFETY: the caller vouches for AVX2.
            unsafe { _mm256_min_ps(_mm256_max_ps(self, low), high) }
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
        unsafe fn clamp(self, low: Self, high: Self) -> Self {
            // SAFETY: the caller vouches for AVX-512.
            unsafe { _mm512_min_ps(_mm512_max_ps(self, low), high) }
        }
    }
}
