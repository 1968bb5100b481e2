//! What a bundle's figures and thresholds are of: rows, or the rows of an exam or patient together.

use serde::{Deserialize, Serialize};
use wardround_core::study::{ExamKey, JudgedUnit, Study, UnitScore};

/// What figures and thresholds are of. Models score rows in any case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "unit", deny_unknown_fields)]
pub enum BundleJudged {
    /// Each row by itself.
    #[default]
    Row,
    /// The rows with one key together.
    Together {
        /// What the key names: "exam", "patient", "lesion".
        name: String,
        /// The study's column with the keys.
        column: String,
        /// What the probability of a unit is made of its rows'.
        score: UnitScore,
    },
}

impl BundleJudged {
    /// A study's.
    pub fn of(study: &Study) -> Self {
        let (score, name, column) = match (study.validation.judge, &study.patient.exam) {
            (JudgedUnit::Exam(score), ExamKey::Column(column)) => (score, "exam", column),
            (JudgedUnit::Patient(score), _) => {
                (score, study.patient.unit.as_str(), &study.patient.key)
            }
            // A study that judges exams has their column.
            (JudgedUnit::Row, _) | (JudgedUnit::Exam(_), ExamKey::None) => return Self::Row,
        };
        Self::Together { name: name.to_owned(), column: column.clone(), score }
    }

    /// In a sentence; nothing where rows are judged.
    pub fn sentence(&self, row: &str) -> Option<String> {
        let Self::Together { name, column, score } = self else { return None };
        let of = match score {
            UnitScore::Mean => "the mean of",
            UnitScore::Max => "the largest of",
        };
        Some(format!(
            "figures and thresholds are of {name}s (column '{column}'), whose probability is {of} their {row}s'"
        ))
    }
}
