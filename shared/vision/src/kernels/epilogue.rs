//! What happens to a sum between the last multiply-add and its store, and the transcendental functions behind it.
//!
//! Clamps are applied to the sums where they are, in registers. A curve is tens of instructions: written out once for each
//! register of each tile height it would be most of the crate's code, so a tile's sums pass through a scratch of a few
//! kilobytes on the stack, and one function for each level computes the curve from there.
//!
//! erfc is formula 7.1.26 of Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, with an absolute error of at most
//! 1.5e-7; exp splits off a whole power of two, which goes into the exponent.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use super::Level;
use super::lanes::{Lanes, Portable, WHOLE};

/// The activation of a layer. NaN stays NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Epilogue {
    /// min(max(x, low), high).
    Clamp {
        /// Smallest result.
        low: f32,
        /// Largest result.
        high: f32,
    },
    /// x / (1 + exp(-x)).
    Silu,
    /// x / 2 * (1 + erf(x / sqrt 2)).
    Gelu,
    /// 1 / (1 + exp(-x)). Not zero at zero: a pixel's padding becomes 0.5.
    Sigmoid,
}

impl Epilogue {
    /// x as it is.
    pub(crate) const LINEAR: Self = Self::Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// max(x, 0).
    pub(crate) const RELU: Self = Self::Clamp { low: 0.0, high: f32::INFINITY };
    /// min(max(x, 0), 6).
    pub(crate) const RELU6: Self = Self::Clamp { low: 0.0, high: 6.0 };
}

/// Applies the activation to every value, in place.
pub(crate) fn activate(level: Level, epilogue: Epilogue, values: &mut [f32]) {
    // SAFETY: `level` was detected on this machine or is portable.
    unsafe {
        match level {
            Level::Portable => portable::slice(epilogue, values),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::slice(epilogue, values),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::slice(epilogue, values),
        }
    }
}

/// A function of one register.
pub(super) trait Curve<V> {
    /// # Safety
    /// The instructions of `V` exist on this machine.
    unsafe fn apply(&self, x: V) -> V;
}

pub(super) struct Clamp<V> {
    pub(super) low: V,
    pub(super) high: V,
}

pub(super) struct Silu;
pub(super) struct Gelu;
pub(super) struct Sigmoid;

impl<V: Lanes> Curve<V> for Clamp<V> {
    #[inline(always)]
    unsafe fn apply(&self, x: V) -> V {
        // SAFETY: forwarded to the caller.
        unsafe { x.clamp(self.low, self.high) }
    }
}

impl<V: Lanes> Curve<V> for Silu {
    #[inline(always)]
    unsafe fn apply(&self, x: V) -> V {
        // SAFETY: forwarded to the caller.
        unsafe { x.mul(Sigmoid.apply(x)) }
    }
}

impl<V: Lanes> Curve<V> for Sigmoid {
    #[inline(always)]
    unsafe fn apply(&self, x: V) -> V {
        // SAFETY: forwarded to the caller.
        unsafe {
            // This order of the operands lets NaN through.
            let x = V::splat(87.0).min(V::splat(-87.0).max(x));
            V::splat(1.0).add(power_of_two(x, -LOG2_E)).reciprocal()
        }
    }
}

impl<V: Lanes> Curve<V> for Gelu {
    /// max(x, 0) - |x| / 2 * erfc(|x| / sqrt 2): no cancellation where the result is small.
    #[inline(always)]
    unsafe fn apply(&self, x: V) -> V {
        // SAFETY: forwarded to the caller.
        unsafe {
            // Beyond 13 erfc is zero in f32, and infinity times zero would be NaN.
            let size = V::splat(13.0).min(x.abs());
            let s = V::splat(0.327_591_1 * FRAC_1_SQRT_2);
            let t = size.multiply_add(s, V::splat(1.0)).reciprocal();
            let mut p = V::splat(1.061_405_4);
            for a in [-1.453_152_1, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
                p = p.multiply_add(t, V::splat(a));
            }
            let half = size.mul(V::splat(-0.5));
            // Minus half the size times t * p * exp(-size^2 / 2).
            let tail = half.mul(t.mul(p)).mul(power_of_two(size.mul(size), -0.5 * LOG2_E));
            tail.add(V::splat(0.0).max(x))
        }
    }
}

/// 2^(x * factor) for products between -126 and 127. Relative error at most 3e-7 for products up to 8, beyond
/// that 4e-8 for each unit of the product.
///
/// # Safety
/// The instructions of `V` exist on this machine.
#[inline(always)]
pub(super) unsafe fn power_of_two<V: Lanes>(x: V, factor: f32) -> V {
    // SAFETY: forwarded to the caller.
    unsafe {
        let biased = x.multiply_add(V::splat(factor), V::splat(WHOLE));
        let whole = biased.sub(V::splat(WHOLE));
        let rest = x.multiply_add(V::splat(factor), V::splat(0.0).sub(whole));
        let mut p = V::splat(POWERS[0]);
        for c in &POWERS[1..] {
            p = p.multiply_add(rest, V::splat(*c));
        }
        p.scale(biased)
    }
}

/// 2^f = 1 + f * (...) for f in [-0.5, 0.5], the highest power first. Smallest relative error of all such polynomials, 9.2e-8,
/// found by Lawson's algorithm over 4001 points.
const POWERS: [f32; 6] =
    [1.326_472_7e-3, 9.671_513e-3, 5.550_733_7e-2, 0.240_222_42, 0.693_146_97, 1.0];

/// Applies `curve` to `count` registers at `from` and stores them at `to`, which may be the same place.
///
/// # Safety
/// The instructions of `V` exist, and `count * V::COUNT` floats may be read at `from` and written at `to`.
#[inline(always)]
unsafe fn registers<V: Lanes>(curve: impl Curve<V>, from: *const f32, to: *mut f32, count: usize) {
    for at in (0..count * V::COUNT).step_by(V::COUNT) {
        // SAFETY: the caller vouches for `count` registers.
        unsafe { curve.apply(V::load(from.add(at))).store(to.add(at)) }
    }
}

macro_rules! level {
    ($name:ident, $register:ty $(, $feature:literal)?) => {
        pub(super) mod $name {
            use super::*;

            /// Applies the epilogue to `count` registers at `from` and stores them at `to`, which may be the same place.
            ///
            /// # Safety
            /// The features of this level exist; the registers may be read and written.
            #[inline(never)]
            $(#[target_feature(enable = $feature)])?
            pub(in crate::kernels) unsafe fn finish(epilogue: Epilogue, from: *const f32, to: *mut f32, count: usize) {
                // SAFETY: forwarded to the caller.
                unsafe {
                    match epilogue {
                        Epilogue::Clamp { low, high } => {
                            let clamp = Clamp { low: <$register>::splat(low), high: <$register>::splat(high) };
                            registers::<$register>(clamp, from, to, count);
                        }
                        Epilogue::Silu => registers::<$register>(Silu, from, to, count),
                        Epilogue::Gelu => registers::<$register>(Gelu, from, to, count),
                        Epilogue::Sigmoid => registers::<$register>(Sigmoid, from, to, count),
                    }
                }
            }

            /// # Safety
            /// The features of this level exist.
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn slice(epilogue: Epilogue, values: &mut [f32]) {
                let whole = values.len() / <$register>::COUNT;
                let (head, tail) = values.split_at_mut(whole * <$register>::COUNT);
                let mut last = [0.0; <$register>::COUNT];
                last[..tail.len()].copy_from_slice(tail);
                // SAFETY: `head` holds `whole` registers and `last` one; both may be read and written.
                unsafe {
                    finish(epilogue, head.as_ptr(), head.as_mut_ptr(), whole);
                    finish(epilogue, last.as_ptr(), last.as_mut_ptr(), 1);
                }
                tail.copy_from_slice(&last[..tail.len()]);
            }
        }
    };
}

level!(portable, Portable);
#[cfg(target_arch = "x86_64")]
level!(avx2, std::arch::x86_64::__m256, "avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(avx512, std::arch::x86_64::__m512, "avx512f");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference::activation;

    /// A fine grid, both signs, around zero, at the ends of exp's range and far beyond.
    fn grid() -> Vec<f32> {
        let mut xs = vec![0.0, f32::MIN_POSITIVE, 1e-40, 1e30, f32::MAX];
        xs.extend((0..40_000).map(|i| i as f32 / 400.0));
        xs.extend((0..4_000).map(|i| 1e-8 * 1.006f32.powi(i)));
        let negative: Vec<f32> = xs.iter().map(|x| -x).collect();
        xs.extend(negative);
        xs
    }

    #[test]
    fn curves_are_within_a_millionth() {
        let xs = grid();
        for level in Level::available() {
            for (epilogue, bound) in [
                (Epilogue::RELU6, 0.0),
                (Epilogue::LINEAR, 0.0),
                (Epilogue::Silu, 4e-7),
                (Epilogue::Gelu, 3e-7),
                (Epilogue::Sigmoid, 4e-7),
            ] {
                let mut ys = xs.clone();
                activate(level, epilogue, &mut ys);
                for (&x, &y) in xs.iter().zip(&ys) {
                    let want = activation(epilogue, f64::from(x));
                    let error = (f64::from(y) - want).abs() / f64::from(x.abs().max(1.0));
                    assert!(error <= bound, "{level:?} {epilogue:?}: {y} for {want} at {x}");
                }
            }
        }
    }

    #[test]
    fn infinities_become_limits_and_nan_stays() {
        for level in Level::available() {
            for (epilogue, low, high) in [
                (Epilogue::RELU6, 0.0, 6.0),
                (Epilogue::LINEAR, f32::NEG_INFINITY, f32::INFINITY),
                (Epilogue::Gelu, 0.0, f32::INFINITY),
                (Epilogue::Sigmoid, 0.0, 1.0),
            ] {
                let mut ys = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, 0.0];
                activate(level, epilogue, &mut ys);
                let near = |a: f32, b: f32| a == b || (a - b).abs() < 1e-7;
                assert!(near(ys[0], low) && near(ys[1], high), "{level:?} {epilogue:?}: {ys:?}");
                assert!(ys[2].is_nan(), "{level:?} {epilogue:?}: {ys:?}");
                if epilogue != Epilogue::Sigmoid {
                    assert_eq!(ys[3], 0.0, "{level:?} {epilogue:?}: padding must stay zero");
                }
            }
        }
    }

    #[test]
    fn powers_of_two_are_exact_to_the_last_places() {
        for i in -12_600..=12_700 {
            let x = i as f32 / 100.0;
            // SAFETY: portable code.
            let got = unsafe {
                let mut out = [0.0; Portable::COUNT];
                power_of_two(Portable::splat(x), 1.0).store(out.as_mut_ptr());
                out[0]
            };
            let want = f64::from(x).exp2();
            assert!((f64::from(got) / want - 1.0).abs() < 2.5e-7, "{got} for {want} at {x}");
        }
    }
}
