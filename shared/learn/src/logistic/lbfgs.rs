//! Preconditioned limited-memory BFGS for many features: loss and gradient in every round.
//! (Nocedal and Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 3.5.)
//!
//! The preconditioner is the Hessian that a model without weights would have, `P = q (1 - q) G +
//! penalty` with the prevalence `q` and the Gram matrix `G`: one question for all models. With
//! `P = L L^T` the method runs plainly on `u = L^T v`, so each round costs one triangular solve
//! forth and one back, and the scale of the inverse Hessian falls out of the last step. Of wide models
//! `P` is the Hessian's diagonal alone.
//!
//! Line search: a step is taken when the loss falls enough (Armijo), else shortened by the parabola
//! through what is known. Near the optimum the loss no longer resolves what the gradient does; there
//! a step that leaves the loss within its rounding counts when the slope along it has shrunk (Hager
//! and Zhang, SIAM J. Optim. 2005;16:170, "approximate Wolfe"). Curvature needs no guard: the
//! objective is strictly convex.
//!
//! It ends when the distance to the optimum that is left after one more step, `d r / (1 - r)` with
//! the step's length `d` and the rate `r` at which steps have been shrinking, is below
//! [`Lbfgs::accuracy`] of the point (Euclidean norms); that step is still taken.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blocks::Blocks;
use super::cholesky::{Cholesky, dot};
use super::{Evaluation, Penalty, State, largest};

/// Pairs of steps and gradient changes that are remembered.
pub(super) const MEMORY: usize = 30;

/// Steps over which the rate of convergence is measured.
const RATE_STEPS: usize = 6;

/// Bounds of the rate: below, luck; above, no convergence to speak of.
const RATES: (f64, f64) = (0.3, 0.98);

const ARMIJO: f64 = 1e-4;

/// Share to which the slope must have shrunk where the loss is no guide.
const SLOPE: f64 = 0.9;

/// Rounding of a summed loss, as a share of it.
const ROUNDING: f64 = 1e-12;

const MOST_STEPS: u32 = 2_000;
const MOST_SHORTENINGS: u32 = 40;

/// `L` of a preconditioner `L L^T`.
#[derive(Debug, Clone)]
pub(crate) enum Factor {
    /// Of a whole matrix.
    Dense(Arc<Cholesky>),
    /// Of a diagonal one: the root of each entry, positive.
    Diagonal(Arc<Vec<f64>>),
    /// Of one that falls apart in another basis of the classes.
    Blocks(Arc<Blocks>),
}

impl Factor {
    /// Solves `L u = g` in place.
    pub(super) fn forward(&self, g: &mut [f64]) {
        match self {
            Self::Blocks(blocks) => blocks.forward(g),
            Self::Dense(factor) => factor.forward(g),
            Self::Diagonal(roots) => g.iter_mut().zip(&**roots).for_each(|(g, root)| *g /= root),
        }
    }

    /// Solves `L^T x = u` in place.
    pub(super) fn backward(&self, u: &mut [f64]) {
        match self {
            Self::Blocks(blocks) => blocks.backward(u),
            Self::Dense(factor) => factor.backward(u),
            Self::Diagonal(_) => self.forward(u),
        }
    }
}

/// L-BFGS for one model.
#[derive(Debug, Clone)]
pub(crate) struct Lbfgs {
    pub state: State,
    pub steps: u32,
    /// Points at which the loss was asked for.
    pub evaluations: u32,
    /// Largest entry of the penalised gradient at the last accepted point.
    pub gradient: f64,
    /// Distance to the optimum, as a share of the point, that is good enough.
    accuracy: f64,
    penalty: Penalty,
    preconditioner: Factor,
    trial: Vec<f64>,
    pairs: VecDeque<Pair>,
    /// Lengths of the proposed steps so far.
    lengths: Vec<f64>,
    accepted: Option<Accepted>,
}

/// A step and the change of the gradient over it, in preconditioned units.
#[derive(Debug, Clone)]
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// Their dot product, positive.
    curvature: f64,
}

/// A point with a step from it.
#[derive(Debug, Clone)]
struct Accepted {
    point: Vec<f64>,
    loss: f64,
    /// Gradient and direction in preconditioned units.
    gradient: Vec<f64>,
    direction: Vec<f64>,
    /// The direction in the point's units.
    step: Vec<f64>,
    slope: f64,
    share: f64,
    shortenings: u32,
}

impl Lbfgs {
    /// Starts at a point: one weight per feature, the constant last.
    /// `accuracy` is the distance to the optimum, as a share of the point, that is good enough.
    pub fn start(penalty: Penalty, preconditioner: Factor, point: Vec<f64>, accuracy: f64) -> Self {
        Self {
            accuracy,
            lengths: Vec::new(),
            state: State::Running,
            steps: 0,
            evaluations: 0,
            gradient: f64::INFINITY,
            penalty,
            preconditioner,
            trial: point,
            pairs: VecDeque::with_capacity(MEMORY),
            accepted: None,
        }
    }

    pub fn next_point(&self) -> &[f64] {
        &self.trial
    }

    pub fn take(&mut self, mut evaluation: Evaluation) {
        self.evaluations += 1;
        self.penalty.add(&self.trial, &mut evaluation);
        let most = largest(&evaluation.gradient);
        let Evaluation { loss, mut gradient, .. } = evaluation;
        self.preconditioner.forward(&mut gradient);
        if let Some(from) = &mut self.accepted {
            let slope = dot(&gradient, &from.direction);
            if !from.accepts(loss, slope) {
                if !from.shorten(loss) {
                    self.state = State::Stuck;
                }
                self.trial = along(&from.point, &from.step, from.share);
                return;
            }
            let change: Vec<f64> =
                gradient.iter().zip(&from.gradient).map(|(a, b)| a - b).collect();
            let step: Vec<f64> = from.direction.iter().map(|d| from.share * d).collect();
            let curvature = dot(&step, &change);
            if curvature > 0.0 {
                if self.pairs.len() == MEMORY {
                    self.pairs.pop_front();
                }
                self.pairs.push_back(Pair { step, change, curvature });
            }
        }
        self.gradient = most;
        self.accept(loss, gradient);
    }

    fn accept(&mut self, loss: f64, gradient: Vec<f64>) {
        let mut direction = self.direction(&gradient);
        let mut slope = dot(&gradient, &direction);
        if slope >= 0.0 && slope.is_finite() {
            self.pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        let mut step = direction.clone();
        self.preconditioner.backward(&mut step);
        let point = std::mem::take(&mut self.trial);
        self.trial = along(&point, &step, 1.0);
        self.steps += 1;
        self.lengths.push(dot(&step, &step).sqrt());
        if distance_left(&self.lengths) <= self.accuracy * dot(&point, &point).sqrt()
            || slope == 0.0
        {
            self.state = State::Done;
            self.pairs = VecDeque::new();
            return;
        } else if self.steps >= MOST_STEPS || !slope.is_finite() {
            self.state = State::Stuck;
        }
        self.accepted = Some(Accepted {
            point,
            loss,
            gradient,
            direction,
            step,
            slope,
            share: 1.0,
            shortenings: 0,
        });
    }

    /// Minus the approximate inverse Hessian times the gradient (two-loop recursion).
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = dot(&pair.step, &q) / pair.curvature;
            add(&mut q, -share, &pair.change);
            shares.push(share);
        }
        if let Some(pair) = self.pairs.back() {
            let scale = pair.curvature / dot(&pair.change, &pair.change);
            q.iter_mut().for_each(|v| *v *= scale);
        }
        for (pair, share) in self.pairs.iter().zip(shares.iter().rev()) {
            let back = dot(&pair.change, &q) / pair.curvature;
            add(&mut q, share - back, &pair.step);
        }
        q
    }
}

impl Accepted {
    fn accepts(&self, loss: f64, slope: f64) -> bool {
        let enough = loss <= self.loss + ARMIJO * self.share * self.slope;
        let within_rounding = loss <= self.loss + ROUNDING * self.loss.abs();
        enough || within_rounding && slope.abs() <= SLOPE * self.slope.abs()
    }

    /// Shortens the step to the lowest point of the parabola through both losses and the slope.
    /// False when it was shortened too often.
    fn shorten(&mut self, loss: f64) -> bool {
        let linear = self.slope * self.share;
        let lowest = -linear / (2.0 * (loss - self.loss - linear));
        let factor = if lowest.is_finite() { lowest.clamp(0.1, 0.5) } else { 0.1 };
        self.share *= factor;
        self.shortenings += 1;
        self.shortenings <= MOST_SHORTENINGS
    }
}

/// An estimate of the distance to the optimum after the step proposed last, from the lengths of all steps so far.
pub(super) fn distance_left(lengths: &[f64]) -> f64 {
    let last = lengths.len() - 1;
    let steps = last.min(RATE_STEPS);
    if steps == 0 {
        return f64::INFINITY;
    }
    let shrunk = lengths[last] / lengths[last - steps];
    let rate = libm::pow(shrunk, 1.0 / steps as f64).clamp(RATES.0, RATES.1);
    lengths[last] * rate / (1.0 - rate)
}

fn along(point: &[f64], step: &[f64], share: f64) -> Vec<f64> {
    point.iter().zip(step).map(|(p, d)| p + share * d).collect()
}

fn add(to: &mut [f64], share: f64, other: &[f64]) {
    for (a, b) in to.iter_mut().zip(other) {
        *a += share * b;
    }
}
