//! Cholesky factor of a dense symmetric positive definite matrix, in plain `f64` loops of a fixed
//! order: the same bits on every machine. (Golub and Van Loan, Matrix Computations, section 4.2,
//! row by row.)

/// `A = L L^T`; `L` is kept row by row, packed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cholesky {
    order: usize,
    rows: Vec<f64>,
}

/// Rows that are finished together, so that a finished row is read once for all of them.
const BLOCK: usize = 8;

/// Lanes of a dot product: a fixed order of additions that the compiler can vectorise.
const LANES: usize = 8;

impl Cholesky {
    /// Factors a matrix given by its upper triangle, row by row (`order (order + 1) / 2` numbers).
    /// `None` when it isn't positive definite.
    pub fn of_upper(order: usize, upper: &[f64]) -> Option<Self> {
        let mut rows = vec![0.0; order * (order + 1) / 2];
        let mut at = 0;
        for i in 0..order {
            for j in i..order {
                rows[start(j) + i] = upper[at];
                at += 1;
            }
        }
        factor(order, rows)
    }

    /// Solves `L u = g` in place.
    pub fn forward(&self, g: &mut [f64]) {
        for i in 0..self.order {
            let row = self.row(i);
            g[i] = (g[i] - dot(&row[..i], &g[..i])) / row[i];
        }
    }

    /// Solves `L^T x = u` in place.
    pub fn backward(&self, u: &mut [f64]) {
        for i in (0..self.order).rev() {
            let row = self.row(i);
            let x = u[i] / row[i];
            u[i] = x;
            for (v, l) in u[..i].iter_mut().zip(row) {
                *v -= x * l;
            }
        }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.rows[start(i)..=start(i) + i]
    }
}

fn factor(order: usize, mut rows: Vec<f64>) -> Option<Cholesky> {
    for first in (0..order).step_by(BLOCK) {
        let last = (first + BLOCK).min(order);
        let (done, open) = rows.split_at_mut(start(first));
        let open_start = start(first);
        // Columns whose rows are finished.
        for j in 0..first {
            let finished = &done[start(j)..=start(j) + j];
            for i in first..last {
                let row = &mut open[start(i) - open_start..];
                row[j] = (row[j] - dot(&finished[..j], &row[..j])) / finished[j];
            }
        }
        // The block's own triangle.
        for i in first..last {
            let (above, row) = open.split_at_mut(start(i) - open_start);
            for j in first..i {
                let other = &above[start(j) - open_start..=start(j) - open_start + j];
                row[j] = (row[j] - dot(&other[..j], &row[..j])) / other[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            row[i] = pivot.sqrt();
        }
    }
    Some(Cholesky { order, rows })
}

fn start(row: usize) -> usize {
    row * (row + 1) / 2
}

/// The dot product, added up in [`LANES`] interleaved parts.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A positive definite matrix of some order: `B B^T + I` of small whole numbers.
    fn matrix(order: usize) -> Vec<Vec<f64>> {
        let b = |i: usize, k: usize| ((i * 7 + k * 13) % 5) as f64 - 2.0;
        (0..order)
            .map(|i| {
                (0..order)
                    .map(|j| {
                        let product: f64 = (0..order).map(|k| b(i, k) * b(j, k)).sum();
                        product + f64::from(u8::from(i == j))
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn solves_what_was_multiplied() {
        for order in [1, 2, 7, 8, 9, 40] {
            let a = matrix(order);
            let upper: Vec<f64> = (0..order).flat_map(|i| a[i][i..].to_vec()).collect();
            let factor = Cholesky::of_upper(order, &upper).unwrap();
            let x: Vec<f64> = (0..order).map(|i| i as f64 - 3.0).collect();
            let mut solved: Vec<f64> =
                a.iter().map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
            factor.forward(&mut solved);
            factor.backward(&mut solved);
            for (got, expected) in solved.iter().zip(&x) {
                assert!((got - expected).abs() < 1e-9, "order {order}: {got} {expected}");
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(Cholesky::of_upper(2, &[1.0, 2.0, 1.0]).is_none());
        assert!(Cholesky::of_upper(1, &[f64::NAN]).is_none());
    }
}
