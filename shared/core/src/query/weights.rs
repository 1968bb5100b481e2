//! How much training rows count, by class: a weight, a whole number of times that is drawn, or that with
//! rows made between neighbours.
//!
//! Encoded as two numbers, as when there were weights alone. A weight is never negative, so the signs
//! are free to say how it is meant; software that knows weights alone refuses a negative one.

use serde::{Deserialize, Serialize};

use super::DecodeError;

/// The largest weight of a class.
pub const MOST_WEIGHT: f64 = 1e6;

/// The most times that a row may be drawn to count.
pub const MOST_TIMES: f64 = 1e4;

/// How much a training row of either class counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 2]", into = "[f64; 2]")]
pub struct ClassWeights {
    /// A row of another class than the model's: 0 to [`MOST_WEIGHT`], where times are drawn 1 to
    /// [`MOST_TIMES`].
    pub negative: f64,
    /// A row of the model's class, likewise.
    pub positive: f64,
    /// How the numbers are meant.
    pub counting: Counting,
}

/// How a weight makes a row count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counting {
    /// By the weight itself.
    Weighted,
    /// A whole number of times: the weight's whole part, and once more with the probability of what is
    /// left. Drawn from the query's seed ([`super::FoldPlan::seed`]) by patient and row, so that it
    /// doesn't depend on how patients are split into sites.
    Drawn,
    /// As [`Counting::Drawn`], but from the second time on it isn't the row itself that counts but
    /// points between it and rows of the same class near it at its own site (SMOTE: Chawla et al.,
    /// JAIR 2002;16:321). This does depend on the split into sites.
    Synthetic,
}

impl ClassWeights {
    /// Every row counts once.
    pub const EQUAL: Self = Self::new(1.0, 1.0);

    /// Weights of a row of another class than the model's, and of a row of that class.
    pub const fn new(negative: f64, positive: f64) -> Self {
        Self { negative, positive, counting: Counting::Weighted }
    }

    /// The weight of a row; where times are drawn, their mean.
    pub fn of(&self, positive: bool) -> f64 {
        if positive { self.positive } else { self.negative }
    }

    /// Whether times are drawn.
    pub fn is_drawn(&self) -> bool {
        self.counting != Counting::Weighted
    }

    pub(super) fn check(&self) -> Result<(), DecodeError> {
        let both = [self.negative, self.positive];
        let range = match self.counting {
            Counting::Weighted => 0.0..=MOST_WEIGHT,
            Counting::Drawn | Counting::Synthetic => 1.0..=MOST_TIMES,
        };
        if both.iter().all(|weight| range.contains(weight)) {
            return Ok(());
        }
        let what = format!("class weights {both:?}, {:?}", self.counting);
        Err(DecodeError::Inconsistent(what))
    }
}

impl From<ClassWeights> for [f64; 2] {
    fn from(ClassWeights { negative, positive, counting }: ClassWeights) -> Self {
        match counting {
            Counting::Weighted => [negative, positive],
            Counting::Drawn => [-negative, positive],
            Counting::Synthetic => [negative, -positive],
        }
    }
}

impl TryFrom<[f64; 2]> for ClassWeights {
    type Error = String;

    fn try_from([negative, positive]: [f64; 2]) -> Result<Self, String> {
        let counting = match (negative < 0.0, positive < 0.0) {
            (false, false) => Counting::Weighted,
            (true, false) => Counting::Drawn,
            (false, true) => Counting::Synthetic,
            (true, true) => return Err(format!("class weights {negative} and {positive}")),
        };
        // A weight keeps its bits.
        Ok(match counting {
            Counting::Weighted => Self { negative, positive, counting },
            _ => Self { negative: negative.abs(), positive: positive.abs(), counting },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::encoding::{decode, encode};

    #[test]
    fn weights_are_encoded_as_ever_and_draws_as_signs() {
        let plain = ClassWeights::new(0.5, 3.25);
        assert_eq!(encode(&plain), encode(&[0.5, 3.25]));
        for counting in [Counting::Weighted, Counting::Drawn, Counting::Synthetic] {
            let weights = ClassWeights { negative: 1.0, positive: 3.25, counting };
            assert_eq!(decode::<ClassWeights>(&encode(&weights)), Ok(weights));
            assert_eq!(weights.check(), Ok(()));
        }
        assert!(decode::<ClassWeights>(&encode(&[-1.0, -2.0])).is_err());
    }

    #[test]
    fn a_row_is_drawn_at_least_once_and_not_too_often() {
        for (negative, positive) in [(0.5, 1.0), (1.0, 2e4), (1.0, f64::NAN), (-1.0, 1.0)] {
            for counting in [Counting::Drawn, Counting::Synthetic] {
                assert!(ClassWeights { negative, positive, counting }.check().is_err());
            }
        }
    }
}
