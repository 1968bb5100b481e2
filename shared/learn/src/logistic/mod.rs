//! L2-penalised logistic regression, fitted from sums alone.
//!
//! The objective is scikit-learn's `LogisticRegression(C)` on standardised features:
//! `|w|^2 / (2 C) + sum over rows of ln(1 + exp(-y m))`, `y` = +-1, the constant unpenalised.
//!
//! Everything happens in the *units of the question*: the shared frame's `z` when the scaler is
//! folded, else each site's own standardised units. With standardised weights `w = s v` (`s` the
//! training rows' deviation in the frame) the penalty is `sum (s v)^2 / (2 C)` and a shift of the
//! features goes into the unpenalised constant; so an optimiser works on `v` and the sites' answers
//! as they come, and [`Penalty`] is the only place that knows the scaler. That is the same optimum
//! as folding the scaler into the weights and mapping gradients back, with one rounding less.
//!
//! A column that is constant in the training rows acts like the constant; the penalty alone drives
//! its weight to 0.
//!
//! [`newton`] serves few features (GLORE: Wu et al., JAMIA 2012;19:758), [`lbfgs`] many. Both are
//! plain state machines; [`lockstep`] asks the questions for all models at once.

pub(crate) mod basis;
pub(crate) mod cholesky;
pub(crate) mod lbfgs;
pub(crate) mod lockstep;
pub(crate) mod newton;

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

/// The penalty `sum of strength_j v_j^2 / 2` over the weights; the constant has none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Penalty {
    /// One per feature, positive.
    pub strength: Vec<f64>,
}

impl Penalty {
    /// Adds the penalty to a loss and its gradient.
    fn add(&self, point: &[f64], evaluation: &mut Evaluation) {
        let mut half = 0.0;
        for ((strength, v), g) in self.strength.iter().zip(point).zip(&mut evaluation.gradient) {
            half += strength * v * v;
            *g += strength * v;
        }
        evaluation.loss += half / 2.0;
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

/// Either method.
#[derive(Debug, Clone)]
pub(crate) enum Optimiser {
    Newton(newton::Newton),
    Lbfgs(lbfgs::Lbfgs),
}

impl Optimiser {
    /// Where the loss is wanted next: one weight per feature, the constant last. The optimum once
    /// it is done.
    pub fn next_point(&self) -> &[f64] {
        match self {
            Optimiser::Newton(newton) => newton.next_point(),
            Optimiser::Lbfgs(lbfgs) => lbfgs.next_point(),
        }
    }

    /// Takes the loss at [`Self::next_point`].
    pub fn take(&mut self, evaluation: Evaluation) {
        match self {
            Optimiser::Newton(newton) => newton.take(evaluation),
            Optimiser::Lbfgs(lbfgs) => lbfgs.take(evaluation),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match self {
            Optimiser::Newton(newton) => newton.state,
            Optimiser::Lbfgs(lbfgs) => lbfgs.state,
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> u32 {
        match self {
            Optimiser::Newton(newton) => newton.steps,
            Optimiser::Lbfgs(lbfgs) => lbfgs.steps,
        }
    }

    /// Points at which the loss was asked for.
    pub fn evaluations(&self) -> u32 {
        match self {
            Optimiser::Newton(newton) => newton.evaluations,
            Optimiser::Lbfgs(lbfgs) => lbfgs.evaluations,
        }
    }

    /// Largest entry of the penalised gradient at the last accepted point.
    pub fn gradient(&self) -> f64 {
        match self {
            Optimiser::Newton(newton) => newton.gradient,
            Optimiser::Lbfgs(lbfgs) => lbfgs.gradient,
        }
    }
}

/// Largest magnitude.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| v.abs().max(most))
}
