//! Sines and cosines of many angles at once, for a map that needs thousands per row: libm's, one at a
//! time, would take most of a fit.
//!
//! An angle is reduced by multiples of pi / 2, taken off in three parts of which the first two
//! leave no rounding (Cody and Waite, Software Manual for the Elementary Functions, 1980), to at most
//! pi / 4, where Taylor's series end below 1e-17. Larger angles than [`MOST`] go to libm. Only
//! additions and products in one order, never fused, so the bits are the same on every machine,
//! whatever its vectors' width; within 3e-16 of libm's.

use pulp::{Simd, WithSimd};

/// Largest angle that is reduced here: 2^16 quarter turns and a part's 33 bits fit into 53.
const MOST: f64 = 1e5;

/// pi / 2 in parts of 33, 33 and 53 bits.
const QUARTER: [f64; 3] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21];

/// 1.5 * 2^52: a number added to it is rounded to a whole one, which is in its last bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

const QUARTERS_PER_ONE: f64 = std::f64::consts::FRAC_2_PI;

/// Turns angles into `length` times their cosines; writes `length` times their sines. Of an angle that
/// isn't finite both are NaN.
pub(super) fn cosines_and_sines(angles: &mut [f64], sines: &mut [f64], length: f64) {
    let is_large = |angle: &f64| angle.is_nan() || angle.abs() > MOST;
    let large: Vec<(usize, f64)> =
        angles.iter().copied().enumerate().filter(|(_, angle)| is_large(angle)).collect();
    pulp::Arch::new().dispatch(Both { angles: &mut *angles, sines: &mut *sines, length });
    for (at, angle) in large {
        let (sin, cos) = libm::sincos(angle);
        (angles[at], sines[at]) = (length * cos, length * sin);
    }
}

struct Both<'a> {
    angles: &'a mut [f64],
    sines: &'a mut [f64],
    length: f64,
}

impl WithSimd for Both<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { angles, sines, length } = self;
        for (angle, sine) in angles.iter_mut().zip(sines) {
            let (sin, cos) = sin_cos(*angle);
            (*angle, *sine) = (length * cos, length * sin);
        }
    }
}

#[inline(always)]
fn sin_cos(angle: f64) -> (f64, f64) {
    let rounded = angle * QUARTERS_PER_ONE + ROUND;
    let quarters = rounded - ROUND;
    let [first, second, third] = QUARTER;
    let r = angle - quarters * first - quarters * second - quarters * third;
    let square = r * r;
    let sin = r + r * square * series(square, SIN);
    let cos = 1.0 - 0.5 * square + square * square * series(square, COS);
    // Quarter turns, modulo 4: sine, cosine, minus sine, minus cosine.
    let turn = rounded.to_bits() & 3;
    let (a, b) = if turn & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let flipped = |value: f64, flip: u64| f64::from_bits(value.to_bits() ^ (flip << 63));
    (flipped(a, turn >> 1), flipped(b, (turn >> 1) ^ (turn & 1)))
}

/// `sin r = r + r^3 (-1/3! + r^2 / 5! - ...)`.
const SIN: [f64; 8] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];

/// `cos r = 1 - r^2 / 2 + r^4 (1/4! - r^2 / 6! + ...)`.
const COS: [f64; 8] = [
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
    -1.0 / 6_402_373_705_728_000.0,
];

#[inline(always)]
fn series(x: f64, coefficients: [f64; 8]) -> f64 {
    let mut sum = coefficients[7];
    for at in (0..7).rev() {
        sum = sum * x + coefficients[at];
    }
    sum
}

#[cfg(test)]
mod tests {
    use wardround_core::seed::Seed;

    use super::*;

    fn both(angles: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut cosines, mut sines) = (angles.to_vec(), vec![0.0; angles.len()]);
        cosines_and_sines(&mut cosines, &mut sines, 1.0);
        (cosines, sines)
    }

    #[test]
    fn all_quarters_and_sizes_are_libms() {
        let mut angles = vec![0.0, -0.0, 1e-300, MOST, -MOST, MOST.next_up(), 1e15, -1e300];
        for size in [1e-8, 0.5, 1.0, 10.0, 1e3, MOST] {
            angles.extend((0..4000u32).map(|draw| {
                size * (2.0 * Seed(1).uniform("angles", &[&draw.to_le_bytes()]) - 1.0)
            }));
        }
        let eighths = (-200..200).map(|eighth| f64::from(eighth) * std::f64::consts::FRAC_PI_4);
        angles.extend(eighths.flat_map(|angle| [angle, angle.next_up(), angle.next_down()]));
        let (cosines, sines) = both(&angles);
        for ((angle, cos), sin) in angles.iter().zip(&cosines).zip(&sines) {
            assert!((cos - libm::cos(*angle)).abs() < 3e-16, "cos {angle}: {cos}");
            assert!((sin - libm::sin(*angle)).abs() < 3e-16, "sin {angle}: {sin}");
        }
        // Each alone, without vectors, is the same bits.
        for (at, angle) in angles.iter().enumerate() {
            let (cos, sin) = both(&[*angle]);
            assert_eq!(
                (cos[0].to_bits(), sin[0].to_bits()),
                (cosines[at].to_bits(), sines[at].to_bits())
            );
        }
    }

    #[test]
    fn what_isnt_finite_has_neither() {
        let (cosines, sines) = both(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.5]);
        assert!(cosines[..3].iter().chain(&sines[..3]).all(|value| value.is_nan()));
        assert!((cosines[3] - 0.5f64.cos()).abs() < 1e-15);
    }
}
