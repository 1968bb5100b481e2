//! Studies that judge a finished model.

use super::super::super::*;
use crate::digest::Digest;

fn study(more: &str) -> String {
    format!(
        "format = 1\nkind = \"evaluate\"\nname = \"Next year\"\nseed = 1\n\
         [target]\ncolumn = \"label\"\npositive = [1]\nnegative = [0]\n\
         [patient]\nkey = \"patient_id\"\n[table]\nnumeric = [\"x\"]\nmissing = \"drop\"\n{more}"
    )
}

fn model() -> String {
    format!("[model]\nfile = \"m.safetensors\"\nsha256 = \"{}\"\n", Digest::of(b"model"))
}

fn mistakes(more: &str) -> Vec<String> {
    let mistakes = Study::parse(&study(more)).expect_err("a mistake").0;
    mistakes.into_iter().map(|mistake| mistake.what).collect()
}

#[test]
fn a_model_and_its_limits_are_read() {
    let limits = "[drift]\nauc_below = 0.75\nece_above = 0.1\n[validation]\nbootstrap = false\n";
    let study = Study::parse(&study(&format!("{}{limits}", model()))).unwrap();
    let evaluation = study.evaluation().unwrap();
    assert_eq!(evaluation.model, Digest::of(b"model"));
    let limits: Vec<_> =
        evaluation.drift.iter().map(|limit| (limit.figure.key(), limit.limit)).collect();
    assert_eq!(limits, [("auc_below", 0.75), ("ece_above", 0.1)]);
    assert!(study.classifiers.is_empty() && study.combinations().is_empty());
    assert_eq!(study.validation.bootstrap, Bootstrap::Off);
    assert_eq!(study.widest_numbers_per_model(100), 0);
}

#[test]
fn what_is_fitted_has_no_place_and_all_is_said_at_once() {
    let more = format!(
        "{}[classifier]\nkind = \"logistic\"\n[drift]\nauc_below = 2\n[federation]\nmode = \"feature-rows\"\n",
        model()
    );
    let said = mistakes(&more).join("\n");
    for expected in [
        "[classifier] stands beside kind = \"evaluate\": the model is fitted already",
        "drift.auc_below",
        "feature-rows",
    ] {
        assert!(said.contains(expected), "{expected} isn't in: {said}");
    }
    assert!(mistakes("").join("\n").contains("[model]"));
}

#[test]
fn limits_have_no_place_where_models_are_fitted() {
    let text = study(&model()).replace("kind = \"evaluate\"\n", "");
    let said = Study::parse(&text).unwrap_err().to_string();
    assert!(said.contains("[model] stands in a study that fits models"), "{said}");
}
