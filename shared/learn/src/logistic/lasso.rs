//! A quadratic with an elastic net penalty, minimised by coordinate descent over the weights that
//! aren't held at 0 (Friedman, Hastie and Tibshirani, J. Stat. Softw. 2010;33(1), section 2.6).
//!
//! Where descent is slow because columns are alike, what is left with the signs as they are is a
//! linear system: it is solved, and the step towards its solution ends where the first sign would change.
//! Plain loops of a fixed order, one thread: the same bits on every machine.

use super::cholesky::{Cholesky, dot};
use super::proximal::symmetric_product;

/// Sweeps of coordinate descent before the linear system is solved.
const SWEEPS: usize = 60;

/// Alternations of sweeps and systems at most; the line search makes up for what is left.
const MOST_ALTERNATIONS: usize = 50;

/// A symmetric matrix `factor * upper + sum of (b b^T - a a^T)`.
pub(super) struct Quadratic<'a> {
    /// Upper triangle row by row.
    upper: &'a [f64],
    factor: f64,
    /// Pairs `b`, `a`.
    pub updates: Vec<(Vec<f64>, Vec<f64>)>,
}

/// `gradient (x - point) + (x - point)^T Q (x - point) / 2 + sum of strength x^2 / 2 + lasso |x|` of
/// weights and, last, a constant without penalty.
pub(super) struct Lasso<'a> {
    pub quadratic: &'a Quadratic<'a>,
    pub gradient: &'a [f64],
    pub point: &'a [f64],
    pub strength: &'a [f64],
    pub lasso: &'a [f64],
}

impl<'a> Quadratic<'a> {
    pub fn of(upper: &'a [f64], factor: f64) -> Self {
        Self { upper, factor, updates: Vec::new() }
    }

    /// Adds what the updates make of a vector.
    pub fn add_updates(&self, vector: &[f64], to: &mut [f64]) {
        for (b, a) in &self.updates {
            let (by_b, by_a) = (dot(b, vector), dot(a, vector));
            let each = to.iter_mut().zip(b).zip(a);
            each.for_each(|((to, b), a)| *to += b * by_b - a * by_a);
        }
    }

    fn product(&self, vector: &[f64]) -> Vec<f64> {
        let mut product = symmetric_product(self.upper, vector);
        product.iter_mut().for_each(|value| *value *= self.factor);
        self.add_updates(vector, &mut product);
        product
    }

    /// Rows and columns of some indices, ascending; whole, row by row.
    fn part(&self, order: usize, indices: &[usize]) -> Vec<f64> {
        let n = indices.len();
        let mut part = vec![0.0; n * n];
        for (a, &i) in indices.iter().enumerate() {
            let start = i * order - i * (i + 1) / 2;
            for (b, &j) in indices.iter().enumerate().skip(a) {
                part[a * n + b] = self.factor * self.upper[start + j];
            }
        }
        for (plus, minus) in &self.updates {
            let [plus, minus]: [Vec<f64>; 2] =
                [plus, minus].map(|all| indices.iter().map(|&i| all[i]).collect());
            for a in 0..n {
                let row = part[a * n + a..(a + 1) * n].iter_mut();
                let (p, m) = (plus[a], minus[a]);
                row.zip(&plus[a..]).zip(&minus[a..]).for_each(|((v, q), o)| *v += p * q - m * o);
            }
        }
        for a in 0..n {
            for b in a + 1..n {
                part[b * n + a] = part[a * n + b];
            }
        }
        part
    }
}

impl Lasso<'_> {
    /// Where it is least, to `accuracy` as a share of the way from the point. A weight at 0 is 0.0.
    pub fn solve(&self, accuracy: f64) -> Vec<f64> {
        let order = self.point.len();
        let mut target = self.point.to_vec();
        let mut slope = self.gradient.to_vec();
        let mut free = vec![false; order];
        loop {
            let mut more = false;
            for j in 0..order {
                let held = target[j] == 0.0 && slope[j].abs() <= self.lasso(j);
                if !free[j] && (!held || j == order - 1) {
                    free[j] = true;
                    more = true;
                }
            }
            if !more {
                return target;
            }
            let indices: Vec<usize> = (0..order).filter(|&j| free[j]).collect();
            Free::new(self, &indices, &target).solve(accuracy, &mut target);
            let step: Vec<f64> = target.iter().zip(self.point).map(|(a, b)| a - b).collect();
            slope = self.quadratic.product(&step);
            slope.iter_mut().zip(self.gradient).for_each(|(slope, g)| *slope += g);
        }
    }

    fn lasso(&self, j: usize) -> f64 {
        self.lasso.get(j).copied().unwrap_or(0.0)
    }
}

/// The problem of the weights that aren't held at 0.
struct Free<'a> {
    indices: &'a [usize],
    /// The quadratic and the L2 penalty, whole, row by row.
    matrix: Vec<f64>,
    lasso: Vec<f64>,
    x: Vec<f64>,
    /// Of all but the L1 penalty, by `x`.
    slope: Vec<f64>,
    start: Vec<f64>,
}

impl<'a> Free<'a> {
    fn new(problem: &Lasso<'_>, indices: &'a [usize], target: &[f64]) -> Self {
        let of = |values: &[f64]| -> Vec<f64> { indices.iter().map(|&j| values[j]).collect() };
        let n = indices.len();
        let mut matrix = problem.quadratic.part(target.len(), indices);
        let (x, start) = (of(target), of(problem.point));
        let step: Vec<f64> = x.iter().zip(&start).map(|(a, b)| a - b).collect();
        let mut slope = of(problem.gradient);
        for (a, row) in matrix.chunks_exact_mut(n).enumerate() {
            slope[a] += dot(row, &step);
            if let Some(strength) = problem.strength.get(indices[a]) {
                slope[a] += strength * x[a];
                row[a] += strength;
            }
        }
        let lasso = indices.iter().map(|&j| problem.lasso(j)).collect();
        Self { indices, matrix, lasso, x, slope, start }
    }

    fn solve(mut self, accuracy: f64, target: &mut [f64]) {
        for _ in 0..MOST_ALTERNATIONS {
            if (0..SWEEPS).any(|_| self.sweep() <= accuracy * self.way()) || self.jump() {
                break;
            }
        }
        self.indices.iter().zip(&self.x).for_each(|(&j, x)| target[j] = *x);
    }

    /// Every coordinate to where it is best, one after the other; gives the largest change, in the
    /// matrix's own units.
    fn sweep(&mut self) -> f64 {
        let n = self.x.len();
        let mut most = 0.0f64;
        for a in 0..n {
            let row = &self.matrix[a * n..(a + 1) * n];
            let curvature = row[a];
            if curvature <= 0.0 {
                continue;
            }
            let free = curvature * self.x[a] - self.slope[a];
            let best = (free.abs() - self.lasso[a]).max(0.0).copysign(free) / curvature;
            // No minus zero.
            let best = if best == 0.0 { 0.0 } else { best };
            let change = best - self.x[a];
            if change != 0.0 {
                self.x[a] = best;
                self.slope.iter_mut().zip(row).for_each(|(slope, entry)| *slope += entry * change);
                most = most.max(curvature.sqrt() * change.abs());
            }
        }
        most
    }

    /// The largest change from the start, in the same units.
    fn way(&self) -> f64 {
        let n = self.x.len();
        let each = self.x.iter().zip(&self.start).enumerate();
        each.map(|(a, (x, start))| self.matrix[a * n + a].max(0.0).sqrt() * (x - start).abs())
            .fold(0.0, f64::max)
    }

    /// Goes to where all is least with the signs as they are, or as far as they stay. True when that is where
    /// all is least.
    fn jump(&mut self) -> bool {
        let n = self.x.len();
        let moving: Vec<usize> =
            (0..n).filter(|&a| self.x[a] != 0.0 || self.lasso[a] == 0.0).collect();
        let upper: Vec<f64> = moving
            .iter()
            .enumerate()
            .flat_map(|(at, &a)| moving[at..].iter().map(move |&b| (a, b)))
            .map(|(a, b)| self.matrix[a * n + b])
            .collect();
        let Some(factor) = Cholesky::of_upper(moving.len(), &upper) else { return false };
        let mut way: Vec<f64> =
            moving.iter().map(|&a| -self.slope[a] - self.lasso[a] * self.x[a].signum()).collect();
        factor.forward(&mut way);
        factor.backward(&mut way);
        let (mut share, mut first) = (1.0, None);
        for (at, (&a, way)) in moving.iter().zip(&way).enumerate() {
            let crossing = -self.x[a] / way;
            if self.lasso[a] > 0.0 && crossing > 0.0 && crossing < share {
                (share, first) = (crossing, Some(at));
            }
        }
        for (at, (&a, way)) in moving.iter().zip(&way).enumerate() {
            let to = if first == Some(at) { 0.0 } else { self.x[a] + share * way };
            let change = to - self.x[a];
            self.x[a] = to;
            let row = &self.matrix[a * n..(a + 1) * n];
            self.slope.iter_mut().zip(row).for_each(|(slope, entry)| *slope += entry * change);
        }
        let held = (0..n).all(|a| self.x[a] != 0.0 || self.slope[a].abs() <= self.lasso[a]);
        first.is_none() && held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns that are all alike, so that descent alone is slow.
    fn alike(order: usize) -> Vec<f64> {
        let entry = |i: usize, j: usize| if i == j { 1.001 } else { 1.0 };
        (0..order).flat_map(|i| (i..order).map(move |j| entry(i, j))).collect()
    }

    #[test]
    fn the_conditions_of_an_optimum_hold() {
        let order = 30;
        let upper = alike(order);
        let mut quadratic = Quadratic::of(&upper, 2.0);
        let vector = |salt: usize| -> Vec<f64> {
            (0..order).map(|i| ((i * 7 + salt * 13) % 11) as f64 / 5.0 - 1.0).collect()
        };
        quadratic.updates.push((vector(1), vec![0.0; order]));
        let (gradient, point) = (vector(2), vec![0.0; order]);
        let (strength, lasso) = (vec![0.01; order - 1], vec![0.3; order - 1]);
        let (gradient, point) = (&gradient[..], &point[..]);
        let problem =
            Lasso { quadratic: &quadratic, gradient, point, strength: &strength, lasso: &lasso };
        let solved = problem.solve(1e-12);
        let mut slope = quadratic.product(&solved);
        slope.iter_mut().zip(gradient).for_each(|(slope, g)| *slope += g);
        assert!(slope[order - 1].abs() < 1e-9);
        let mut zeros = 0;
        for j in 0..order - 1 {
            let smooth = slope[j] + strength[j] * solved[j];
            if solved[j] == 0.0 {
                zeros += 1;
                assert!(smooth.abs() <= lasso[j] + 1e-9);
            } else {
                assert!((smooth + lasso[j] * solved[j].signum()).abs() < 1e-9, "{j}: {smooth}");
            }
        }
        assert!((3..order - 3).contains(&zeros), "{zeros} zeros");
    }
}
