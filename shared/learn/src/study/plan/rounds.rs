//! How many rounds fits take: estimates, from measured studies.

use wardround_core::study::{LeafLimit, Loss, RbfPoint};

/// Rounds of Newton's method.
pub(super) const NEWTON_ROUNDS: f64 = 8.0;

/// Rounds of preconditioned L-BFGS. The slowest model of a study on 1,280 features of 8,019 images
/// took 28 at C = 0.001 and 55 at C = 0.01; with the squared hinge 20 at C = 0.0001 and 43 at
/// C = 0.001. Fewer features take fewer rounds.
pub(super) fn lbfgs_rounds(loss: Loss, c: f64, features: f64) -> f64 {
    let (at_milli, power) = match loss {
        Loss::Logistic => (28.0, 0.285),
        Loss::SquaredHinge => (43.0, 0.33),
    };
    let rounds = at_milli * libm::pow(c / 0.001, power) * (features / 1280.0).sqrt();
    rounds.clamp(8.0, 400.0)
}

/// The same of models of all classes: 20 at C = 0.0001, beside 15 of one model per class.
pub(super) fn multinomial_rounds(c: f64, features: f64) -> f64 {
    1.35 * lbfgs_rounds(Loss::Logistic, c, features)
}

/// The same with an L1 penalty, which leaves fewer weights to be found: 34 at C = 0.03.
pub(super) fn proximal_rounds(c: f64, features: f64) -> f64 {
    (0.45 * lbfgs_rounds(Loss::Logistic, c, features)).max(8.0)
}

/// The same on random Fourier features, without a Gram matrix. The slowest model of a study on 1,280
/// features of 8,019 images took 67 at C = 0.1 with gamma = 0.25. Rounds grow with rows times C; a plan
/// knows no rows, but tables of few features have fewer of them than folders of images.
pub(super) fn rbf_rounds(point: &RbfPoint, features: f64) -> f64 {
    let at_tenth = 55.0 * libm::pow(point.gamma, -0.15) * libm::pow(features / 1280.0, 0.25);
    (at_tenth * libm::pow(point.c / 0.1, 0.45)).clamp(8.0, 600.0)
}

/// Leaves of a tree that are asked for: the root, and of every two siblings the smaller. Below five
/// levels about half of the leaves no longer split.
pub(super) fn asked_nodes(depth: f64, leaves: LeafLimit) -> f64 {
    let full = libm::exp2(depth.min(5.0) - 1.0);
    let nodes = full + (depth - 5.0).max(0.0) * full / 2.0;
    match leaves {
        LeafLimit::Unlimited => nodes,
        LeafLimit::AtMost(most) => nodes.min(f64::from(most)),
    }
}
