//! What [`super::Ask::Calls`] asks and answers: rows by their class and the class that has the largest score.

use super::{Column, DecodeError, Labelling, MOST_REPLICATES, Model, Query, ScoreList};
use crate::sum::BlockSpec;

/// Classes of a confusion matrix at most: its counts are no more than a histogram's of scores.
pub const MOST_CALLED_CLASSES: u8 = 32;

/// The blocks of an answer.
pub(super) fn layout(
    query: &Query,
    lists: usize,
    split: &[Column],
    replicates: [u16; 2],
) -> Vec<BlockSpec> {
    let classes = usize::from(query.schema.classes);
    let (groups, cells) = (lists / classes.max(1), query.cells(split));
    let draws = usize::from(replicates[1].saturating_sub(replicates[0]));
    vec![
        BlockSpec::count("calls", &[groups, draws, cells, classes, classes]),
        BlockSpec::count("patients", &[groups, cells, classes, classes]),
    ]
}

impl Query {
    /// Whether lists go by groups of all classes with the same rows, and replicates fit.
    pub(super) fn check_calls(
        &self,
        models: &[Model],
        lists: &[ScoreList],
        split: &[Column],
        replicates: [u16; 2],
    ) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        let classes = self.schema.classes;
        if self.schema.labelling == Labelling::Multi {
            return wrong("calls among labels that may stand together".to_owned());
        }
        if classes > MOST_CALLED_CLASSES {
            return wrong(format!("calls among {classes} classes, at most {MOST_CALLED_CLASSES}"));
        }
        self.check_split(split)?;
        models.iter().try_for_each(|model| self.check_scorer(model))?;
        for (rows, model) in lists.iter().flat_map(|list| &list.parts) {
            self.check_rows(rows)?;
            if *model as usize >= models.len() {
                return wrong(format!("model {model} of {}", models.len()));
            }
        }
        if !lists.len().is_multiple_of(usize::from(classes)) {
            return wrong(format!("{} lists for groups of {classes} classes", lists.len()));
        }
        for group in lists.chunks_exact(usize::from(classes)) {
            let rows = |list: &ScoreList| list.parts.iter().map(|(rows, _)| *rows).collect();
            let first: Vec<_> = rows(&group[0]);
            for (class, list) in (0..classes).zip(group) {
                if list.class != class {
                    return wrong(format!("a list of class {} in place {class}", list.class));
                }
                let of_list: Vec<_> = rows(list);
                if of_list != first {
                    return wrong("lists of one group with different rows".to_owned());
                }
            }
        }
        let [from, end] = replicates;
        match from < end && end <= MOST_REPLICATES + 1 {
            true => Ok(()),
            false => wrong(format!("replicates {from} to {end}")),
        }
    }
}
