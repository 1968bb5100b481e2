//! A preconditioner for models of all classes: the Hessian that such a model without weights would have,
//! `(diag(q) - q q^T) x G + penalty` with the classes' shares `q` of the rows and the Gram matrix `G`. (With
//! equal shares it is Boehning's bound, Ann. Inst. Stat. Math. 1992;44:197.)
//!
//! Along the eigenvectors of `diag(q) - q q^T` it falls apart into one block per eigenvalue `l`, `l G +
//! penalty`, since the penalty is the same for every class. The vector of equal entries has eigenvalue 0:
//! its block is the penalty alone.

use super::lbfgs::Factor;

/// Sweeps of Jacobi's method at most; a dozen is plenty for any matrix.
const MOST_SWEEPS: usize = 50;

/// `L` of a preconditioner that falls apart in another basis of the classes.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    /// Row by row; a column is an axis.
    basis: Vec<f64>,
    /// One per axis.
    blocks: Vec<Factor>,
}

impl Blocks {
    /// `basis` is orthonormal, one column per block, row by row.
    pub fn new(basis: Vec<f64>, blocks: Vec<Factor>) -> Self {
        Self { basis, blocks }
    }

    /// Solves `L u = g` in place; `g` goes class by class, `u` axis by axis.
    pub(super) fn forward(&self, g: &mut [f64]) {
        let classes = self.blocks.len();
        let mut turned = self.turned(g, |class, axis| class * classes + axis);
        let width = turned.len() / classes;
        let each = self.blocks.iter().zip(turned.chunks_exact_mut(width));
        each.for_each(|(block, part)| block.forward(part));
        g.copy_from_slice(&turned);
    }

    /// Solves `L^T x = u` in place; `u` goes axis by axis, `x` class by class.
    pub(super) fn backward(&self, u: &mut [f64]) {
        let classes = self.blocks.len();
        let width = u.len() / classes;
        let each = self.blocks.iter().zip(u.chunks_exact_mut(width));
        each.for_each(|(block, part)| block.backward(part));
        let turned = self.turned(u, |axis, class| class * classes + axis);
        u.copy_from_slice(&turned);
    }

    /// Sums of the parts of a vector; `at` says where the basis has the share of one part in another.
    fn turned(&self, vector: &[f64], at: impl Fn(usize, usize) -> usize) -> Vec<f64> {
        let width = vector.len() / self.blocks.len();
        let mut turned = vec![0.0; vector.len()];
        for (to, sums) in turned.chunks_exact_mut(width).enumerate() {
            for (from, part) in vector.chunks_exact(width).enumerate() {
                let share = self.basis[at(from, to)];
                sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += share * value);
            }
        }
        turned
    }
}

/// Eigenvalues, ascending, and eigenvectors, as columns of a matrix row by row, of `diag(q) - q q^T`. By
/// Jacobi's method (Golub and Van Loan, Matrix Computations, section 8.5).
pub(crate) fn axes(shares: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = shares.len();
    let mut a: Vec<f64> = (0..n * n)
        .map(|at| {
            let (i, j) = (at / n, at % n);
            if i == j { shares[i] * (1.0 - shares[i]) } else { -shares[i] * shares[j] }
        })
        .collect();
    let mut basis: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
    for _ in 0..MOST_SWEEPS {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                turned |= turn(&mut a, &mut basis, n, (p, q));
            }
        }
        if !turned {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j]));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    let columns = (0..n).flat_map(|row| order.iter().map(move |&i| row * n + i));
    (values, columns.map(|at| basis[at]).collect())
}

/// Turns the plane of two axes so that the entry between them is 0. False where it is already, to rounding.
fn turn(a: &mut [f64], basis: &mut [f64], n: usize, (p, q): (usize, usize)) -> bool {
    let (between, of_p, of_q) = (a[p * n + q], a[p * n + p], a[q * n + q]);
    if between.abs() <= f64::EPSILON * (of_p.abs() * of_q.abs()).sqrt().max(f64::MIN_POSITIVE) {
        return false;
    }
    let theta = (of_q - of_p) / (2.0 * between);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    let rotate = |x: &mut [f64], first: usize, second: usize| {
        let (u, v) = (x[first], x[second]);
        x[first] = cosine * u - sine * v;
        x[second] = sine * u + cosine * v;
    };
    for k in 0..n {
        rotate(a, k * n + p, k * n + q);
        rotate(basis, k * n + p, k * n + q);
    }
    for k in 0..n {
        rotate(a, p * n + k, q * n + k);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn axes_are_orthonormal_and_rebuild_the_matrix() {
        for shares in [
            vec![0.7, 0.2, 0.1],
            vec![0.25; 4],
            vec![0.669, 0.111, 0.11, 0.051, 0.033, 0.014, 0.012],
        ] {
            let n = shares.len();
            let (values, basis) = axes(&shares);
            assert!(values[0].abs() < 1e-15 && values[1] > 1e-3);
            let root = 1.0 / (n as f64).sqrt();
            assert!((0..n).all(|row| (basis[row * n].abs() - root).abs() < 1e-12));
            for i in 0..n {
                for j in 0..n {
                    let product: f64 = (0..n).map(|k| basis[k * n + i] * basis[k * n + j]).sum();
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
                    let rebuilt: f64 =
                        (0..n).map(|k| values[k] * basis[i * n + k] * basis[j * n + k]).sum();
                    let own = if i == j { shares[i] } else { 0.0 };
                    assert!((rebuilt - own + shares[i] * shares[j]).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn blocks_are_solved_in_their_own_basis() {
        let shares = [0.5, 0.3, 0.2];
        let (values, basis) = axes(&shares);
        let diagonal =
            |v: &f64| Factor::Diagonal(Arc::new(vec![(v + 0.1).sqrt(), (v + 2.0).sqrt()]));
        let blocks = Blocks::new(basis, values.iter().map(diagonal).collect());
        let x = [1.0, -2.0, 0.5, 3.0, 4.0, 0.25];
        let mut image = x;
        for k in 0..3 {
            for a in 0..2 {
                let mean: f64 = (0..3).map(|l| shares[l] * x[l * 2 + a]).sum();
                image[k * 2 + a] = shares[k] * (x[k * 2 + a] - mean) + [0.1, 2.0][a] * x[k * 2 + a];
            }
        }
        blocks.forward(&mut image);
        blocks.backward(&mut image);
        assert!(image.iter().zip(&x).all(|(got, expected)| (got - expected).abs() < 1e-12));
    }
}
