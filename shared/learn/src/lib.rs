//! The science: cohorts, classifiers, cross-validation, metrics. Everything is an `async fn` over
//! [`cohort::Cohort`], written once for one place in memory, a federation and a replayed journal.
//!
//! Between two queries there are only plain `f64` loops in a fixed order and `libm` for
//! transcendental functions, so that a fit is the same bits on every machine that replays it. One learner
//! departs from both, [`kernel_machine`]: it is made of rows, and its fits take `exp` from the platform.

pub mod bundle;
mod closed_form;
pub mod cohort;
mod combat;
mod distance;
mod eigen;
pub mod findings;
pub mod folds;
pub mod fourier;
#[cfg(test)]
mod golden_rows;
pub mod kernel_machine;
mod logistic;
pub mod metrics;
mod pca;
pub mod recorded;
pub mod rows;
pub mod study;
pub(crate) mod trees;
