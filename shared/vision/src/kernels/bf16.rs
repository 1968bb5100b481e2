//! bfloat16, the upper half of an f32: a number of half the traffic, with which newer processors multiply twice as fast.
//!
//! Only what is stored is rounded (to the nearest, ties to even); sums, biases and activations are f32. Every level rounds at the
//! same places, so a machine without bfloat16 instructions computes the same study, only slower.

#![allow(dead_code, reason = "the engine doesn't compute in bfloat16 yet")]

use super::Level;
use super::lanes::{Lanes, Portable};

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
    pub(crate) fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Two numbers as one word, the first in its lower half.
    pub(super) fn pair(first: Self, second: Self) -> u32 {
        u32::from(first.0) | u32::from(second.0) << 16
    }
}

/// What maps may consist of.
pub(crate) trait Element: Copy {
    /// # Safety
    /// The instructions of `V` exist, and `V::COUNT` elements may be read.
    unsafe fn load<V: Lanes>(from: *const Self) -> V;
    /// # Safety
    /// The instructions of `V` exist, and `V::COUNT` elements may be written.
    unsafe fn store<V: Lanes>(values: V, to: *mut Self);
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: forwarded to the caller.
        unsafe { V::load(from) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(values: V, to: *mut Self) {
        // SAFETY: forwarded to the caller.
        unsafe { values.store(to) }
    }
}

impl Element for Bf16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: forwarded to the caller.
        unsafe { V::load_bf16(from) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(values: V, to: *mut Self) {
        // SAFETY: forwarded to the caller.
        unsafe { values.store_bf16(to) }
    }
}

/// Rounds each of `from` into `to`.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn narrow(level: Level, from: &[f32], to: &mut [Bf16]) {
    convert(level, from, to);
}

/// Widens each of `from` into `to`.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn widen(level: Level, from: &[Bf16], to: &mut [f32]) {
    convert(level, from, to);
}

fn convert<A: Element, B: Element>(level: Level, from: &[A], to: &mut [B]) {
    assert_eq!(from.len(), to.len(), "as many numbers come as go");
    // SAFETY: both hold as many; `level` was detected on this machine or is portable.
    unsafe {
        match level {
            Level::Portable => portable::convert(from, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::convert(from, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::convert(from, to),
        }
    }
}

/// # Safety
/// The instructions of `V` exist, and `to` is as long as `from`.
#[inline(always)]
unsafe fn convert_body<V: Lanes, A: Element, B: Element>(from: &[A], to: &mut [B]) {
    let whole = from.len() / V::COUNT * V::COUNT;
    // SAFETY: registers end at `whole`; the rest goes one by one through the first lane of registers in memory of their own.
    unsafe {
        for at in (0..whole).step_by(V::COUNT) {
            B::store(A::load::<V>(from.as_ptr().add(at)), to.as_mut_ptr().add(at));
        }
        for at in whole..from.len() {
            // As long as the longest register.
            let (one, mut other) = ([from[at]; super::LANE], [to[at]; super::LANE]);
            B::store(A::load::<V>(one.as_ptr()), other.as_mut_ptr());
            to[at] = other[0];
        }
    }
}

macro_rules! level {
    ($name:ident, $register:ty $(, $feature:literal)?) => {
        mod $name {
            use super::*;

            /// # Safety
            /// The features of this level exist, and `to` is as long as `from`.
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn convert<A: Element, B: Element>(from: &[A], to: &mut [B]) {
                // SAFETY: forwarded to the caller.
                unsafe { convert_body::<$register, A, B>(from, to) }
            }
        }
    };
}

level!(portable, Portable);
#[cfg(target_arch = "x86_64")]
level!(avx2, std::arch::x86_64::__m256, "avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(avx512, std::arch::x86_64::__m512, "avx512f");
