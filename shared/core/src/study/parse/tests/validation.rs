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
