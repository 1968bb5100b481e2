//! Models in other programs' formats, one folder each.

pub mod onnx;

use wardround_core::study::GridPoint;
use wardround_learn::bundle::{Learner, LinearMethod};

/// What kind of model it is, in the word of study files.
pub fn kind(learner: &Learner) -> &'static str {
    match learner {
        Learner::Linear { method, .. } => match method {
            LinearMethod::Logistic | LinearMethod::Multinomial => "logistic",
            LinearMethod::SquaredHinge => "linear-svm",
            LinearMethod::Ridge => "ridge",
            LinearMethod::Lda => "lda",
            LinearMethod::NearestMean => "nearest-mean",
        },
        Learner::Fourier { .. } => "rbf-svm",
        Learner::Trees { point: GridPoint::Boosting(_) } => "boosting",
        Learner::Trees { .. } => "forest",
        Learner::Ensemble { ensemble, .. } => ensemble.word(),
    }
}
