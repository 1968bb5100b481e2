//! Models in other programs' formats, one folder each.

pub mod onnx;

use wardround_core::study::GridPoint;
use wardround_learn::bundle::{Learner, LinearMethod, ModelBundle};

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
        Learner::Kernel { .. } => "kernel-svm",
    }
}

/// Whose rows a bundle's models hold, where they hold any.
pub fn held_rows(bundle: &ModelBundle) -> Option<String> {
    let rows = bundle.rows_of_patients();
    let sites: Vec<&str> = bundle.manifest.sites.iter().map(|site| site.as_str()).collect();
    (rows > 0).then(|| {
        format!(
            "this model holds {rows} rows of features of patients of sites {}: it is as confidential as they are",
            sites.join(", ")
        )
    })
}
