//! Proximal Newton-type method for losses with an L1 penalty: every round the loss is replaced by a
//! quadratic model, and the lasso problem that this leaves is solved here, by `lasso`. (Lee, Sun and
//! Saunders, SIAM J. Optim. 2014;24:1420, algorithm 1.)
//!
//! Of few features the quadratic is the loss's own: its Hessian comes in every round. Of many it is
//! `B = sigma M` with the Hessian `M` that a model without weights would have, as [`super::lbfgs`]'s
//! preconditioner, and limited-memory BFGS updates of it, unrolled into `b b^T - a a^T` (Nocedal and
//! Wright, Numerical Optimization, 2nd ed., section 7.2). The penalty is no part of it: both its
//! halves are exact in the lasso problem.
//!
//! It ends when the KKT conditions hold, that is when the lasso problem asks for no step: with the
//! Hessian when the step is below [`CLOSE`] of the point, which quadratic convergence squares; else by
//! the same estimate of the distance left as L-BFGS. The last step is taken. A weight that is 0 in the
//! lasso's solution is 0.0.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cholesky::dot;
use super::lasso::{Lasso, Quadratic};
use super::lbfgs::{MEMORY, distance_left};
use super::newton::{CLOSE, SMALLEST_POINT};
use super::{Evaluation, State, largest};

/// Share of the predicted decrease that a step must bring.
const ARMIJO: f64 = 1e-4;

/// Rounding of a summed loss, as a share of it, that doesn't count as an increase.
const ROUNDING: f64 = 1e-12;

/// How exactly a step is solved for, as a share of it: as exactly as the quadratic deserves.
const INNER_OF_HESSIAN: f64 = 1e-8;
const INNER_OF_UPDATES: f64 = 1e-4;

/// A change of the gradient must have at least this share of what the quadratic expects.
const LEAST_CURVATURE: f64 = 1e-8;

const MOST_STEPS: u32 = 2_000;
const MOST_SHORTENINGS: u32 = 40;

/// The penalty `sum of strength_j v_j^2 / 2 + sum of lasso_j |v_j|` over the weights; the constant has none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ElasticNet {
    /// One per feature, at least 0.
    pub strength: Vec<f64>,
    /// One per feature, at least 0.
    pub lasso: Vec<f64>,
}

/// What stands for the loss's second derivatives.
#[derive(Debug, Clone)]
pub(crate) enum Curvature {
    /// They come with every answer.
    Asked,
    /// They are guessed, and learned from changes of the gradient.
    Learned {
        /// Upper triangle of a matrix, row by row, the constant last; shared by many models.
        gram: Arc<Vec<f64>>,
        /// What it is multiplied by.
        weight: f64,
        /// Distance to the optimum, as a share of the point, that is good enough.
        accuracy: f64,
    },
}

/// The method for one model.
#[derive(Debug, Clone)]
pub(crate) struct Proximal {
    pub state: State,
    pub steps: u32,
    /// Points at which the loss was asked for.
    pub evaluations: u32,
    /// Largest entry of the smallest subgradient at the last accepted point.
    pub gradient: f64,
    pub curvature: Curvature,
    penalty: ElasticNet,
    trial: Vec<f64>,
    pairs: VecDeque<Pair>,
    /// Lengths of the proposed steps so far.
    lengths: Vec<f64>,
    accepted: Option<Accepted>,
}

/// A step, what the matrix makes of it, and the change of the gradient over it.
#[derive(Debug, Clone)]
struct Pair {
    step: Vec<f64>,
    product: Vec<f64>,
    change: Vec<f64>,
}

/// A point with a step from it.
#[derive(Debug, Clone)]
struct Accepted {
    point: Vec<f64>,
    /// With the penalty.
    loss: f64,
    /// Without it.
    gradient: Vec<f64>,
    /// Where the whole step leads, zeros exact.
    target: Vec<f64>,
    /// What the whole step is expected to change the loss by, at most 0.
    decrease: f64,
    share: f64,
    shortenings: u32,
}

impl ElasticNet {
    fn of(&self, point: &[f64]) -> f64 {
        let each = self.strength.iter().zip(&self.lasso).zip(point);
        each.map(|((strength, lasso), v)| strength * v * v / 2.0 + lasso * v.abs()).sum()
    }

    /// The entry of smallest magnitude of each subgradient, the largest of them; `gradient` is the loss's.
    fn largest_subgradient(&self, point: &[f64], gradient: &[f64]) -> f64 {
        let (constant, by_weights) = gradient.split_last().expect("a gradient has the constant");
        let each = self.strength.iter().zip(&self.lasso).zip(point).zip(by_weights);
        let of_weight = |(((strength, lasso), &v), g): (((&f64, &f64), &f64), &f64)| match v {
            0.0 => (g.abs() - lasso).max(0.0),
            _ => (g + strength * v + lasso * v.signum()).abs(),
        };
        each.map(of_weight).fold(constant.abs(), f64::max)
    }
}

impl Proximal {
    /// Starts at a point: one weight per feature, the constant last.
    pub fn start(penalty: ElasticNet, curvature: Curvature, point: Vec<f64>) -> Self {
        Self {
            state: State::Running,
            steps: 0,
            evaluations: 0,
            gradient: f64::INFINITY,
            curvature,
            penalty,
            trial: point,
            pairs: VecDeque::new(),
            lengths: Vec::new(),
            accepted: None,
        }
    }

    pub fn next_point(&self) -> &[f64] {
        &self.trial
    }

    pub fn take(&mut self, evaluation: Evaluation) {
        self.evaluations += 1;
        let Evaluation { loss, gradient, hessian } = evaluation;
        let loss = loss + self.penalty.of(&self.trial);
        if let Some(from) = &mut self.accepted {
            let bound = from.loss + ARMIJO * from.share * from.decrease;
            if loss > bound + ROUNDING * from.loss.abs() {
                if !from.shorten(loss) {
                    self.state = State::Stuck;
                }
                self.trial = from.along();
                return;
            }
            if let Curvature::Learned { gram, weight, .. } = &self.curvature {
                let step = difference(&self.trial, &from.point);
                let change = difference(&gradient, &from.gradient);
                let product: Vec<f64> =
                    symmetric_product(gram, &step).into_iter().map(|v| weight * v).collect();
                if dot(&step, &change) > LEAST_CURVATURE * dot(&step, &product) {
                    if self.pairs.len() == MEMORY {
                        self.pairs.pop_front();
                    }
                    self.pairs.push_back(Pair { step, product, change });
                }
            }
        }
        self.accept(loss, gradient, hessian);
    }

    fn accept(&mut self, loss: f64, gradient: Vec<f64>, hessian: Vec<f64>) {
        let point = std::mem::take(&mut self.trial);
        self.gradient = self.penalty.largest_subgradient(&point, &gradient);
        let (quadratic, inner) = match &self.curvature {
            Curvature::Asked => (Quadratic::of(&hessian, 1.0), INNER_OF_HESSIAN),
            Curvature::Learned { gram, weight, .. } => {
                (learned(gram, *weight, &self.pairs), INNER_OF_UPDATES)
            }
        };
        let ElasticNet { strength, lasso } = &self.penalty;
        let problem =
            Lasso { quadratic: &quadratic, gradient: &gradient, point: &point, strength, lasso };
        let target = problem.solve(inner);
        let direction = difference(&target, &point);
        let decrease =
            dot(&gradient, &direction) + self.penalty.of(&target) - self.penalty.of(&point);
        self.steps += 1;
        self.lengths.push(dot(&direction, &direction).sqrt());
        let done = match &self.curvature {
            Curvature::Asked => largest(&direction) <= CLOSE * largest(&point).max(SMALLEST_POINT),
            Curvature::Learned { accuracy, .. } => {
                let length = dot(&point, &point).sqrt().max(SMALLEST_POINT);
                distance_left(&self.lengths) <= accuracy * length
            }
        };
        self.trial = target.clone();
        if done || direction.iter().all(|d| *d == 0.0) {
            self.state = State::Done;
            self.pairs = VecDeque::new();
            self.accepted = None;
            return;
        } else if self.steps >= MOST_STEPS || !decrease.is_finite() {
            self.state = State::Stuck;
        }
        self.accepted = Some(Accepted {
            point,
            loss,
            gradient,
            target,
            decrease: decrease.min(0.0),
            share: 1.0,
            shortenings: 0,
        });
    }
}

impl Accepted {
    /// The point at the step's share; where neither end has a weight it has none.
    fn along(&self) -> Vec<f64> {
        let both = self.point.iter().zip(&self.target);
        both.map(|(from, to)| from + self.share * (to - from)).collect()
    }

    /// Shortens the step to the lowest point of the parabola through both losses and the decrease
    /// expected. False when it was shortened too often.
    fn shorten(&mut self, loss: f64) -> bool {
        let linear = self.decrease * self.share;
        let lowest = -linear / (2.0 * (loss - self.loss - linear));
        self.share *= if lowest.is_finite() { lowest.clamp(0.1, 0.5) } else { 0.1 };
        self.shortenings += 1;
        self.shortenings <= MOST_SHORTENINGS
    }
}

/// The matrix with the updates that the pairs make, the oldest first.
fn learned<'a>(gram: &'a [f64], weight: f64, pairs: &VecDeque<Pair>) -> Quadratic<'a> {
    let sigma = match pairs.back() {
        Some(Pair { step, product, change }) => dot(step, change) / dot(step, product),
        None => 1.0,
    };
    let mut quadratic = Quadratic::of(gram, sigma * weight);
    for Pair { step, product, change } in pairs {
        let mut image: Vec<f64> = product.iter().map(|v| sigma * v).collect();
        quadratic.add_updates(step, &mut image);
        let (expected, got) = (dot(step, &image), dot(step, change));
        if expected > 0.0 {
            let scaled = |values: &[f64], by: f64| values.iter().map(|v| v / by).collect();
            let taken = scaled(&image, expected.sqrt());
            quadratic.updates.push((scaled(change, got.sqrt()), taken));
        }
    }
    quadratic
}

/// A symmetric matrix, its upper triangle row by row, times a vector.
pub(super) fn symmetric_product(upper: &[f64], vector: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; vector.len()];
    let mut rest = upper;
    for (i, &v) in vector.iter().enumerate() {
        let (row, below) = rest.split_at(vector.len() - i);
        rest = below;
        product[i] += dot(row, &vector[i..]);
        if v != 0.0 {
            let others = product[i + 1..].iter_mut().zip(&row[1..]);
            others.for_each(|(p, entry)| *p += entry * v);
        }
    }
    product
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
