//! Linear models in closed form, from sums of one round: ridge regression on -1 and 1 (Hoerl and Kennard 1970; scikit-learn's
//! `RidgeClassifier`), linear discriminant analysis (Fisher 1936; `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=...)`) and the
//! nearest class mean (`NearestCentroid`). Every training set and every parameter comes from the same sums.
//!
//! All three give a logit. That of the discriminant analysis is its own; to ridge's and the nearest
//! mean's scores the same is done in one dimension: two normal distributions of one variance, whose means
//! and variance follow from the sums. It leaves the order of rows as it is. With several classes each is
//! set against all others together.

use wardround_core::query::Labelling;
use wardround_core::study::GridPoint;

use crate::logistic::cholesky::Cholesky;

/// Sums over a training set, in the units that weights act on.
#[derive(Debug, Clone)]
pub(crate) struct Sums {
    /// Features.
    pub features: usize,
    /// Upper triangle of the cross products of `(x, 1)`, row by row.
    pub gram: Vec<f64>,
    /// Per class, the sum of `(x, 1)`.
    pub by_class: Vec<Vec<f64>>,
    /// Whether classes exclude each other.
    pub labelling: Labelling,
}

impl Sums {
    /// The sum of `(x, 1)` over all rows.
    pub fn all(&self) -> Vec<f64> {
        let columns = self.features + 1;
        match self.labelling {
            Labelling::Single => {
                (0..columns).map(|j| self.by_class.iter().map(|sum| sum[j]).sum()).collect()
            }
            // Labels overlap; the products with the constant, each row's last, are the sums as well.
            Labelling::Multi => {
                let ends = (0..columns).scan(0, |end, row| {
                    *end += columns - row;
                    Some(*end - 1)
                });
                ends.map(|end| self.gram[end]).collect()
            }
        }
    }
}

/// A linear model in the units of the sums.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Solution {
    pub weights: Vec<f64>,
    pub intercept: f64,
}

/// Why there is no solution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NoSolution {
    /// The rows have one class.
    OneClass { positives: u64, total: u64 },
    /// The matrix isn't positive definite.
    Singular,
}

/// A class whose rows weigh less together has none; sums are rounded.
const LEAST_WEIGHT: f64 = 1e-4;

/// A variance this far below the squared distance of the means counts as that: the classes are apart.
const LEAST_VARIANCE: f64 = 1e-9;

/// Solves for a class against all others. `scale` is the deviation of each column, `constant` says which
/// columns have none: those get no weight.
pub(crate) fn solve(
    sums: &Sums,
    class: usize,
    scale: &[f64],
    constant: &[bool],
    point: &GridPoint,
) -> Result<Solution, NoSolution> {
    let d = sums.features;
    let of_class = &sums.by_class[class];
    let all = sums.all();
    let (n, n1) = (all[d], of_class[d]);
    let n0 = n - n1;
    if n1 < LEAST_WEIGHT || n0 < LEAST_WEIGHT {
        return Err(NoSolution::OneClass { positives: n1 as u64, total: n as u64 });
    }
    let mean: Vec<f64> = all[..d].iter().map(|sum| sum / n).collect();
    let apart: Vec<f64> = (0..d)
        .map(|j| match constant[j] {
            true => 0.0,
            false => (of_class[j] / n1 - (all[j] - of_class[j]) / n0) / scale[j],
        })
        .collect();
    let between = n0 * n1 / n;
    // Scatter around the common mean, standardised; a constant column is a unit of its own.
    let scatter = |i: usize, j: usize, gram: f64| match (constant[i] || constant[j], i == j) {
        (true, true) => n,
        (true, false) => 0.0,
        (false, _) => (gram - n * mean[i] * mean[j]) / (scale[i] * scale[j]),
    };
    let total: Vec<f64> =
        upper(d).zip(gram_of_features(sums)).map(|((i, j), gram)| scatter(i, j, gram)).collect();
    let within: Vec<f64> = upper(d)
        .zip(&total)
        .map(|((i, j), total)| (total - between * apart[i] * apart[j]) / n)
        .collect();
    let (direction, own_logit) = match point {
        GridPoint::Ridge(ridge) => {
            let matrix = with_diagonal(d, &total, |value| value + ridge.alpha);
            let right = apart.iter().map(|a| 2.0 * between * a).collect();
            (linear_solve(d, &matrix, right)?, false)
        }
        GridPoint::Lda(lda) => {
            let own = upper(d).zip(&within).filter(|((i, j), _)| i == j && !constant[*i]);
            let mean_variance = own.map(|(_, value)| value).sum::<f64>() / d as f64;
            let kept = 1.0 - lda.shrinkage;
            let scaled: Vec<f64> = within.iter().map(|value| kept * value).collect();
            let matrix = with_diagonal(d, &scaled, |value| value + lda.shrinkage * mean_variance);
            (linear_solve(d, &matrix, apart.clone())?, true)
        }
        _ => (apart.clone(), false),
    };
    let distance: f64 = direction.iter().zip(&apart).map(|(w, a)| w * a).sum();
    let slope = if own_logit {
        1.0
    } else {
        let mut variance = 0.0;
        for ((i, j), value) in upper(d).zip(&within) {
            let twice = if i == j { 1.0 } else { 2.0 };
            variance += twice * value * direction[i] * direction[j];
        }
        let least = LEAST_VARIANCE * distance * distance;
        if distance == 0.0 { 0.0 } else { distance / variance.max(least) }
    };
    let weights: Vec<f64> =
        direction.iter().zip(scale).map(|(w, scale)| slope * w / scale).collect();
    let middle: f64 = weights
        .iter()
        .enumerate()
        .filter(|(j, _)| !constant[*j])
        .map(|(j, w)| w * (of_class[j] / n1 + (all[j] - of_class[j]) / n0) / 2.0)
        .sum();
    let weights = weights.iter().zip(constant).map(|(w, none)| if *none { 0.0 } else { *w });
    Ok(Solution { weights: weights.collect(), intercept: libm::log(n1 / n0) - middle })
}

/// Rows and columns of an upper triangle, row by row.
fn upper(d: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..d).flat_map(move |i| (i..d).map(move |j| (i, j)))
}

/// The triangle without the constant's column.
fn gram_of_features(sums: &Sums) -> impl Iterator<Item = f64> {
    let d = sums.features;
    (0..d).flat_map(move |i| {
        let start = i * (d + 1) - i * (i + 1) / 2 + i;
        sums.gram[start..start + d - i].iter().copied()
    })
}

fn with_diagonal(d: usize, triangle: &[f64], change: impl Fn(f64) -> f64) -> Vec<f64> {
    let each = upper(d).zip(triangle);
    each.map(|((i, j), value)| if i == j { change(*value) } else { *value }).collect()
}

fn linear_solve(d: usize, matrix: &[f64], mut right: Vec<f64>) -> Result<Vec<f64>, NoSolution> {
    let factor = Cholesky::of_upper(d, matrix).ok_or(NoSolution::Singular)?;
    factor.forward(&mut right);
    factor.backward(&mut right);
    Ok(right)
}
