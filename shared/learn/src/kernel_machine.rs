//! Support vector machines with a Gaussian kernel, made of rows: fitted by linfa, scored here.
//!
//! Minimises `|w|^2 / 2 + sum of C_i max(0, 1 - y_i m_i)` in the space of the kernel
//! `exp(-gamma / features |x - x'|^2)`. linfa solves the dual by sequential minimal optimisation with working
//! sets of second order (Fan, Chen and Lin, JMLR 2005;6:1889), as LIBSVM does, to a tighter end. Two
//! departures from its defaults: it never shrinks the working set, since its bounds don't move with the rows
//! that it swaps, and its answer isn't believed but checked: by how much it misses its optimum is worked out anew.
//!
//! linfa's kernel takes `exp` from the platform, so that a fit's last bits may differ between platforms of
//! different mathematical libraries, and with them the bundle's digest. On one platform a replay gives the
//! same bytes. Scores use `libm` everywhere.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_svm::{Svm, SvmError};
use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::rows::kernel::{Matrix, Panels, dot, product};

/// Most rows that a machine is fitted to: its kernel matrix is rows times rows numbers, 0.8 GB of so many.
pub const MOST_ROWS: usize = 10_000;

/// How far the optimality conditions may be missed, in units of a score, where linfa ends.
const ACCURACY: f64 = 1e-7;

/// Steps after which linfa gives up.
pub(crate) const MOST_STEPS: u32 = 10_000_000;

/// Rows scored at a time.
const BLOCK: usize = 256;

/// A fitted machine, in terms of its training rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Machine {
    /// Per training row its multiplier, signed by its class; 0 where it isn't a support vector.
    pub coefficients: Vec<f64>,
    /// The constant.
    pub intercept: f64,
}

/// What a machine is fitted with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Setting {
    /// The kernel's width, per feature.
    pub gamma: f64,
    /// C of a row of another class than the model's, and of a row of that class.
    pub c: [f64; 2],
}

/// Fits a machine to standardised rows, `[rows, features]`, of both classes.
///
/// # Errors
/// linfa's, for a C that isn't positive.
pub(crate) fn fit(
    rows: ArrayView2<'_, f64>,
    positive: ArrayView1<'_, bool>,
    setting: &Setting,
) -> Result<Machine, SvmError> {
    let [of_negative, of_positive] = setting.c;
    let width = rows.ncols() as f64 / setting.gamma;
    let fitted: Svm<f64, bool> = Svm::<f64, bool>::params()
        .pos_neg_weights(of_positive, of_negative)
        .gaussian_kernel(width)
        .eps(ACCURACY)
        .fit(&DatasetBase::new(rows, positive))?;
    Ok(Machine { coefficients: fitted.alpha, intercept: -fitted.rho })
}

/// The scores of rows by machines whose training rows are some of them: per machine, per row. The same bits
/// with any number of threads.
pub(crate) fn scores(
    rows: &Matrix,
    (count, features): (usize, usize),
    training: &[usize],
    machines: &[(Setting, Machine)],
) -> Vec<Vec<f64>> {
    let is_support = |at: &usize| machines.iter().any(|(_, one)| one.coefficients[*at] != 0.0);
    let support: Vec<usize> = (0..training.len()).filter(is_support).collect();
    let mut vectors = Panels::zero(rows.columns, support.len());
    for (column, &at) in support.iter().enumerate() {
        let row = rows.row(training[at]);
        (0..features).for_each(|j| *vectors.get_mut(j, column) = row[j]);
    }
    let squares: Vec<f64> = (0..count).map(|row| dot(rows.row(row), rows.row(row))).collect();
    let mut scores = vec![Vec::with_capacity(count); machines.len()];
    for first in (0..count).step_by(BLOCK) {
        let block = first..count.min(first + BLOCK);
        let mut of_block = Matrix::zero(block.len(), features);
        for (at, row) in block.clone().enumerate() {
            of_block.row_mut(at).copy_from_slice(rows.row(row));
        }
        let products = product(&of_block, &vectors);
        let of_row = |row: usize| {
            let distance = |(column, &at): (usize, &usize)| {
                let both = squares[row] + squares[training[at]];
                (both - 2.0 * products.get(row - first, column)).max(0.0)
            };
            let distances: Vec<f64> = support.iter().enumerate().map(distance).collect();
            let mut known: Option<(f64, Vec<f64>)> = None;
            let of_machine = |(setting, machine): &(Setting, Machine)| {
                let scale = setting.gamma / features as f64;
                let kernel = match known.take() {
                    Some((of, kernel)) if of == scale => kernel,
                    _ => distances.iter().map(|d| libm::exp(-scale * d)).collect(),
                };
                let terms = kernel.iter().zip(&support);
                let sum = terms.fold(0.0, |sum, (k, &at)| sum + machine.coefficients[at] * k);
                known = Some((scale, kernel));
                sum + machine.intercept
            };
            machines.iter().map(of_machine).collect::<Vec<f64>>()
        };
        let of_rows: Vec<Vec<f64>> = block.into_par_iter().map(of_row).collect();
        for of_row in of_rows {
            scores.iter_mut().zip(of_row).for_each(|(scores, score)| scores.push(score));
        }
    }
    scores
}

/// How far a machine misses the optimality conditions, given its scores of its training rows: by how much the
/// constants that two rows ask for contradict each other at most, 0 or more.
pub(crate) fn violation(
    machine: &Machine,
    setting: &Setting,
    positive: &[bool],
    scores: &[f64],
) -> f64 {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for ((coefficient, &positive), score) in machine.coefficients.iter().zip(positive).zip(scores) {
        let (y, c) = if positive { (1.0, setting.c[1]) } else { (-1.0, setting.c[0]) };
        // What the score lacks to the margin: a row may move the constant up, down, or either way.
        let lacks = y - score;
        let multiplier = coefficient * y;
        let (may_grow, may_shrink) = (multiplier < c, multiplier > 0.0);
        let (up, down) = if positive { (may_grow, may_shrink) } else { (may_shrink, may_grow) };
        if up {
            most = most.max(lacks);
        }
        if down {
            least = least.min(lacks);
        }
    }
    (most - least).max(0.0)
}
