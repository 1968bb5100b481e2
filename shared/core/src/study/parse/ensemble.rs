//! Reading `[[ensemble]]`.

use super::super::{Classifier, Ensemble, EnsembleKind, Family, classifier_names};
use super::MOST;
use crate::read::{Key, Value, quoted};

const KEYS: &[Key] =
    &[Key::value("kind", "\"soft-vote\""), Key::value("members", "[\"logistic\", \"forest\"]")];

const KINDS: [(&str, EnsembleKind); 2] =
    [("soft-vote", EnsembleKind::SoftVote), ("stacking", EnsembleKind::Stacking)];

/// Fewest folds of a stacked study: members are fitted without the fold that is judged and without the one that they score.
const FOLDS_TO_STACK: u8 = 3;

/// `[[ensemble]]`, of a study's classifiers.
pub(super) fn ensembles(
    value: &Value<'_>,
    classifiers: &[Classifier],
    folds: Option<u8>,
) -> Option<Vec<Ensemble>> {
    let all = value.list(1..=MOST, |entry| ensemble(entry, classifiers, folds))?;
    if let Some(at) = (1..all.len()).find(|&at| all[..at].contains(&all[at])) {
        let what = format!("[[ensemble]] number {} is there before", at + 1);
        return value.refuse(what, "leave it out, or change its kind or members");
    }
    Some(all)
}

fn ensemble(entry: &Value<'_>, classifiers: &[Classifier], folds: Option<u8>) -> Option<Ensemble> {
    let table = entry.table(KEYS)?;
    let names = classifier_names(classifiers);
    if names.len() < 2 {
        return entry.refuse(
            "[[ensemble]] stands beside one classifier",
            "give at least two [[classifier]]; their scores are put together",
        );
    }
    let kind = table.required("kind").and_then(|v| v.choice(&KINDS));
    let every = (0..names.len() as u8).collect();
    let members = table.or("members", every, |v| {
        v.distinct(2..=MOST, |one| {
            let name = one.text(1..=200)?;
            match names.iter().position(|known| *known == name) {
                Some(at) => Some(at as u8),
                None => {
                    let known: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                    one.refuse(
                        format!(
                            "{} is {}, which no classifier is called",
                            one.name(),
                            quoted(&name)
                        ),
                        format!("one of {}", known.join(", ")),
                    )
                }
            }
        })
    });
    let kind = kind?;
    if kind == EnsembleKind::Stacking && folds.is_some_and(|folds| folds < FOLDS_TO_STACK) {
        return entry.refuse(
            "stacking needs scores of rows that no member was fitted to, without the fold that is judged",
            format!("set folds to at least {FOLDS_TO_STACK}, or kind = \"soft-vote\""),
        );
    }
    let mut members: Vec<u8> = members?;
    members.sort_unstable();
    let is_multinomial = |at: &&u8| classifiers[usize::from(**at)].family() == Family::Multinomial;
    if let Some(at) = members.iter().find(is_multinomial) {
        return entry.refuse(
            format!(
                "[[ensemble]] has {}, a model of all classes",
                quoted(&names[usize::from(*at)])
            ),
            "name members that set each class against the rest",
        );
    }
    Some(Ensemble { kind, members })
}
