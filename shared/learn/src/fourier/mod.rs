//! Random Fourier features (Rahimi and Recht, NIPS 2007): `cos(w . x)` and `sin(w . x)` of random
//! frequencies `w`, whose products over two rows are nearly `exp(-gamma / features |x - x'|^2)`.
//!
//! Frequencies are structured and orthogonal (Yu et al., NIPS 2016, section 4): the rows of
//! `sqrt(p) H D1 H D2 H D3` with Hadamard's matrix `H / sqrt(p)` of order `p` and diagonals of random
//! signs. That is a public seed's bits and additions only, `p log p` per row instead of `p^2`, with
//! less error than independent draws. Cosine and sine of one frequency, instead of a cosine with a
//! random phase, have less error again (Sutherland and Schneider, UAI 2015), and make the map's
//! products independent of where the features' origin is.
//!
//! We depart from the paper in `p`, which is at least 512: frequencies all have the
//! length `sqrt(p)` where a Gaussian's vary, which shifts the kernel by up to `0.54 / p`.
//!
//! Every number is one sum in a fixed order, never fused, so a row's numbers depend on nothing but the
//! row and the map, on every machine.

mod sincos;

use pulp::{Simd, WithSimd};
use wardround_core::seed::Seed;

/// Least order of Hadamard's matrix.
const LEAST_WIDTH: usize = 512;

/// Times that signs are flipped and the matrix is applied.
const TURNS: usize = 3;

/// The frequencies of a map, drawn from a public seed.
#[derive(Debug, Clone)]
pub struct Fourier {
    features: usize,
    /// The order of Hadamard's matrix.
    width: usize,
    /// What sums are multiplied by to become angles.
    scale: f64,
    frequencies: usize,
    /// Per block of `width` frequencies, the signs of each turn.
    signs: Vec<[Vec<f64>; TURNS]>,
}

impl Fourier {
    /// Draws the frequencies for rows of some features. `components` is even; see
    /// [`wardround_core::query::FourierMap`].
    pub fn new(seed: Seed, features: usize, components: usize, gamma: f64) -> Self {
        let width = features.next_power_of_two().max(LEAST_WIDTH);
        let frequencies = components / 2;
        let signs = (0..frequencies.div_ceil(width))
            .map(|block| std::array::from_fn(|turn| signs(seed, block, turn, width)))
            .collect();
        // Three matrices of sums are sqrt(p)^3 too long, and frequencies sqrt(p) long.
        let scale = (2.0 * gamma / features as f64).sqrt() / width as f64;
        Self { features, width, scale, frequencies, signs }
    }

    /// Numbers that a row is mapped to.
    pub fn components(&self) -> usize {
        2 * self.frequencies
    }

    /// Maps a standardised row: cosines of all frequencies, then their sines, all over the root of
    /// their number. `out` has as many places as there are components.
    pub fn map(&self, row: &[f64], out: &mut [f64]) {
        let (cosines, sines) = out.split_at_mut(self.frequencies);
        self.angles(row, cosines);
        sincos::cosines_and_sines(cosines, sines, 1.0 / (self.frequencies as f64).sqrt());
    }

    /// The frequencies as a matrix, feature by feature: `features` rows of as many numbers as there
    /// are frequencies. A row's angles are its product with it.
    pub fn matrix(&self) -> Vec<f64> {
        let mut matrix = vec![0.0; self.features * self.frequencies];
        let mut unit = vec![0.0; self.features];
        for (feature, angles) in matrix.chunks_exact_mut(self.frequencies).enumerate() {
            unit[feature] = 1.0;
            self.angles(&unit, angles);
            unit[feature] = 0.0;
        }
        matrix
    }

    fn angles(&self, row: &[f64], out: &mut [f64]) {
        let mut work = vec![0.0; self.width];
        for (signs, out) in self.signs.iter().zip(out.chunks_mut(self.width)) {
            work[..self.features].copy_from_slice(row);
            work[self.features..].fill(0.0);
            for signs in signs {
                pulp::Arch::new().dispatch(Turn { values: &mut work, signs });
            }
            out.iter_mut().zip(&work).for_each(|(angle, sum)| *angle = self.scale * sum);
        }
    }
}

fn signs(seed: Seed, block: usize, turn: usize, width: usize) -> Vec<f64> {
    let word = |at: usize| {
        let parts = [block, turn, at].map(|part| (part as u64).to_le_bytes());
        seed.bits("fourier", &parts.each_ref().map(<[u8; 8]>::as_slice))
    };
    let sign = |bits: u64, at: u32| if bits >> at & 1 == 1 { 1.0 } else { -1.0 };
    (0..width / 64).map(word).flat_map(|bits| (0..64).map(move |at| sign(bits, at))).collect()
}

/// Flips signs, then multiplies by Hadamard's matrix of order `values.len()`, a power of two, in place
/// (Fino and Algazi, IEEE Trans. Comput. 1976).
struct Turn<'a> {
    values: &'a mut [f64],
    signs: &'a [f64],
}

impl WithSimd for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { values, signs } = self;
        values.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
        let (eights, _) = values.as_chunks_mut::<8>();
        for eight in eights {
            for half in [1, 2, 4] {
                for at in (0..8).filter(|at| at & half == 0) {
                    let (a, b) = (eight[at], eight[at + half]);
                    (eight[at], eight[at + half]) = (a + b, a - b);
                }
            }
        }
        let mut half = 8;
        while half < values.len() {
            for pair in values.chunks_exact_mut(2 * half) {
                let (first, second) = pair.split_at_mut(half);
                for (a, b) in first.iter_mut().zip(second) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, row: usize, d: usize) -> Vec<f64> {
        let normalish = |k: usize| {
            let uniform = |part: usize| {
                let parts = [row, k, part].map(|part| (part as u64).to_le_bytes());
                Seed(seed).uniform("rows", &parts.each_ref().map(<[u8; 8]>::as_slice))
            };
            (0..12).map(uniform).sum::<f64>() - 6.0
        };
        (0..d).map(normalish).collect()
    }

    fn mapped(map: &Fourier, row: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; map.components()];
        map.map(row, &mut out);
        out
    }

    fn product(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// Root mean square and mean of the errors of a map's products over pairs of rows, rows that differ
    /// little and by one feature alone among them.
    fn errors(d: usize, components: usize, gamma: f64) -> (f64, f64) {
        let mut rows: Vec<Vec<f64>> = (0..24).map(|row| draw(7, row, d)).collect();
        for near in 0..12 {
            let mut row = rows[near].clone();
            row[near % d] += (0.3 + 0.1 * near as f64) * (d as f64).sqrt();
            rows.push(row);
        }
        let (mut squares, mut sum, mut pairs) = (0.0, 0.0, 0.0);
        for seed in 0..4 {
            let map = Fourier::new(Seed(seed), d, components, gamma);
            let all: Vec<Vec<f64>> = rows.iter().map(|row| mapped(&map, row)).collect();
            for i in 0..rows.len() {
                for j in 0..i {
                    let apart: f64 =
                        rows[i].iter().zip(&rows[j]).map(|(a, b)| (a - b) * (a - b)).sum();
                    let error = product(&all[i], &all[j]) - (-gamma / d as f64 * apart).exp();
                    squares += error * error;
                    sum += error;
                    pairs += 1.0;
                }
            }
        }
        ((squares / pairs).sqrt(), sum / pairs)
    }

    #[test]
    fn products_near_the_kernel_as_components_grow() {
        for (d, gamma) in [(5, 1.0), (20, 0.3), (300, 1.0), (700, 2.0)] {
            let mut last = f64::INFINITY;
            for components in [64, 256, 1024, 4096, 16384] {
                let (error, bias) = errors(d, components, gamma);
                // Independent draws of cosine and sine are off by at most this.
                let bound = (1.0 / components as f64).sqrt();
                println!("{d} {gamma} {components}: {error:.5} of {bound:.5}, {bias:.5}");
                assert!(error < 1.1 * bound, "{d} features, {components}: {error} of {bound}");
                assert!(error < 0.75 * last, "{d} features, {components}: {error} after {last}");
                last = error;
            }
        }
    }

    #[test]
    fn a_mapped_row_has_length_one_and_only_differences_count() {
        let map = Fourier::new(Seed(3), 20, 1000, 0.7);
        let (a, b) = (draw(1, 0, 20), draw(1, 1, 20));
        let shift = |row: &[f64]| row.iter().map(|x| x + 3.0).collect::<Vec<f64>>();
        assert!((product(&mapped(&map, &a), &mapped(&map, &a)) - 1.0).abs() < 1e-12);
        let here = product(&mapped(&map, &a), &mapped(&map, &b));
        let there = product(&mapped(&map, &shift(&a)), &mapped(&map, &shift(&b)));
        assert!((here - there).abs() < 1e-12);
    }

    #[test]
    fn angles_are_products_with_the_matrix() {
        for (d, components) in [(5, 64), (5, 1400), (600, 3000)] {
            let map = Fourier::new(Seed(5), d, components, 1.3);
            let (matrix, row) = (map.matrix(), draw(2, 0, d));
            let got = mapped(&map, &row);
            let frequencies = components / 2;
            for at in 0..frequencies {
                let angle: f64 = (0..d).map(|k| row[k] * matrix[k * frequencies + at]).sum();
                let root = (frequencies as f64).sqrt();
                assert!((got[at] - angle.cos() / root).abs() < 1e-12);
                assert!((got[frequencies + at] - angle.sin() / root).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_seed_draws_the_same_signs_everywhere() {
        let map = Fourier::new(Seed(1), 3, 64, 1.0);
        let first: Vec<f64> = map.signs[0][0][..8].to_vec();
        let other = Fourier::new(Seed(2), 3, 64, 1.0);
        assert_ne!(map.signs[0][0], other.signs[0][0]);
        assert_ne!(map.signs[0][0], map.signs[0][1]);
        // HMAC-SHA256 by Python's hmac: key 1, parts "fourier" and three zeros, all length-prefixed.
        assert_eq!(first, EXPECTED);
    }

    const EXPECTED: [f64; 8] = [-1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0];
}
