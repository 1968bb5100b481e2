//! Multinomial logistic regression as queries carry it: one model of all classes, whose scores a softmax
//! turns into probabilities.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::{check_finite, check_weight};
use super::{DecodeError, Fill, Labelling, Query, RowSet, Scaler};

/// A model of all classes: class `k` has the probability `exp(s_k) / sum of exp(s_l)`, `s_k` a weighted sum
/// of features and a constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxModel {
    /// How rows are standardised.
    pub scaler: Scaler,
    /// What stands in for missing features.
    pub fill: Fill,
    /// Class by class, one weight per feature and then the constant.
    pub coefficients: Vec<f64>,
}

/// A model of all classes with the rows it is fitted to, at the point where its loss is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoftmaxTerm {
    /// The training rows.
    pub rows: RowSet,
    /// How much a row counts, by class; 0 to [`super::MOST_WEIGHT`].
    pub class_weights: Vec<f64>,
    /// The model.
    pub model: Arc<SoftmaxModel>,
}

impl Query {
    /// Whether a model fits the rows.
    pub(super) fn check_softmax(&self, model: &SoftmaxModel) -> Result<(), DecodeError> {
        if self.schema.labelling == Labelling::Multi {
            let what = "a model of all classes where a row may have several".to_owned();
            return Err(DecodeError::Inconsistent(what));
        }
        self.check_scaler(&model.scaler)?;
        self.check_fill(&model.fill)?;
        let expected = usize::from(self.schema.classes) * (self.schema.features as usize + 1);
        let got = model.coefficients.len();
        if got != expected {
            let what = format!("{got} coefficients of a model of all classes, not {expected}");
            return Err(DecodeError::Inconsistent(what));
        }
        check_finite("a model", &model.coefficients)
    }

    /// Whether a term fits the query.
    pub(super) fn check_softmax_term(&self, term: &SoftmaxTerm) -> Result<(), DecodeError> {
        self.check_rows(&term.rows)?;
        let (got, expected) = (term.class_weights.len(), usize::from(self.schema.classes));
        if got != expected {
            let what = format!("{got} class weights for {expected} classes");
            return Err(DecodeError::Inconsistent(what));
        }
        term.class_weights.iter().try_for_each(|weight| check_weight(*weight))?;
        self.check_softmax(&term.model)
    }
}
