//! What the model looks at: its features with the largest shares.

use wardround::report::{BuildError, Importance, Report, SCHEMA, ShareOf};
use wardround_core::query::TreeOutput;
use wardround_core::study::{
    Balance, Categorical, Classifier, ColumnSample, ForestGrid, Input, LeafLimit, Missing,
    Reduction, Table, TreeRules,
};
use wardround_learn::findings::{
    FinalFit, FinalLinear, FinalScaler, FinalTrees, Findings, OwnNode, OwnTree, TreeGains,
};

use crate::made_up::{context, outputs, usual};

/// Findings of a table of seven features, with a model of trees that gained so much.
fn of_table(output: TreeOutput, shares: &[f64; 7]) -> (Findings, wardround::report::Context) {
    let (mut findings, _) = usual();
    findings.features = 7;
    let model = &mut findings.targets[0].model;
    let trees = vec![OwnTree(vec![OwnNode::Leaf { value: 0.5 }])];
    model.fitted = FinalFit::Trees(FinalTrees { output, start: 0.0, trees });
    model.gains = TreeGains::Kept { shares: shares.to_vec() };
    let mut context = context(&findings);
    context.study.input = Input::Table(Table {
        numeric: vec!["age".into(), "size".into()],
        categorical: vec![Categorical {
            column: "sex".into(),
            values: vec!["male".into(), "female".into()],
        }],
        missing: Missing::Impute,
    });
    (findings, context)
}

fn found(report: &Report) -> &Importance {
    assert_eq!(report.importance.len(), 1);
    &report.importance[0].found
}

fn reason(report: &Report) -> &str {
    match found(report) {
        Importance::Unknown { reason } => reason,
        other => panic!("no shares, got {other:?}"),
    }
}

#[test]
fn a_tables_columns_stand_in_every_output_with_their_subgroups() {
    let shares = [0.25, 0.4, 0.0, 0.25, 0.1, 0.0, 0.0];
    let (findings, context) = of_table(TreeOutput::Mean, &shares);
    let report = Report::build(&findings, &context).unwrap();
    let Importance::Shares { of, features, largest, together } = found(&report) else {
        panic!("{:?}", report.importance)
    };
    assert_eq!((*of, *features, *together), (ShareOf::MeanGain, 4, 1.0));
    let listed: Vec<_> = largest
        .iter()
        .map(|one| (one.feature.as_str(), one.subgroups.join(" "), one.share))
        .collect();
    // Equal shares in the features' order; one-hot features and those of missing values are of a column too.
    let expected = [
        ("size", "", 0.4),
        ("age", "age", 0.25),
        ("sex = female", "sex", 0.25),
        ("age is missing", "age", 0.1),
    ];
    assert_eq!(listed, expected.map(|(name, column, share)| (name, column.to_owned(), share)));
    let [json, html, text] = outputs(&report);
    for output in [&html, &text] {
        for word in ["sex = female", "40.0 %", "subgroup: sex"] {
            assert!(output.contains(word), "{word}");
        }
    }
    assert!(html.contains("feature_importances_") && !html.contains("backbone\u{2019}s outputs"));
    // The bar of 0.25 beside 0.4 is ten of sixteen characters, and isn't read aloud.
    let bar = format!("aria-hidden=\"true\">{}</small>", "\u{2588}".repeat(10));
    assert_eq!(html.matches(&bar).count(), 2);
    let value = serde_json::from_str(&json).unwrap();
    let schema = serde_json::from_str(SCHEMA).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&value));
    assert_eq!(Report::from_json(&json).unwrap(), report);
    let files = report.to_csv();
    let csv = files.iter().find(|file| file.name == "importance.csv").unwrap();
    let csv = std::str::from_utf8(&csv.bytes).unwrap();
    assert_eq!(csv.lines().nth(1), Some("mel,mean-gain,1,size,,0.4,known,"));
    assert_eq!(csv.lines().count(), 5);
    let copy = report.with_sites_pseudonymised().unwrap();
    assert_eq!(copy.importance, report.importance);
}

#[test]
fn a_backbones_features_have_numbers_and_the_largest_twenty_are_listed() {
    let (mut findings, report) = usual();
    let Importance::Shares { of, features, largest, together } = found(&report) else {
        panic!("{:?}", report.importance)
    };
    // Every site scales by its own rows; all weights are the same.
    assert_eq!((*of, *features, largest.len()), (ShareOf::WeightsOfOwnSites, 1280, 20));
    assert_eq!((largest[0].feature.as_str(), largest[19].feature.as_str()), ("f0", "f19"));
    assert!((together - 20.0 / 1280.0).abs() < 1e-6);
    let [_, html, text] = outputs(&report);
    for words in
        ["the model holds no deviation", "The 20 largest of 1,280", "1.6 % of all", "backbone"]
    {
        assert!(html.contains(words), "{words}");
    }
    assert!(text.contains(" f4 ") && !text.contains(" f5 "));

    let FinalFit::Linear(FinalLinear { scaler, weights, .. }) =
        &mut findings.targets[0].model.fitted
    else {
        panic!("a linear model")
    };
    let deviation = vec![2.0; 1280];
    *scaler = FinalScaler::All { mean: vec![0.0; 1280], deviation };
    weights.fill(0.0);
    // Weights are per standardised feature: the deviation is in them.
    (weights[7], weights[3]) = (-3.0, 1.0);
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let Importance::Shares { of, features, largest, .. } = found(&report) else {
        panic!("{:?}", report.importance)
    };
    assert_eq!((*of, *features), (ShareOf::Weights, 2));
    let listed: Vec<_> = largest.iter().map(|one| (one.feature.as_str(), one.share)).collect();
    assert_eq!(listed, [("f7", 0.75), ("f3", 0.25)]);
}

#[test]
fn where_nothing_tells_it_the_report_says_why() {
    let (mut findings, mut context) = of_table(TreeOutput::Sum, &[0.0; 7]);
    let report = Report::build(&findings, &context).unwrap();
    assert_eq!(reason(&report), "no tree splits");
    findings.targets[0].model.gains = TreeGains::NotKept;
    context.study.classifiers = vec![Classifier::BaggedForest(ForestGrid {
        trees: vec![10],
        depth: vec![3],
        min_patients: vec![1],
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
        rules: TreeRules { columns: ColumnSample::All, leaves: LeafLimit::Unlimited, bins: 64 },
    })];
    let report = Report::build(&findings, &context).unwrap();
    assert!(reason(&report).contains("each site grew its trees by itself"));
    for output in &outputs(&report)[1..] {
        let one_line = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains("features this model looks at: each site grew"), "{one_line}");
    }
    let files = report.to_csv();
    let csv = files.iter().find(|file| file.name == "importance.csv").unwrap();
    assert!(std::str::from_utf8(&csv.bytes).unwrap().contains("mel,,,,,,unknown,"));
}

#[test]
fn shares_are_as_many_as_features() {
    let (mut findings, context) = of_table(TreeOutput::Sum, &[0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let report = Report::build(&findings, &context).unwrap();
    assert!(matches!(found(&report), Importance::Shares { of: ShareOf::TotalGain, .. }));
    findings.targets[0].model.gains = TreeGains::Kept { shares: vec![0.5; 2] };
    let error = Report::build(&findings, &context).unwrap_err();
    assert!(matches!(error, BuildError::Size { expected: 7, got: 2, .. }), "{error}");
    findings.targets[0].model.gains = TreeGains::Kept { shares: vec![f64::NAN; 7] };
    let error = Report::build(&findings, &context).unwrap_err();
    assert!(matches!(error, BuildError::Probability { .. }), "{error}");
}
