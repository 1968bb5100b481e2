//! Whether the parts that a map names matter: Y. Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution
//! Methods" (ROAD), ICML 2022 (arXiv 2202.00449).
//!
//! Pixels are removed in the map's order, the most relevant first (deletion) or the least relevant first (insertion, read backwards),
//! and the model is asked again. A removed pixel becomes the weighted mean of its eight neighbours, removed ones too (section 4.2,
//! noisy linear imputation): so the hole's shape tells the network nothing, as a black patch would. As in pytorch-grad-cam the shares
//! 20, 40, 60 and 80 % are averaged. Departures: the noise is a fixed function of the pixel's place, so that a figure can be had again;
//! and the linear system is solved to 1e-4 by conjugate gradients.

use rayon::prelude::*;

use crate::weights::generated;

/// Shares of the pixels that are removed.
pub const SHARES: [f64; 4] = [0.2, 0.4, 0.6, 0.8];

/// Deviation of the noise on imputed pixels, in the network's units.
const NOISE: f64 = 0.01;

/// Weights of the neighbours: beside, above and below; and at the corners.
const BESIDE: f64 = 1.0 / 6.0;
const CORNER: f64 = 1.0 / 12.0;

/// The residual that ends the solver, as a share of the first one; and the most steps it takes.
const TOLERANCE: f64 = 1e-4;
const MOST_STEPS: usize = 1000;

/// How well a map says what a model looks at, from probabilities of the class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faithfulness {
    /// The mean probability without the most relevant pixels: low is good.
    pub deletion: f64,
    /// The mean probability without the least relevant pixels: high is good.
    pub insertion: f64,
}

impl Faithfulness {
    /// From the probabilities of [`trials`]'s images, in their order; `None` when there are others.
    pub fn of(probabilities: &[f64]) -> Option<Self> {
        let (deleted, kept) = probabilities.split_at_checked(SHARES.len())?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / SHARES.len() as f64;
        let fits = kept.len() == SHARES.len();
        fits.then(|| Self { deletion: mean(deleted), insertion: mean(kept) })
    }

    /// Half of what they differ by, ROAD's combined figure: -0.5 to 0.5, about 0 for a map that says nothing.
    pub fn gain(self) -> f64 {
        (self.insertion - self.deletion) / 2.0
    }
}

/// The image, `[channels][side][side]`, without its most relevant pixels and then without its least relevant ones, each at every one of
/// the [`SHARES`]. Of equally relevant pixels the upper left ones go first.
pub fn trials(image: &[f32], side: usize, relevance: &[f64]) -> Vec<Vec<f32>> {
    let mut order: Vec<usize> = (0..side * side).collect();
    order.sort_by(|&a, &b| relevance[b].total_cmp(&relevance[a]));
    let most = SHARES.map(|share| (share, true));
    let least = SHARES.map(|share| (share, false));
    let all = [most, least].concat();
    let trial = |&(share, most_first): &(f64, bool)| {
        let count = (share * order.len() as f64).round() as usize;
        let removed = if most_first { &order[..count] } else { &order[order.len() - count..] };
        without(image, side, removed)
    };
    all.par_iter().map(trial).collect()
}

/// The image with some pixels imputed.
fn without(image: &[f32], side: usize, removed: &[usize]) -> Vec<f32> {
    let mut gone = vec![false; side * side];
    removed.iter().for_each(|&pixel| gone[pixel] = true);
    let hole = Hole::of(&gone, side);
    let mut imputed = image.to_vec();
    for (channel, plane) in imputed.chunks_exact_mut(side * side).enumerate() {
        let values = hole.fill(plane);
        // Uniform on (-1, 1) has a deviation of one over the square root of 3.
        let noise = generated::uniform(&format!("imputation {channel}"), plane.len());
        let noise: Vec<f64> = noise.map(|u| u * NOISE * 3f64.sqrt()).collect();
        for (&pixel, value) in hole.pixels.iter().zip(values) {
            plane[pixel] = (value + noise[pixel]) as f32;
        }
    }
    imputed
}

/// Removed pixels, and the linear system that they are imputed by: a pixel's weights times what it differs from its neighbours add up
/// to 0. Its matrix is symmetric, and positive definite as soon as one pixel is left.
struct Hole {
    pixels: Vec<usize>,
    /// Of each removed pixel: the sum of the weights of all its neighbours.
    sums: Vec<f64>,
    /// Of each: its removed neighbours, as indices into `pixels`.
    inner: Vec<Vec<(usize, f64)>>,
    /// Of each: its other neighbours, as pixels.
    outer: Vec<Vec<(usize, f64)>>,
}

impl Hole {
    fn of(gone: &[bool], side: usize) -> Self {
        let pixels: Vec<usize> = (0..gone.len()).filter(|&pixel| gone[pixel]).collect();
        let mut place = vec![0; gone.len()];
        pixels.iter().enumerate().for_each(|(at, &pixel)| place[pixel] = at);
        let mut hole = Self { sums: vec![], inner: vec![], outer: vec![], pixels };
        for &pixel in &hole.pixels {
            let (mut sum, mut inner, mut outer) = (0.0, Vec::new(), Vec::new());
            for (neighbour, weight) in neighbours(pixel, side) {
                sum += weight;
                match gone[neighbour] {
                    true => inner.push((place[neighbour], weight)),
                    false => outer.push((neighbour, weight)),
                }
            }
            hole.sums.push(sum);
            hole.inner.push(inner);
            hole.outer.push(outer);
        }
        hole
    }

    /// The removed pixels' values by conjugate gradients (M. R. Hestenes and E. Stiefel, 1952), from the mean of those that are left.
    fn fill(&self, plane: &[f32]) -> Vec<f64> {
        let known = || self.outer.iter().flatten().map(|&(pixel, _)| f64::from(plane[pixel]));
        let start = known().sum::<f64>() / known().count().max(1) as f64;
        let mut values = vec![start; self.pixels.len()];
        let from_outside = |outer: &Vec<(usize, f64)>| -> f64 {
            outer.iter().map(|&(pixel, weight)| weight * f64::from(plane[pixel])).sum()
        };
        let product = self.product(&values);
        let mut residual: Vec<f64> = self.outer.iter().map(from_outside).collect();
        residual.iter_mut().zip(&product).for_each(|(r, p)| *r -= p);
        let mut direction = residual.clone();
        let first = dot(&residual, &residual);
        let mut left = first;
        for _ in 0..MOST_STEPS {
            if left <= first * TOLERANCE * TOLERANCE || left == 0.0 {
                break;
            }
            let product = self.product(&direction);
            let step = left / dot(&direction, &product);
            values.iter_mut().zip(&direction).for_each(|(v, d)| *v += step * d);
            residual.iter_mut().zip(&product).for_each(|(r, p)| *r -= step * p);
            let next = dot(&residual, &residual);
            direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + next / left * *d);
            left = next;
        }
        values
    }

    fn product(&self, values: &[f64]) -> Vec<f64> {
        let of = |at: usize| {
            let inner: f64 = self.inner[at].iter().map(|&(other, w)| w * values[other]).sum();
            self.sums[at] * values[at] - inner
        };
        (0..values.len()).map(of).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The pixels around a pixel, with their weights.
fn neighbours(pixel: usize, side: usize) -> impl Iterator<Item = (usize, f64)> {
    let (row, column) = (pixel / side, pixel % side);
    let steps = [-1isize, 0, 1].into_iter().flat_map(|down| [-1, 0, 1].map(|right| (down, right)));
    steps.filter(|step| *step != (0, 0)).filter_map(move |(down, right)| {
        let row = row.checked_add_signed(down).filter(|row| *row < side)?;
        let column = column.checked_add_signed(right).filter(|column| *column < side)?;
        let weight = if down == 0 || right == 0 { BESIDE } else { CORNER };
        Some((row * side + column, weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 12;

    fn image() -> Vec<f32> {
        (0..SIDE * SIDE).map(|at| (at * at % 29) as f32 / 10.0 - 1.0).collect()
    }

    #[test]
    fn removed_pixels_become_what_scipy_says() {
        let golden = include_str!("../../tests/golden/road.csv");
        for removed in ["every third", "lower right"] {
            let gone: Vec<bool> = (0..SIDE * SIDE)
                .map(|at| match removed {
                    "every third" => at % 3 == 0,
                    _ => at / SIDE >= 3 && at % SIDE >= 4,
                })
                .collect();
            let hole = Hole::of(&gone, SIDE);
            let filled = hole.fill(&image());
            let line = golden.lines().find_map(|line| line.strip_prefix(removed)).unwrap();
            let expected: Vec<f64> = line.split(',').skip(1).map(|x| x.parse().unwrap()).collect();
            assert_eq!(expected.len(), filled.len());
            for (at, (got, expected)) in filled.iter().zip(expected).enumerate() {
                assert!((got - expected).abs() < 1e-3, "{removed} {at}: {got} for {expected}");
            }
        }
    }

    #[test]
    fn the_most_relevant_go_first_and_the_rest_stays() {
        let image = image();
        // The upper rows matter most.
        let relevance: Vec<f64> = (0..SIDE * SIDE).map(|at| -(at as f64)).collect();
        let trials = trials(&image, SIDE, &relevance);
        assert_eq!(trials.len(), 2 * SHARES.len());
        for (at, trial) in trials.iter().enumerate() {
            let count = (SHARES[at % 4] * (SIDE * SIDE) as f64).round() as usize;
            let removed = if at < 4 { 0..count } else { SIDE * SIDE - count..SIDE * SIDE };
            let changed = |pixel: &usize| trial[*pixel] != image[*pixel];
            assert!((0..SIDE * SIDE).filter(|p| !removed.contains(p)).all(|p| !changed(&p)));
            assert!(removed.clone().filter(changed).count() * 10 > removed.len() * 9);
            let spread = removed.map(|p| trial[p].abs()).fold(0.0, f32::max);
            assert!(spread < 2.0, "imputed values stay among the others: {spread}");
        }
    }

    #[test]
    fn faithfulness_is_the_mean_of_the_shares() {
        let of = Faithfulness::of(&[0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.7, 0.6]).unwrap();
        assert!((of.deletion - 0.25).abs() < 1e-12 && (of.insertion - 0.75).abs() < 1e-12);
        assert!((of.gain() - 0.25).abs() < 1e-12);
        assert_eq!(Faithfulness::of(&[0.5; 7]), None);
        assert_eq!(Faithfulness::of(&[]), None);
    }
}
