//! Questions about another column than the target: is a row of this site, is it of this level of a subgroup column?
//!
//! A marked question is an ordinary one ([`Marked::ask`]) about rows whose classes are *marks*: class `k` is every row for which mark
//! `k` holds, and the last class is every row for which none does. So whatever can be trained and judged on the target can be on a
//! site or a subgroup, by the same code. The target isn't lost: behind the study's subgroup columns stands one more column of two
//! levels for each of its classes, that says whether the row has it. Folds stay those of the study. Each row is asked about by itself, whatever the
//! study judges.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Ask, Column, DecodeError, JudgedUnit, Labelling, MOST_CLASSES, Query, Schema};
use crate::class_set::ClassSet;

/// Marks of a question at most: the last class is that of rows without any.
pub const MOST_MARKS: usize = MOST_CLASSES as usize - 1;

/// What a row is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mark {
    /// It is of the site with this index in [`Query::sites`].
    Site(u16),
    /// It is of a level of a subgroup column of the study.
    Level {
        /// The column.
        column: u8,
        /// The level.
        level: u8,
    },
}

/// What models of a marked question about scores are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScoreOf {
    /// Of the mark that their list is about.
    Mark,
    /// Of this class of the target, which every list sets beside its mark: does the score follow it?
    Class(u8),
}

/// A question about marks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marked {
    /// The marks, ascending: class `k` of the question is mark `k`.
    pub marks: Vec<Mark>,
    /// What its models are of, where it is about scores.
    pub scores: ScoreOf,
    /// What is asked: [`Ask::Profile`], [`Ask::Logistic`] whose rows all count once or by weights of classes, [`Ask::Scores`]
    /// or [`Ask::Placements`].
    pub ask: Box<Ask>,
}

impl Mark {
    /// Which of some marks hold for a row of a site with these levels; the class behind the last where none does.
    pub fn of_row(marks: &[Self], site: u16, level: impl Fn(u8) -> u8) -> ClassSet {
        let mut set = ClassSet::default();
        for (code, mark) in (0..).zip(marks) {
            let holds = match *mark {
                Self::Site(of) => of == site,
                Self::Level { column, level: of } => level(column) == of,
            };
            if holds {
                set.insert(code);
            }
        }
        if set == ClassSet::default() {
            set.insert(marks.len() as u8);
        }
        set
    }

    /// Whether what is told of it is about this site alone: its own mark, or with two sites the other's.
    pub fn shows_site(self, site: u16, sites: usize) -> bool {
        match self {
            Self::Site(of) => of == site || sites == 2,
            Self::Level { .. } => false,
        }
    }
}

impl Marked {
    /// The marks that hold for a row of a site with these levels.
    pub fn of_row(&self, site: u16, level: impl Fn(u8) -> u8) -> ClassSet {
        Mark::of_row(&self.marks, site, level)
    }

    /// Whether what is told of a mark is about this site alone.
    pub fn shows_site(&self, site: u16, sites: usize) -> bool {
        self.marks.iter().any(|mark| mark.shows_site(site, sites))
    }
}

impl Schema {
    /// What rows look like to a question with so many marks.
    pub fn marked(&self, marks: usize) -> Self {
        let targets = std::iter::repeat_n(2, usize::from(self.classes));
        Self {
            classes: marks.min(MOST_MARKS) as u8 + 1,
            labelling: Labelling::Multi,
            levels: self.levels.iter().copied().chain(targets).collect(),
            judged: JudgedUnit::Row,
            ..self.clone()
        }
    }

    /// The column of a marked question that says whether a row has a class of the target.
    pub fn column_of_class(&self, class: u8) -> Column {
        // Columns and classes of a study are far fewer than 256 together; a query that isn't so doesn't pass its check.
        Column::Subgroup((self.levels.len() + usize::from(class)).min(255) as u8)
    }
}

impl Query {
    /// The question about marked rows that a marked one stands for; any other question stands for itself.
    pub fn stands_for(&self) -> Cow<'_, Self> {
        let Ask::Marked(marked) = &self.ask else { return Cow::Borrowed(self) };
        Cow::Owned(Self {
            study: self.study.clone(),
            sites: self.sites.clone(),
            schema: self.schema.marked(marked.marks.len()),
            input: self.input,
            folds: self.folds,
            ask: (*marked.ask).clone(),
        })
    }

    pub(super) fn check_marked(&self, marked: &Marked) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        let Marked { marks, scores, ask } = marked;
        self.check_marks(marks)?;
        if let ScoreOf::Class(class) = scores {
            self.check_class(*class)?;
        }
        let question = self.stands_for();
        match (&**ask, scores) {
            (Ask::Profile { .. } | Ask::Scores { .. } | Ask::Placements { .. }, ScoreOf::Mark) => {
                question.check()
            }
            (Ask::Logistic { terms, .. }, ScoreOf::Mark) => {
                match terms.iter().any(|term| term.weights.is_drawn()) {
                    true => wrong("marked rows that are drawn or made".into()),
                    false => question.check(),
                }
            }
            (Ask::Scores { .. } | Ask::Placements { .. }, ScoreOf::Class(_)) => {
                question.check_scored_by(self)
            }
            _ => wrong(format!("marks and {}", question.name())),
        }
    }

    /// Whether rows can have these marks.
    pub(super) fn check_marks(&self, marks: &[Mark]) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        if marks.is_empty() || marks.len() > MOST_MARKS || !marks.is_sorted_by(|a, b| a < b) {
            return wrong(format!("{} marks: 1 to {MOST_MARKS}, ascending", marks.len()));
        }
        let levels = &self.schema.levels;
        if levels.len() + usize::from(self.schema.classes) > 255 {
            return wrong("marks of more columns and classes than 255".into());
        }
        for mark in marks {
            let known = match *mark {
                Mark::Site(site) => usize::from(site) < self.sites.len(),
                Mark::Level { column, level } => {
                    levels.get(usize::from(column)).is_some_and(|&levels| level < levels)
                }
            };
            if !known {
                return wrong(format!("no rows can have {mark:?}"));
            }
        }
        Ok(())
    }
}
