//! What differs between two study files, value by value.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A value that two study files don't share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where it stands: `validation.folds`.
    pub at: String,
    /// What it was; null where there was none.
    pub before: Value,
    /// What it is; null where there is none.
    pub after: Value,
}

impl Change {
    /// In a line.
    pub fn words(&self) -> String {
        let word = |value: &Value| match value {
            Value::Null => "nothing".to_owned(),
            value => value.to_string(),
        };
        format!("{}: {} -> {}", self.at, word(&self.before), word(&self.after))
    }
}

/// Every value that differs between two study files, as [`wardround_core::study::Study`] is written in JSON. The file's
/// digest isn't one of them: it differs by a comment.
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let (before, after) = (flat(before), flat(after));
    let places = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    let value = |of: &BTreeMap<String, Value>, at: &str| of.get(at).cloned().unwrap_or(Value::Null);
    places
        .into_iter()
        .filter(|at| *at != "digest")
        .map(|at| Change { at: at.clone(), before: value(&before, at), after: value(&after, at) })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Values by their place; a list of plain values is one value.
fn flat(value: &Value) -> BTreeMap<String, Value> {
    fn add(place: String, value: &Value, all: &mut BTreeMap<String, Value>) {
        let inside = |name: &str| match place.is_empty() {
            true => name.to_owned(),
            false => format!("{place}.{name}"),
        };
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, value)| add(inside(name), value, all));
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (number, item) in items.iter().enumerate() {
                    add(inside(&(number + 1).to_string()), item, all);
                }
            }
            value => drop(all.insert(place, value.clone())),
        }
    }
    let mut all = BTreeMap::new();
    add(String::new(), value, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_came_went_or_changed_is_named_with_its_place() {
        let before = json!({
            "name": "a", "digest": "1", "validation": { "folds": 5, "repeats": 1 },
            "classifiers": [{ "kind": "logistic", "c": [0.1, 1.0] }],
        });
        let after = json!({
            "name": "a", "digest": "2", "validation": { "folds": 10, "repeats": 1 },
            "classifiers": [{ "kind": "logistic", "c": [1.0] }, { "kind": "lda" }],
        });
        let words: Vec<String> = changes(&before, &after).iter().map(Change::words).collect();
        assert_eq!(
            words,
            [
                "classifiers.1.c: [0.1,1.0] -> [1.0]",
                "classifiers.2.kind: nothing -> \"lda\"",
                "validation.folds: 5 -> 10",
            ]
        );
        assert!(changes(&before, &before).is_empty());
    }
}
