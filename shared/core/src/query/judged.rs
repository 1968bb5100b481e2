//! What is judged: each row by itself, or the rows of an exam or of a patient together. Models are fitted to
//! rows whatever is judged; a unit has one score, one class and one level of each subgroup.
//!
//! - **Score.** [`UnitScore::Mean`]: the mean of the rows' probabilities, as a soft vote takes it, told as a
//!   logit; [`UnitScore::Max`]: the largest. A unit of one row has that row's score, bit by bit.
//! - **Class.** The one that the study names first among its rows' classes: of two classes the positive one as
//!   soon as one row has it. Labels that may stand together: all that its rows have.
//! - **Level of a subgroup.** The one that its rows have, where they agree; rows of unknown level don't speak.
//!   Where they disagree it is unknown.
//!
//! None of it depends on the order of rows.

use serde::{Deserialize, Serialize};

use super::{Combine, Labelling};
use crate::class_set::ClassSet;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "unit", content = "score")]
pub enum JudgedUnit {
    /// Each row by itself.
    #[default]
    Row,
    /// The rows of an exam together.
    Exam(UnitScore),
    /// The rows of a patient together.
    Patient(UnitScore),
}

/// What the score of a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitScore {
    /// The logit of the mean of its rows' probabilities.
    Mean,
    /// The largest of its rows' scores.
    Max,
}

impl JudgedUnit {
    /// Whether each row is judged by itself.
    pub fn is_row(&self) -> bool {
        *self == Self::Row
    }

    /// How it is encoded in a schema; nothing for rows.
    pub(super) fn code(self) -> Option<u8> {
        Some(match self {
            Self::Row => return None,
            Self::Exam(UnitScore::Mean) => 1,
            Self::Exam(UnitScore::Max) => 2,
            Self::Patient(UnitScore::Mean) => 3,
            Self::Patient(UnitScore::Max) => 4,
        })
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        let all = [UnitScore::Mean, UnitScore::Max];
        let units = all.map(Self::Exam).into_iter().chain(all.map(Self::Patient));
        units.into_iter().find(|unit| unit.code() == Some(code))
    }
}

impl UnitScore {
    /// The logit of a unit whose rows have these, in any order. None of no row.
    pub fn logit(self, rows: &mut [f64]) -> Option<f64> {
        if let [] | [_] = rows {
            return rows.first().copied();
        }
        // Sums of floats depend on their order.
        rows.sort_by(f64::total_cmp);
        match self {
            Self::Mean => Some(Combine::MeanProbability.logit(rows.iter().copied())),
            Self::Max => rows.last().copied(),
        }
    }

    /// The probability of a unit whose rows have these.
    pub fn probability(self, rows: &[f64]) -> Option<f64> {
        match self {
            Self::Mean => {
                let mut sorted = rows.to_vec();
                sorted.sort_by(f64::total_cmp);
                (!rows.is_empty()).then(|| sorted.iter().sum::<f64>() / rows.len() as f64)
            }
            Self::Max => rows.iter().copied().max_by(f64::total_cmp),
        }
    }
}

impl Labelling {
    /// The classes of a unit whose rows have these, at least one row. `classes`: how many the target has.
    pub fn of_unit(self, classes: u8, rows: impl Iterator<Item = ClassSet>) -> ClassSet {
        let all = ClassSet(rows.fold(0, |bits, set| bits | set.0));
        let last = classes.saturating_sub(1);
        match self {
            // Of two classes the positive one is the last, and a file names it first.
            Self::Single if classes == 2 && all.has(1) => ClassSet::only(1),
            Self::Single => all.iter().next().map_or(all, ClassSet::only),
            // The last class is of rows that have none of the labels.
            Self::Multi if all.count() > 1 => ClassSet(all.0 & !ClassSet::only(last).0),
            Self::Multi => all,
        }
    }
}

/// The level of a unit whose rows have these; `unknown` is the last one.
pub fn level_of_unit(rows: impl Iterator<Item = u8>, unknown: u8) -> u8 {
    let mut known = rows.filter(|level| *level != unknown);
    let Some(first) = known.next() else { return unknown };
    if known.all(|level| level == first) { first } else { unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logit(p: f64) -> f64 {
        (p / (1.0 - p)).ln()
    }

    #[test]
    fn a_mean_is_of_probabilities_and_its_order_never_matters() {
        let rows = [0.9, 0.2, 0.35].map(logit);
        let mean = UnitScore::Mean.logit(&mut rows.clone()).unwrap();
        assert!((mean - logit((0.9 + 0.2 + 0.35) / 3.0)).abs() < 1e-12, "{mean}");
        for order in [[2, 0, 1], [1, 2, 0], [2, 1, 0]] {
            assert_eq!(UnitScore::Mean.logit(&mut order.map(|at| rows[at])), Some(mean));
        }
        assert_eq!(UnitScore::Max.logit(&mut rows.clone()), Some(logit(0.9)));
        for score in [UnitScore::Mean, UnitScore::Max] {
            assert_eq!(score.logit(&mut [41.5]), Some(41.5));
            assert_eq!((score.logit(&mut []), score.probability(&[])), (None, None));
        }
        assert_eq!(UnitScore::Mean.probability(&[0.25, 0.75]), Some(0.5));
        assert_eq!(UnitScore::Max.probability(&[0.25, 0.75, 0.5]), Some(0.75));
    }

    #[test]
    fn a_unit_has_the_class_that_is_named_first_and_all_labels() {
        let of = |labelling: Labelling, classes, rows: &[ClassSet]| {
            let unit = labelling.of_unit(classes, rows.iter().copied());
            let reversed = labelling.of_unit(classes, rows.iter().rev().copied());
            assert_eq!(unit, reversed);
            unit.iter().collect::<Vec<_>>()
        };
        let only = ClassSet::only;
        assert_eq!(of(Labelling::Single, 2, &[only(0), only(1), only(0)]), [1]);
        assert_eq!(of(Labelling::Single, 2, &[only(0), only(0)]), [0]);
        assert_eq!(of(Labelling::Single, 4, &[only(3), only(1), only(2)]), [1]);
        let both: ClassSet = [0, 2].into_iter().collect();
        assert_eq!(of(Labelling::Multi, 4, &[only(3), both, only(2)]), [0, 2]);
        assert_eq!(of(Labelling::Multi, 4, &[only(3), only(3)]), [3]);
    }

    #[test]
    fn a_unit_whose_rows_disagree_has_no_known_level() {
        let of = |rows: &[u8]| level_of_unit(rows.iter().copied(), 3);
        assert_eq!([of(&[1, 1]), of(&[1, 3, 1]), of(&[1, 2]), of(&[3, 3])], [1, 1, 3, 3]);
    }
}
