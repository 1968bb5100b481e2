//! Manifests of format 1, which knew linear models with a loss only and said of each on one level what
//! format 2 puts under `learner`.

use serde_json::{Map, Value};

/// The same manifest in format 2. What doesn't fit is left for the reader to name.
pub(super) fn upgrade(mut manifest: Value) -> Value {
    let models = manifest.get_mut("models").and_then(Value::as_array_mut);
    for entry in models.into_iter().flatten().filter_map(Value::as_object_mut) {
        // Format 1 left out the loss where it was the logistic one.
        let method = entry.remove("loss").unwrap_or_else(|| Value::from("logistic"));
        let mut learner = Map::from_iter([
            ("kind".to_owned(), Value::from("linear")),
            ("method".to_owned(), method),
        ]);
        let mut take = |key: &str, into: &mut Map<String, Value>| {
            if let Some(value) = entry.remove(key) {
                into.insert(key.to_owned(), value);
            }
        };
        let mut point = Map::new();
        take("c", &mut point);
        take("standardise", &mut point);
        take("missing", &mut learner);
        learner.insert("point".to_owned(), Value::Object(point));
        entry.insert("learner".to_owned(), Value::Object(learner));
    }
    manifest
}
