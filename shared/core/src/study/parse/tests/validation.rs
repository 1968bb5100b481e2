//! What `[validation]` says: races, thresholds, early stopping.

use super::*;

/// The table study with boosted trees, and other lines under `[validation]`.
fn boosting(lines: &str, validation: &str) -> Result<Study, String> {
    let text = TABLE.replace("folds = 5", validation);
    let (before, rest) = text.split_once("[classifier]").unwrap();
    let after = &rest[rest.find("\n[").unwrap()..];
    let text = format!("{before}[classifier]\nkind = \"boosting\"\n{lines}\n{after}");
    Study::parse(&text).map_err(|error| error.to_string())
}

#[test]
fn a_race_says_of_how_many_points_one_goes_on() {
    let with = |search: &str| {
        boosting("trees = [50]", &format!("folds = 5\nsearch = {search}"))
            .map(|study| study.validation.search)
    };
    let race = |eta, candidates| Ok(Search::Halving(Halving { eta, candidates }));
    assert_eq!(with("\"halving\""), race(3, Candidates::Grid));
    assert_eq!(with("{ halving = 4 }"), race(4, Candidates::Grid));
    assert_eq!(with("{ halving = 2, random = 9 }"), race(2, Candidates::Random(9)));
    assert_eq!(with("{ random = 9 }"), Ok(Search::Random(9)));
    for (search, why) in [
        ("{}", "says nothing"),
        ("{ halving = 1 }", "2"),
        ("{ eta = 3 }", "eta"),
        ("\"race\"", "must be one of: grid, halving"),
    ] {
        let error = with(search).unwrap_err();
        assert!(error.contains(why), "{search}: {error}");
    }
    let lines = "trees = [50]\nearly_stopping = 9";
    let error = boosting(lines, "folds = 5\nsearch = \"halving\"").unwrap_err();
    assert!(error.contains("use one of them"), "{error}");
}

#[test]
fn what_is_judged_has_a_column_and_one_score() {
    let with = |patient: &str, validation: &str| {
        let text = TABLE.replace("[validation]", &format!("[validation]\n{validation}"));
        let text = text.replace("[patient]", &format!("[patient]\n{patient}"));
        Study::parse(&text).map_err(|error| error.to_string())
    };
    let exam = "exam = \"exam_id\"";
    let judged = |patient: &str, validation: &str| {
        let study = with(patient, validation).unwrap();
        (study.validation.judge, study.patient.exam)
    };
    let column = || ExamKey::Column("exam_id".to_owned());
    assert_eq!(judged("", ""), (JudgedUnit::Row, ExamKey::None));
    assert_eq!(judged("", "judge = \"image\""), (JudgedUnit::Row, ExamKey::None));
    assert_eq!(judged(exam, "judge = \"exam\""), (JudgedUnit::Exam(UnitScore::Mean), column()));
    let max = "judge = \"exam\"\ncombine = \"max\"";
    assert_eq!(judged(exam, max), (JudgedUnit::Exam(UnitScore::Max), column()));
    let patients = "judge = \"patient\"\ncombine = \"mean\"";
    assert_eq!(judged("", patients), (JudgedUnit::Patient(UnitScore::Mean), ExamKey::None));
    for (patient, validation, why) in [
        ("", "judge = \"exam\"", "[patient] doesn't say which exam a row is of"),
        (exam, "", "[patient] has exam = \"exam_id\", and exams aren't judged"),
        (exam, "judge = \"patient\"", "add judge = \"exam\" to [validation], or leave exam out"),
        ("", "combine = \"max\"", "validation.combine stands beside judge = \"image\""),
        ("", "judge = \"exams\"", "did you mean \"exam\"?"),
        (exam, "judge = \"exam\"\ncombine = \"median\"", "it must be one of: mean, max"),
        ("exam = \"patient_id\"", "judge = \"exam\"", "patient.exam is the patient key"),
    ] {
        let error = with(patient, validation).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let study = with(exam, max).unwrap();
    let json = serde_json::to_value(&study).unwrap();
    assert_eq!(json["validation"]["judge"], serde_json::json!({"unit": "exam", "score": "max"}));
    assert_eq!(study.schema(5).judged, JudgedUnit::Exam(UnitScore::Max));
}

#[test]
fn thresholds_are_chosen_by_one_rule() {
    let with = |threshold: &str| {
        let text = TABLE.replace("[validation]", &format!("[validation]\nthreshold = {threshold}"));
        Study::parse(&text).map(|study| study.validation.threshold).map_err(|e| e.to_string())
    };
    assert_eq!(with("\"youden\""), Ok(ThresholdRule::Youden));
    assert_eq!(with("{ sensitivity = 0.95 }"), Ok(ThresholdRule::Sensitivity(0.95)));
    assert_eq!(with("{ specificity = 0.9 }"), Ok(ThresholdRule::Specificity(0.9)));
    assert_eq!(with("{ miss_cost = 10 }"), Ok(ThresholdRule::MissCost(10.0)));
    for (wrong, says) in [
        ("\"yuden\"", "youden"),
        ("0.3", "thresholds are chosen, not given"),
        ("{}", "says 0 things"),
        ("{ sensitivity = 0.9, specificity = 0.9 }", "says 2 things"),
        ("{ sensitivity = 1 }", "above 0 and below 1"),
        ("{ specificity = 1.5 }", "1.5"),
        ("{ miss_cost = 0 }", "miss_cost"),
        ("{ sensitivty = 0.9 }", "sensitivity"),
    ] {
        let found = with(wrong).unwrap_err();
        assert!(found.contains(says), "{wrong}: {found}");
    }
}

#[test]
fn early_stopping_takes_one_number_of_trees_and_three_folds() {
    let stopping = |lines| boosting(lines, "folds = 3").unwrap().classifiers[0].early_stopping();
    assert_eq!(stopping("trees = [50]"), EarlyStopping::Off);
    assert_eq!(stopping("trees = [50]\nearly_stopping = \"off\""), EarlyStopping::Off);
    assert_eq!(stopping("trees = [500]\nearly_stopping = 20"), EarlyStopping::Patience(20));
    let refused = |lines, folds, why: &str| {
        let error = boosting(lines, folds).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused("trees = [50]\nearly_stopping = 0", "folds = 3", "early_stopping");
    refused("trees = [50, 100]\nearly_stopping = 9", "folds = 3", "list one, the most trees");
    let two = "early_stopping chooses how many trees";
    refused("trees = [50]\nearly_stopping = 9", "folds = 2", two);
    let forest = "kind = \"forest\"\ntrees = [9]\nearly_stopping = 9\n";
    let error = with_classifier(forest).unwrap_err();
    assert!(error.contains("which has no such parameter"), "{error}");
}

#[test]
fn what_a_bundle_says_beside_probabilities_is_asked_for() {
    let with = |line: &str| {
        boosting("trees = [50]", &format!("folds = 5\n{line}")).map(|study| study.validation)
    };
    let off = with("").unwrap();
    assert_eq!((off.outliers, off.recalibrate), (Outliers::Off, Recalibrate::Off));
    assert_eq!(with("outliers = false\nrecalibrate = \"off\"").unwrap(), off);
    assert_eq!(with("outliers = true").unwrap().outliers, Outliers::On);
    let platt = with("recalibrate = \"platt\"").unwrap().recalibrate;
    assert_eq!(platt, Recalibrate::Platt);
    for (wrong, why) in [
        ("recalibrate = \"isotonic\"", "off, platt, temperature"),
        ("recalibrate = \"plat\"", "did you mean \"platt\""),
        ("outliers = \"mahalanobis\"", "true or false"),
    ] {
        let said = with(wrong).unwrap_err();
        assert!(said.contains(why), "{wrong}: {said}");
    }
}

#[test]
fn one_of_three_classes_or_more_is_called() {
    let with = |text: &str, line: &str| {
        let text = text.replace("[validation]", &format!("[validation]\n{line}"));
        Study::parse(&text).map(|study| study.validation.confusion).map_err(|e| e.to_string())
    };
    assert_eq!(with(SHORT, ""), Ok(Confusion::Off));
    assert_eq!(with(SHORT, "confusion = false"), Ok(Confusion::Off));
    assert_eq!(with(SHORT, "confusion = true"), Ok(Confusion::On));
    let labels =
        SHORT.replace("one_vs_rest = [\"mel\", \"nv\", 3]", "any_of = [\"a\", \"b\", \"c\"]");
    for (text, line, why) in [
        (TABLE, "confusion = true", "of two classes the table at the threshold is in every report"),
        (labels.as_str(), "confusion = true", "labels may stand together"),
        (SHORT, "confusion = 3", "true or false"),
    ] {
        let said = with(text, line).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_bootstrap_has_enough_draws_or_is_off() {
    let with = |bootstrap: &str| {
        boosting("trees = [50]", &format!("folds = 5\nbootstrap = {bootstrap}"))
            .map(|study| study.validation.bootstrap)
    };
    assert_eq!(with("200"), Ok(Bootstrap::Of(200)));
    assert_eq!(with("false"), Ok(Bootstrap::Off));
    assert_eq!(with("true"), Ok(Bootstrap::USUAL));
    assert_eq!((Bootstrap::Of(200).deals(), Bootstrap::USUAL.deals()), (200, 500));
    for (wrong, why) in [("99", "100 to 2000"), ("\"many\"", "or false"), ("2001", "100 to 2000")] {
        let said = with(wrong).unwrap_err();
        assert!(said.contains(why), "{wrong}: {said}");
    }
}
