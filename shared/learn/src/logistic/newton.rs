//! Damped Newton's method for few features: gradient and Hessian in every round, so a fit takes a
//! handful of them. (Boyd and Vandenberghe, Convex Optimization, section 9.5.)
//!
//! The last step is applied without asking for the loss behind it: where the step is below
//! [`CLOSE`] of the point, quadratic convergence leaves an error of its square, far below the
//! rounding of the sums.

use super::cholesky::Cholesky;
use super::{Evaluation, Penalty, State, largest};

/// Step, as a share of the point's largest entry, that is applied without looking back.
pub(super) const CLOSE: f64 = 1e-8;

/// Entries below this don't make the step's share larger.
pub(super) const SMALLEST_POINT: f64 = 1e-3;

/// Share of the predicted decrease that a step must bring.
const ARMIJO: f64 = 1e-4;

/// Rounding of a summed loss, as a share of it, that doesn't count as an increase.
const ROUNDING: f64 = 1e-12;

const MOST_STEPS: u32 = 100;
const MOST_HALVINGS: u32 = 40;

/// Newton's method for one model.
#[derive(Debug, Clone)]
pub(crate) struct Newton {
    pub state: State,
    pub steps: u32,
    /// Points at which the loss was asked for.
    pub evaluations: u32,
    /// Largest entry of the penalised gradient at the last accepted point.
    pub gradient: f64,
    penalty: Penalty,
    trial: Vec<f64>,
    accepted: Option<Accepted>,
}

/// A point with a step from it.
#[derive(Debug, Clone)]
struct Accepted {
    point: Vec<f64>,
    loss: f64,
    direction: Vec<f64>,
    /// Derivative of the loss along the direction, negative.
    slope: f64,
    share: f64,
    halvings: u32,
}

impl Newton {
    /// Starts at a point: one weight per feature, the constant last.
    pub fn start(penalty: Penalty, point: Vec<f64>) -> Self {
        Self {
            state: State::Running,
            steps: 0,
            evaluations: 0,
            gradient: f64::INFINITY,
            penalty,
            trial: point,
            accepted: None,
        }
    }

    pub fn next_point(&self) -> &[f64] {
        &self.trial
    }

    pub fn take(&mut self, mut evaluation: Evaluation) {
        self.evaluations += 1;
        self.penalty.add(&self.trial, &mut evaluation);
        if let Some(from) = &mut self.accepted {
            let bound = from.loss + ARMIJO * from.share * from.slope + ROUNDING * from.loss.abs();
            let lower = evaluation.loss <= bound;
            if !lower {
                from.share /= 2.0;
                from.halvings += 1;
                if from.halvings > MOST_HALVINGS {
                    self.state = State::Stuck;
                }
                self.trial = along(&from.point, &from.direction, from.share);
                return;
            }
        }
        self.accept(evaluation);
    }

    fn accept(&mut self, mut evaluation: Evaluation) {
        self.gradient = largest(&evaluation.gradient);
        let order = self.trial.len();
        self.penalty.add_curvature(order, &mut evaluation.hessian);
        // With a hinge no row may be within its margin; then nothing holds the constant, and nothing moves it.
        if let Some(constant @ 0.0) = evaluation.hessian.last_mut() {
            *constant = 1.0;
        }
        let Some(factor) = Cholesky::of_upper(order, &evaluation.hessian) else {
            self.state = State::Stuck;
            return;
        };
        let mut direction: Vec<f64> = evaluation.gradient.iter().map(|g| -g).collect();
        factor.forward(&mut direction);
        factor.backward(&mut direction);
        let slope: f64 = evaluation.gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let point = std::mem::take(&mut self.trial);
        self.trial = along(&point, &direction, 1.0);
        self.steps += 1;
        if largest(&direction) <= CLOSE * largest(&point).max(SMALLEST_POINT) {
            self.state = State::Done;
            return;
        } else if self.steps >= MOST_STEPS {
            self.state = State::Stuck;
        }
        let loss = evaluation.loss;
        self.accepted = Some(Accepted { point, loss, direction, slope, share: 1.0, halvings: 0 });
    }
}

fn along(point: &[f64], direction: &[f64], share: f64) -> Vec<f64> {
    point.iter().zip(direction).map(|(p, d)| p + share * d).collect()
}
