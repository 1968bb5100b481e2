//! Penalised logistic regression, fitted from sums alone.
//!
//! The objective is scikit-learn's `LogisticRegression(C, l1_ratio)` on standardised features:
//! `((1 - r) / 2 |w|^2 + r |w|_1) / C + sum over rows of ln(1 + exp(-y m))`, `y` = +-1, the constant
//! unpenalised.
//!
//! Everything happens in the *units of the question*: the shared frame's `z` when the scaler is
//! folded, else each site's own standardised units. With standardised weights `w = s v` (`s` the
//! training rows' deviation in the frame) the L2 penalty is `sum (s v)^2 / (2 C)`, the L1 penalty `sum |s v| / C`, and a
//! shift of the features goes into the unpenalised constant; so an optimiser works on `v` and the sites'
//! answers as they come, and [`Penalty`] or [`proximal::ElasticNet`] is the only place that knows the scaler. That is the same optimum
//! as folding the scaler into the weights and mapping gradients back, with one rounding less.
//!
//! A column that is constant in the training rows acts like the constant; the penalty alone drives
//! its weight to 0.
//!
//! [`newton`] serves few features (GLORE: Wu et al., JAMIA 2012;19:758), [`lbfgs`] many, [`proximal`]
//! both where there is an L1 penalty. All are plain state machines; [`lockstep`] asks the questions for all models at once.

pub(crate) mod basis;
pub(crate) mod blocks;
pub(crate) mod cholesky;
mod lasso;
pub(crate) mod lbfgs;
pub(crate) mod lockstep;
pub(crate) mod newton;
pub(crate) mod proximal;

use wardround_core::query::Derivatives;

/// Features up to which Newton's method is used: above, the Hessian is too large to ask for.
pub const NEWTON_FEATURES: usize = 63;

/// A model's summed loss at a point and its derivatives, the penalty not included.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// The loss.
    pub loss: f64,
    /// By each weight, the constant last.
    pub gradient: Vec<f64>,
    /// Upper triangle row by row, the constant last; empty when it wasn't asked for.
    pub hessian: Vec<f64>,
}

/// Numbers up to which a model of all classes is fitted by Newton's method.
pub const NEWTON_COEFFICIENTS: usize = 128;

/// The penalty `sum of strength_j v_j^2 / 2` over the weights; constants have none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Penalty {
    /// One per feature, positive; of models of all classes one per coefficient, 0 for constants.
    pub strength: Vec<f64>,
    /// What is done about constants.
    pub constants: Constants,
}

/// What a penalty does about constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Constants {
    /// Nothing: the loss holds the one there is.
    Free,
    /// Of all classes the loss doesn't notice what is added to every one, so their sum is held at 0 by
    /// `strength sum^2 / 2`, which is 0 at the optimum.
    SumToZero {
        /// Coefficients of a class, its constant the last of them.
        width: usize,
        /// Positive.
        strength: f64,
    },
}

impl Penalty {
    /// Adds the penalty to a loss and its gradient.
    fn add(&self, point: &[f64], evaluation: &mut Evaluation) {
        let mut half = 0.0;
        for ((strength, v), g) in self.strength.iter().zip(point).zip(&mut evaluation.gradient) {
            half += strength * v * v;
            *g += strength * v;
        }
        if let Constants::SumToZero { width, strength } = self.constants {
            let sum: f64 = point.iter().skip(width - 1).step_by(width).sum();
            half += strength * sum * sum;
            let constants = evaluation.gradient.iter_mut().skip(width - 1).step_by(width);
            constants.for_each(|g| *g += strength * sum);
        }
        evaluation.loss += half / 2.0;
    }

    /// Adds the penalty's second derivatives to an upper triangle, row by row.
    fn add_curvature(&self, order: usize, upper: &mut [f64]) {
        let mut diagonal = 0;
        for (i, strength) in self.strength.iter().enumerate() {
            upper[diagonal] += strength;
            diagonal += order - i;
        }
        let Constants::SumToZero { width, strength } = self.constants else { return };
        for i in (width - 1..order).step_by(width) {
            for j in (i..order).step_by(width) {
                upper[i * order - i * (i + 1) / 2 + j] += strength;
            }
        }
    }
}

/// Where an optimiser stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It wants the loss at its next point.
    Running,
    /// Its point is the optimum.
    Done,
    /// It made no progress.
    Stuck,
}

/// Any of the methods.
#[derive(Debug, Clone)]
pub(crate) enum Optimiser {
    Newton(newton::Newton),
    Lbfgs(lbfgs::Lbfgs),
    Proximal(proximal::Proximal),
}

impl Optimiser {
    /// Where the loss is wanted next: one weight per feature, the constant last. The optimum once
    /// it is done.
    pub fn next_point(&self) -> &[f64] {
        match self {
            Optimiser::Newton(newton) => newton.next_point(),
            Optimiser::Lbfgs(lbfgs) => lbfgs.next_point(),
            Optimiser::Proximal(proximal) => proximal.next_point(),
        }
    }

    /// Takes the loss at [`Self::next_point`].
    pub fn take(&mut self, evaluation: Evaluation) {
        match self {
            Optimiser::Newton(newton) => newton.take(evaluation),
            Optimiser::Lbfgs(lbfgs) => lbfgs.take(evaluation),
            Optimiser::Proximal(proximal) => proximal.take(evaluation),
        }
    }

    /// What it wants to know there.
    pub fn derivatives(&self) -> Derivatives {
        match self {
            Optimiser::Newton(_) => Derivatives::Hessian,
            Optimiser::Lbfgs(_) => Derivatives::Gradient,
            Optimiser::Proximal(proximal) => match proximal.curvature {
                proximal::Curvature::Asked => Derivatives::Hessian,
                proximal::Curvature::Learned { .. } => Derivatives::Gradient,
            },
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match self {
            Optimiser::Newton(newton) => newton.state,
            Optimiser::Lbfgs(lbfgs) => lbfgs.state,
            Optimiser::Proximal(proximal) => proximal.state,
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> u32 {
        match self {
            Optimiser::Newton(newton) => newton.steps,
            Optimiser::Lbfgs(lbfgs) => lbfgs.steps,
            Optimiser::Proximal(proximal) => proximal.steps,
        }
    }

    /// Points at which the loss was asked for.
    pub fn evaluations(&self) -> u32 {
        match self {
            Optimiser::Newton(newton) => newton.evaluations,
            Optimiser::Lbfgs(lbfgs) => lbfgs.evaluations,
            Optimiser::Proximal(proximal) => proximal.evaluations,
        }
    }

    /// Largest entry of the penalised gradient at the last accepted point.
    pub fn gradient(&self) -> f64 {
        match self {
            Optimiser::Newton(newton) => newton.gradient,
            Optimiser::Lbfgs(lbfgs) => lbfgs.gradient,
            Optimiser::Proximal(proximal) => proximal.gradient,
        }
    }
}

/// Largest magnitude.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| v.abs().max(most))
}
