//! What is predicted: a column of labels, and the classes they stand for.

use serde::Serialize;

use super::same_value;
use crate::class_set::ClassSet;
use crate::query::Labelling;

/// The column that is predicted and its classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// The label column.
    pub column: String,
    /// The classes.
    pub classes: Classes,
    /// A second reader's labels of the same rows. How far both agree is told; no model ever sees them.
    #[serde(skip_serializing_if = "SecondReader::is_none")]
    pub second_reader: SecondReader,
}

/// Whether a second reader labelled the rows too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondReader {
    /// Nobody, or it isn't asked about.
    #[default]
    None,
    /// In this column; where a cell is empty the row was read once.
    Column(String),
}

impl SecondReader {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The classes of the target. Class codes count from 0 in the order of [`Classes::names`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Classes {
    /// Some labels against others: class 0 is negative, class 1 positive.
    Binary {
        /// Labels of the positive class, at least one.
        positive: Vec<String>,
        /// Labels of the negative class.
        negative: Negative,
    },
    /// One class per label, at least three; each is judged against the rest.
    OneVsRest {
        /// The labels, one per class.
        labels: Vec<String>,
    },
    /// Labels that may stand together in a cell, at least two; each is judged against the rows without it.
    /// The last class is that of rows with none of them; no model is fitted for it.
    AnyOf {
        /// The labels, one per class.
        labels: Vec<String>,
        /// What stands between labels in a cell.
        separator: String,
        /// What else a cell may say.
        negative: Negative,
    },
}

/// The name of the class of rows that have none of several labels.
pub const NONE_OF_THEM: &str = "none of them";

/// Which labels are negative.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negative {
    /// Every label that isn't positive.
    Rest,
    /// These; any other label is a problem that the site reports.
    Labels(Vec<String>),
}

impl Classes {
    /// A name per class code.
    pub fn names(&self) -> Vec<String> {
        match self {
            Classes::Binary { positive, negative } => {
                let negative = match negative {
                    Negative::Rest => "rest".to_owned(),
                    Negative::Labels(labels) => labels.join("+"),
                };
                vec![negative, positive.join("+")]
            }
            Classes::OneVsRest { labels } => labels.clone(),
            Classes::AnyOf { labels, .. } => {
                labels.iter().cloned().chain([NONE_OF_THEM.to_owned()]).collect()
            }
        }
    }

    /// The classes of a row, by its cell of the label column; `None` when the study doesn't know a label in
    /// it. Labels that are numbers compare as numbers.
    pub fn of_cell(&self, cell: &str) -> Option<ClassSet> {
        let among = |labels: &[String], label: &str| labels.iter().any(|l| same_value(l, label));
        let code = |labels: &[String], label: &str| {
            let at = labels.iter().position(|l| same_value(l, label))?;
            u8::try_from(at).ok()
        };
        match self {
            Classes::Binary { positive, .. } if among(positive, cell) => Some(ClassSet::only(1)),
            Classes::Binary { negative: Negative::Rest, .. } => Some(ClassSet::only(0)),
            Classes::Binary { negative: Negative::Labels(labels), .. } => {
                among(labels, cell).then_some(ClassSet::only(0))
            }
            Classes::OneVsRest { labels } => code(labels, cell).map(ClassSet::only),
            Classes::AnyOf { labels, separator, negative } => {
                let said = cell.split(separator).map(str::trim).filter(|label| !label.is_empty());
                let mut set = ClassSet::default();
                for label in said {
                    match (code(labels, label), negative) {
                        (Some(code), _) => set.insert(code),
                        (None, Negative::Rest) => {}
                        (None, Negative::Labels(others)) if among(others, label) => {}
                        (None, Negative::Labels(_)) => return None,
                    }
                }
                let none = u8::try_from(labels.len()).ok()?;
                Some(if set.count() == 0 { ClassSet::only(none) } else { set })
            }
        }
    }

    /// The class codes that a one-vs-rest model is fitted for: only 1 when binary, else all labels.
    pub fn modelled(&self) -> Vec<u8> {
        match self {
            Classes::Binary { .. } => vec![1],
            Classes::OneVsRest { labels } | Classes::AnyOf { labels, .. } => {
                (0..labels.len() as u8).collect()
            }
        }
    }

    /// How many classes a row has.
    pub fn labelling(&self) -> Labelling {
        match self {
            Classes::Binary { .. } | Classes::OneVsRest { .. } => Labelling::Single,
            Classes::AnyOf { .. } => Labelling::Multi,
        }
    }

    /// How many there are, 2 to 64.
    pub fn count(&self) -> u8 {
        match self {
            Classes::Binary { .. } => 2,
            Classes::OneVsRest { labels } => labels.len() as u8,
            Classes::AnyOf { labels, .. } => labels.len() as u8 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn labels_that_are_numbers_compare_as_numbers() {
        let classes = Classes::Binary { positive: words("1 2"), negative: Negative::Rest };
        let codes = ["1.0", "2", "0", "x"].map(|cell| classes.of_cell(cell).unwrap().single());
        assert_eq!(codes, [1, 1, 0, 0].map(Some));
    }

    #[test]
    fn a_cell_may_hold_several_labels_or_none() {
        let of = |negative| Classes::AnyOf {
            labels: words("effusion mass edema"),
            separator: "|".to_owned(),
            negative,
        };
        let classes = of(Negative::Labels(words("none hernia")));
        let set = |codes: &[u8]| Some(codes.iter().copied().collect::<ClassSet>());
        for (cell, expected) in [
            ("mass", set(&[1])),
            ("edema|effusion", set(&[0, 2])),
            (" mass | hernia |", set(&[1])),
            ("none", set(&[3])),
            ("hernia|none", set(&[3])),
            ("mass|Mass", None),
            ("efusion", None),
        ] {
            assert_eq!(classes.of_cell(cell), expected, "{cell}");
        }
        assert_eq!(of(Negative::Rest).of_cell("mass|efusion"), set(&[1]));
        assert_eq!((classes.count(), classes.modelled()), (4, vec![0, 1, 2]));
        assert_eq!(classes.names().last().unwrap(), NONE_OF_THEM);
    }
}
