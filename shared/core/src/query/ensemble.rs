//! Scores of several models in one, and the question by which weights of members are found.

use serde::{Deserialize, Serialize};

use super::check::check_finite;
use super::{ClassWeights, DecodeError, Model, Query, RowSet};

/// Most members of an ensemble.
pub const MOST_MEMBERS: usize = 64;

/// The logit at which a member's is cut off: a probability closer to 0 or 1 than 1e-13 says no more.
pub const MEMBER_LIMIT: f64 = 30.0;

/// Several models whose scores make one. Members that are trees act on [`super::Frame::grid`] of the
/// question's frame, all others on the frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleModel {
    /// The class that counts as positive, the same for all members.
    pub class: u8,
    /// Its members, 2 to [`MOST_MEMBERS`]; none is an ensemble.
    pub members: Vec<Model>,
    /// How their scores are put together.
    pub combine: Combine,
}

/// How members' scores are put together. A member's logit is cut off at ±[`MEMBER_LIMIT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Combine {
    /// The logit of the mean of their probabilities.
    MeanProbability,
    /// A weighted sum of their logits.
    Logits {
        /// One per member.
        weights: Vec<f64>,
        /// The constant.
        intercept: f64,
    },
}

/// A logistic regression on members' logits that is being fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StackTerm {
    /// The class that counts as positive.
    pub class: u8,
    /// How much rows count.
    pub class_weights: ClassWeights,
    /// The rows, each set with the models that score it: one per member, indices into the question's.
    pub parts: Vec<(RowSet, Vec<u32>)>,
    /// One weight per member.
    pub weights: Vec<f64>,
    /// The constant.
    pub intercept: f64,
}

impl Combine {
    /// The logit of a row whose members say these logits.
    pub fn logit(&self, members: impl Iterator<Item = f64> + Clone) -> f64 {
        let members = members.map(|logit| logit.clamp(-MEMBER_LIMIT, MEMBER_LIMIT));
        match self {
            Self::MeanProbability => {
                // Of both classes, so that neither is lost near 1.
                let sum = |sign: f64| {
                    members.clone().map(|logit| 1.0 / (1.0 + libm::exp(-sign * logit))).sum::<f64>()
                };
                libm::log(sum(1.0)) - libm::log(sum(-1.0))
            }
            Self::Logits { weights, intercept } => {
                weights.iter().zip(members).fold(*intercept, |sum, (w, logit)| sum + w * logit)
            }
        }
    }
}

impl Query {
    pub(super) fn check_ensemble(&self, model: &EnsembleModel) -> Result<(), DecodeError> {
        let EnsembleModel { class, members, combine } = model;
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        if !(2..=MOST_MEMBERS).contains(&members.len()) {
            return wrong(format!("an ensemble of {} members", members.len()));
        }
        for member in members {
            if matches!(member, Model::Ensemble(_)) {
                return wrong("an ensemble of ensembles".into());
            }
            if member.class() != Some(*class) {
                return wrong(format!("a member of another class than {class}"));
            }
            self.check_scorer(member)?;
        }
        self.check_class(*class)?;
        match combine {
            Combine::MeanProbability => Ok(()),
            Combine::Logits { weights, intercept } => {
                check_members(weights, *intercept, members.len())
            }
        }
    }

    pub(super) fn check_stack_term(
        &self,
        term: &StackTerm,
        models: &[Model],
    ) -> Result<(), DecodeError> {
        let StackTerm { class, class_weights, parts, weights, intercept } = term;
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        self.check_class(*class)?;
        class_weights.check()?;
        if class_weights.is_drawn() {
            return wrong("a stack's rows count by weights, none is drawn".to_owned());
        }
        if !(2..=MOST_MEMBERS).contains(&weights.len()) {
            return wrong(format!("an ensemble of {} members", weights.len()));
        }
        for (rows, members) in parts {
            self.check_rows(rows)?;
            check_members(weights, *intercept, members.len())?;
            for member in members {
                match models.get(*member as usize) {
                    Some(Model::Ensemble(_)) => return wrong("an ensemble of ensembles".into()),
                    Some(model) if model.class() == Some(*class) => {}
                    Some(_) => return wrong(format!("a member of another class than {class}")),
                    None => return wrong(format!("model {member} of {}", models.len())),
                }
            }
        }
        Ok(())
    }
}

fn check_members(weights: &[f64], intercept: f64, members: usize) -> Result<(), DecodeError> {
    if weights.len() != members {
        let got = weights.len();
        return Err(DecodeError::Inconsistent(format!("{got} weights for {members} members")));
    }
    check_finite("an ensemble", weights.iter().chain([&intercept]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_means_and_stacks_are_sums() {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let two = [logit(0.9), logit(0.2)];
        let vote = Combine::MeanProbability.logit(two.into_iter());
        assert!((vote - logit(0.55)).abs() < 1e-12, "{vote}");
        let stack = Combine::Logits { weights: vec![2.0, -1.0], intercept: 0.5 };
        assert_eq!(stack.logit([3.0, 1.0].into_iter()), 5.5);
        // Where a double can't tell the probability from 1, the other class still counts.
        let sure = Combine::MeanProbability.logit([1e9, 1e9].into_iter());
        assert!((sure - MEMBER_LIMIT).abs() < 1e-9, "{sure}");
    }
}
