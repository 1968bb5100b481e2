//! The largest eigenvalues of a dense symmetric matrix with their vectors, in plain `f64` loops of a
//! fixed order: the same bits on every machine and with any number of threads. (A library's products
//! choose their instructions at run time.)
//!
//! Lanczos's method with full reorthogonalisation (Golub and Van Loan, Matrix Computations, 4th ed.,
//! sections 10.1 and 10.3) and QL iterations with Wilkinson's shift for the tridiagonal matrix that it
//! ends in (section 8.3). It needs some multiples of `count` products with the matrix. Up to
//! [`WHOLE`] columns it goes through the whole space, so that nothing can be missed; above, of several
//! exactly equal eigenvalues it may find only one.

use crate::logistic::cholesky::dot;

/// Columns up to which the whole space is gone through.
const WHOLE: usize = 256;

/// Residual of an eigenvector, as a share of the largest eigenvalue, that is good enough.
const RESIDUAL: f64 = 1e-13;

/// Length, as a share of the largest there was, that counts as none.
const NOTHING: f64 = 1e-13;

const MOST_ITERATIONS: usize = 60;

/// Eigenvalues, descending, each with its vector of length 1 whose entry of largest magnitude is
/// positive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Eigen {
    pub values: Vec<f64>,
    pub vectors: Vec<Vec<f64>>,
}

/// The `count` largest of a symmetric matrix of `order` columns, all of its entries row by row.
pub(crate) fn largest(order: usize, matrix: &[f64], count: usize) -> Eigen {
    let count = count.min(order);
    let mut krylov = Krylov { order, basis: Vec::new(), diagonal: Vec::new(), beside: Vec::new() };
    let mut look = if order <= WHOLE { order } else { (2 * count + 16).min(order) };
    loop {
        while krylov.basis.len() < look {
            krylov.extend(matrix);
        }
        let (values, vectors) = tridiagonal(&krylov.diagonal, &krylov.beside);
        let mut descending: Vec<usize> = (0..values.len()).collect();
        descending.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        descending.truncate(count);
        let scale = values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let rest = krylov.beside[look - 1].abs();
        let converged = |&at: &usize| rest * vectors[at][look - 1].abs() <= RESIDUAL * scale;
        if look == order || descending.iter().all(converged) {
            let vector = |&at: &usize| krylov.vector(&vectors[at]);
            return Eigen {
                values: descending.iter().map(|&at| values[at]).collect(),
                vectors: descending.iter().map(vector).collect(),
            };
        }
        look = (look + count / 2 + 16).min(order);
    }
}

/// Orthonormal vectors in which the matrix is tridiagonal.
struct Krylov {
    order: usize,
    basis: Vec<Vec<f64>>,
    diagonal: Vec<f64>,
    /// Beside the diagonal: the last couples to the vector that comes next.
    beside: Vec<f64>,
}

impl Krylov {
    fn extend(&mut self, matrix: &[f64]) {
        let next = match self.basis.last() {
            None => self.fresh(),
            Some(last) => {
                let mut image: Vec<f64> =
                    matrix.chunks_exact(self.order).map(|row| dot(row, last)).collect();
                let scale = dot(&image, &image).sqrt();
                self.orthogonalise(&mut image);
                let length = dot(&image, &image).sqrt();
                let at = self.beside.len() - 1;
                if length <= NOTHING * scale || scale == 0.0 {
                    // The vectors so far are a world of their own.
                    self.beside[at] = 0.0;
                    self.fresh()
                } else {
                    self.beside[at] = length;
                    image.iter_mut().for_each(|x| *x /= length);
                    image
                }
            }
        };
        let image: Vec<f64> = matrix.chunks_exact(self.order).map(|row| dot(row, &next)).collect();
        self.diagonal.push(dot(&image, &next));
        // Until the next vector is there, as large as it can be.
        self.beside.push(dot(&image, &image).sqrt());
        self.basis.push(next);
    }

    /// Takes out what lies along the vectors so far; twice is enough (Kahan).
    fn orthogonalise(&self, vector: &mut [f64]) {
        for _ in 0..2 {
            for known in &self.basis {
                let along = dot(known, vector);
                vector.iter_mut().zip(known).for_each(|(x, k)| *x -= along * k);
            }
        }
    }

    /// A vector at right angles to all so far.
    fn fresh(&self) -> Vec<f64> {
        let golden = (5f64.sqrt() - 1.0) / 2.0;
        for from in 1.. {
            let start = (self.basis.len() * 7919 + from * 104_729) as f64;
            let spread = |i: usize| ((start + i as f64) * golden).fract() - 0.5;
            let mut vector: Vec<f64> = (0..self.order).map(spread).collect();
            let before = dot(&vector, &vector).sqrt();
            self.orthogonalise(&mut vector);
            let length = dot(&vector, &vector).sqrt();
            if length > 1e-6 * before {
                vector.iter_mut().for_each(|x| *x /= length);
                self.orthogonalise(&mut vector);
                return vector;
            }
        }
        unreachable!("the numbers from 1 never end")
    }

    /// A vector of the space from its coordinates.
    fn vector(&self, coordinates: &[f64]) -> Vec<f64> {
        let mut vector = vec![0.0; self.order];
        for (known, share) in self.basis.iter().zip(coordinates) {
            vector.iter_mut().zip(known).for_each(|(x, k)| *x += share * k);
        }
        let largest = vector.iter().copied().fold(
            0.0,
            |most: f64, x| {
                if x.abs() > most.abs() { x } else { most }
            },
        );
        let length = dot(&vector, &vector).sqrt().copysign(largest);
        vector.iter_mut().for_each(|x| *x /= length);
        vector
    }
}

/// All eigenvalues of a symmetric tridiagonal matrix, each with its vector; `beside[i]` couples `i` and
/// `i + 1`.
fn tridiagonal(diagonal: &[f64], beside: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = diagonal.len();
    let mut d = diagonal.to_vec();
    let mut e = beside.to_vec();
    e[n - 1] = 0.0;
    let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(unit).collect();
    for first in 0..n {
        for _ in 0..MOST_ITERATIONS {
            let small = |i: &usize| e[*i].abs() <= f64::EPSILON * (d[*i].abs() + d[i + 1].abs());
            let last = (first..n - 1).find(small).unwrap_or(n - 1);
            if last == first {
                break;
            }
            // Wilkinson's shift.
            let half = (d[first + 1] - d[first]) / (2.0 * e[first]);
            let root = libm::hypot(half, 1.0).copysign(half);
            let mut g = d[last] - d[first] + e[first] / (half + root);
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut whole = true;
            for i in (first..last).rev() {
                let (f, b) = (sine * e[i], cosine * e[i]);
                let length = libm::hypot(f, g);
                e[i + 1] = length;
                if length == 0.0 {
                    d[i + 1] -= shift;
                    e[last] = 0.0;
                    whole = false;
                    break;
                }
                (sine, cosine) = (f / length, g / length);
                g = d[i + 1] - shift;
                let r = (d[i] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                d[i + 1] = g + shift;
                g = cosine * r - b;
                let (low, high) = vectors.split_at_mut(i + 1);
                for (x, y) in low[i].iter_mut().zip(&mut high[0]) {
                    let old = *y;
                    *y = sine * *x + cosine * old;
                    *x = cosine * *x - sine * old;
                }
            }
            if whole {
                d[first] -= shift;
                e[first] = g;
                e[last] = 0.0;
            }
        }
    }
    (d, vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Q diag(values) Q'` with a reflection `Q`.
    fn made(values: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = values.len();
        let mirror: Vec<f64> = (0..n).map(|i| ((i * i + 3) as f64 * 0.37).fract() - 0.4).collect();
        let square = dot(&mirror, &mirror);
        let q =
            |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * mirror[i] * mirror[j] / square;
        let entry =
            |at: usize| (0..n).map(|c| q(at / n, c) * values[c] * q(at % n, c)).sum::<f64>();
        let vectors = (0..n).map(|c| (0..n).map(|i| q(i, c)).collect()).collect();
        ((0..n * n).map(entry).collect(), vectors)
    }

    #[test]
    fn known_eigenvalues_are_found_with_their_vectors() {
        for n in [1, 2, 7, 40, 300] {
            let values: Vec<f64> = (0..n).map(|i| 50.0 * 0.9f64.powi(i as i32) + 0.01).collect();
            let (matrix, vectors) = made(&values);
            let found = largest(n, &matrix, 5);
            assert_eq!(found.values.len(), n.min(5));
            for (at, (value, vector)) in found.values.iter().zip(&found.vectors).enumerate() {
                assert!((value - values[at]).abs() < 1e-10, "{n}: {value} {}", values[at]);
                assert!((dot(vector, &vectors[at]).abs() - 1.0).abs() < 1e-10);
                let most =
                    vector.iter().fold(0.0f64, |m, x| if x.abs() > m.abs() { *x } else { m });
                assert!(most > 0.0);
            }
        }
    }

    #[test]
    fn equal_eigenvalues_keep_their_number() {
        let mut values = vec![1.0; 30];
        values[..6].fill(4.0);
        values[20..].fill(0.0);
        let found = largest(30, &made(&values).0, 12);
        let expected = [[4.0; 6], [1.0; 6]].concat();
        for (value, expected) in found.values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12);
        }
        for (i, a) in found.vectors.iter().enumerate() {
            for b in &found.vectors[..i] {
                assert!(dot(a, b).abs() < 1e-12);
            }
        }
        assert_eq!(largest(3, &[0.0; 9], 2).values, [0.0; 2]);
    }
}
