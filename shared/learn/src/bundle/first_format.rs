//! Manifests of format 1, which knew linear models only and said of each on one level what format 2
//! puts under `learner`.

use serde_json::{Map, Value};

/// Keys that moved. Format 1 left out the loss where it was the logistic one.
const MOVED: [&str; 4] = ["loss", "c", "standardise", "missing"];

/// The same manifest in format 2. What doesn't fit is left for the reader to name.
pub(super) fn upgrade(mut manifest: Value) -> Value {
    let models = manifest.get_mut("models").and_then(Value::as_array_mut);
    for entry in models.into_iter().flatten().filter_map(Value::as_object_mut) {
        let mut learner = Map::from_iter([
            ("kind".to_owned(), Value::from("linear")),
            ("loss".to_owned(), Value::from("logistic")),
        ]);
        for key in MOVED {
            if let Some(value) = entry.remove(key) {
                learner.insert(key.to_owned(), value);
            }
        }
        entry.insert("learner".to_owned(), Value::Object(learner));
    }
    manifest["format"] = Value::from(2);
    manifest
}
