//! Forests and boosted trees: as XGBoost and scikit-learn grow them, and the same bits for every split
//! of the patients into sites.

use serde::Deserialize;
use wardround_core::ids::SiteId;
use wardround_core::query::Side;
use wardround_core::study::{
    Balance, BoostingGrid, Classifier, ColumnSample, EarlyStopping, ForestGrid, LeafLimit,
    Reduction, Standardise, Study, TreeRules,
};
use wardround_learn::bundle::{BundleInput, ModelBundle, Scorer, predict};
use wardround_learn::findings::{FinalFit, FinalTrees, Findings, OwnNode, OwnTree, TreeGains};
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};

use crate::support::{Line, changed, find, lines, noise, rows, study, value};

const ROWS: u64 = 700;
const COLUMNS: u64 = 6;
const RULES: TreeRules =
    TreeRules { columns: ColumnSample::All, leaves: LeafLimit::Unlimited, bins: 64 };

#[derive(Deserialize)]
struct Golden {
    boosted: Vec<Boosted>,
    forests: Vec<Forest>,
}

#[derive(Deserialize)]
struct Boosted {
    missing: bool,
    weighted: bool,
    trees: u32,
    depth: u8,
    learning_rate: f64,
    l2: f64,
    min_weight: f64,
    logits: Vec<f64>,
    importances: Vec<f64>,
}

#[derive(Deserialize)]
struct Forest {
    weighted: bool,
    trees: u32,
    depth: u8,
    min_patients: u32,
    probabilities: Vec<f64>,
    importances: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/trees.json")).unwrap()
}

fn with(classifier: Classifier) -> Study {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    study.validation.folds = 3;
    Study { classifiers: vec![classifier], ..study }
}

fn boosting(trees: &[u32], depth: u8, rules: TreeRules) -> BoostingGrid {
    BoostingGrid {
        trees: trees.to_vec(),
        depth: vec![depth],
        min_patients: vec![1],
        learning_rate: vec![0.3],
        l2: vec![1.0],
        rows: 1.0,
        min_weight: 0.001,
        early_stopping: EarlyStopping::Off,
        rules,
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    }
}

fn balance(weighted: bool) -> Vec<Balance> {
    vec![if weighted { Balance::Weights } else { Balance::None }]
}

fn forest(trees: &[u32], depth: u8, min_patients: u32, rules: TreeRules) -> Classifier {
    let (trees, depth, min_patients) = (trees.to_vec(), vec![depth], vec![min_patients]);
    Classifier::Forest(ForestGrid {
        trees,
        depth,
        min_patients,
        rules,
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
    })
}

/// The rows of `make_trees.py`.
fn whole_numbers(missing: bool, unit: f64, study: &Study) -> Rows {
    let mut builder = RowsBuilder::new(study.schema(COLUMNS as u32));
    for i in 0..ROWS {
        let mut x: Vec<f64> = (0..COLUMNS).map(|j| (30.0 * noise(i, j, 50)).floor()).collect();
        let corner = f64::from(u8::from(x[1] > 4.0 && x[2] < 0.0));
        let logit = 0.08 * x[0] - 0.05 * x[3] + 1.5 * corner - 0.3;
        let class = u8::from((noise(i, 0, 51) + 1.0) / 2.0 < 1.0 / (1.0 + (-logit).exp()));
        if missing && noise(i, 1, 52) > 0.6 {
            x[1] = f64::NAN;
        }
        if missing && noise(i, 4, 52) > 0.9 - 0.6 * f64::from(class) {
            x[4] = f64::NAN;
        }
        x.iter_mut().for_each(|x| *x = (*x / unit).floor());
        let site = SiteId::parse("here").unwrap();
        let patient = Patient { issuer: "here".into(), site, key: format!("p{i:05}") };
        builder.add(patient, class, &[], &x).unwrap();
    }
    builder.build().unwrap()
}

fn trees(found: &Findings) -> &FinalTrees {
    match &found.targets[0].model.fitted {
        FinalFit::Trees(trees) => trees,
        other => panic!("trees, got {other:?}"),
    }
}

fn shares(found: &Findings) -> &[f64] {
    match &found.targets[0].model.gains {
        TreeGains::Kept { shares } => shares,
        TreeGains::NotKept => panic!("gains of trees are kept"),
    }
}

/// How far the shares of gains are from another program's importances at most; they add up to 1.
fn off_importances(found: &Findings, importances: &[f64]) -> f64 {
    let shares = shares(found);
    assert_eq!(shares.len(), importances.len());
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    shares.iter().zip(importances).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn probability(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[test]
fn boosted_trees_are_those_of_xgboost() {
    for case in golden().boosted {
        let study = with(Classifier::Boosting(BoostingGrid {
            learning_rate: vec![case.learning_rate],
            l2: vec![case.l2],
            min_weight: case.min_weight,
            balance: balance(case.weighted),
            ..boosting(&[case.trees], case.depth, RULES)
        }));
        let rows = whole_numbers(case.missing, 1.0, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let model = trees(&found);
        assert_eq!(model.trees.len(), case.trees as usize);
        let off = rows
            .rows()
            .map(|row| (model.logit(&row.features().unwrap()) - case.logits[row.source]).abs())
            .fold(0.0, f64::max);
        // XGBoost adds up single precision.
        assert!(off < 2e-5, "missing {}: {off:e}", case.missing);
        let off = off_importances(&found, &case.importances);
        assert!(off < 2e-5, "total_gain, missing {}: {off:e}", case.missing);
    }
}

#[test]
fn a_forests_trees_are_those_of_scikit_learn() {
    for case in golden().forests {
        let Classifier::Forest(made) = forest(&[case.trees], case.depth, case.min_patients, RULES)
        else {
            panic!()
        };
        let made = ForestGrid { balance: balance(case.weighted), ..made };
        let study = with(Classifier::Forest(made));
        let rows = whole_numbers(false, 7.0, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let model = trees(&found);
        let off = rows
            .rows()
            .map(|row| {
                probability(model.logit(&row.features().unwrap())) - case.probabilities[row.source]
            })
            .fold(0.0, |most, off| off.abs().max(most));
        // Class weights are rounded, bootstrap draws are whole.
        let tolerance = if case.weighted { 1e-7 } else { 1e-9 };
        assert!(off < tolerance, "{} trees: {off:e}", case.trees);
        let off = off_importances(&found, &case.importances);
        assert!(off < tolerance, "importances of {} trees: {off:e}", case.trees);
    }
}

/// The same patients at so many sites; every third has two rows, one feature in nine is missing.
fn split(made: &[Line], sites: usize, salt: u64, study: &Study) -> Rows {
    let mut builder = RowsBuilder::new(study.schema(made[0].features.len() as u32));
    for line in made {
        let site = (noise(line.patient as u64, salt, 9) + 1.0) / 2.0 * sites as f64;
        let site = SiteId::parse(&format!("site-{}", site as usize)).unwrap();
        let patient = Patient { issuer: "all".into(), site, key: line.patient.to_string() };
        builder.add(patient, line.class, &[], &line.features).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn trees_are_the_same_bits_for_any_split_of_the_patients() {
    let mut made = lines(260, 7, 3, 61);
    for (at, line) in made.iter_mut().enumerate() {
        if at % 4 == 0 {
            line.features[at % 7] = f64::NAN;
        }
    }
    let few =
        TreeRules { columns: ColumnSample::AtMost(4), leaves: LeafLimit::AtMost(9), bins: 16 };
    let boosted = BoostingGrid { rows: 0.7, ..boosting(&[6], 4, few) };
    for classifier in [Classifier::Boosting(boosted), forest(&[8], 6, 5, few)] {
        let study = with(classifier);
        let one = split(&made, 1, 0, &study);
        let expected = find(&one, &study, &one.sites(), one.schema()).unwrap();
        for (sites, salt) in [(2, 1), (3, 2), (5, 3), (8, 4)] {
            let rows = split(&made, sites, salt, &study);
            let (names, schema) = (rows.sites(), rows.schema().clone());
            let found = find(&rows, &study, &names, &schema).unwrap();
            assert_eq!(trees(&found), trees(&expected), "{sites} sites");
            assert_eq!(shares(&found), shares(&expected), "{sites} sites");
            // Asked one by one, in another order.
            let mut together = rows.by_site();
            together.reverse();
            assert_eq!(find(&Together(together), &study, &names, &schema).unwrap(), found);
        }
    }
}

#[test]
fn fewer_trees_are_the_beginning_of_more() {
    let made = lines(200, 5, 2, 62);
    for (classifier, alone) in [
        (
            Classifier::Boosting(boosting(&[3, 10], 3, RULES)),
            Classifier::Boosting(boosting(&[3], 3, RULES)),
        ),
        (forest(&[3, 10], 4, 5, RULES), forest(&[3], 4, 5, RULES)),
    ] {
        let results = |classifier| {
            let study = with(classifier);
            let rows = rows(&made, &study);
            find(&rows, &study, &rows.sites(), rows.schema()).unwrap().targets.remove(0)
        };
        let (both, alone) = (results(classifier), results(alone));
        assert_eq!(both.used_for_choosing[0], alone.used_for_choosing[0]);
        assert_ne!(both.used_for_choosing[1], alone.used_for_choosing[0]);
    }
}

#[test]
fn an_outer_fold_leaves_no_trace_in_the_trees_without_it() {
    // A leak is planted: features of a fold's rows become their label, enlarged. Bins, trees, choices and
    // thresholds that saw them move.
    let made = lines(240, 5, 4, 63);
    let study = with(Classifier::Boosting(boosting(&[2, 8], 3, RULES)));
    let cohort = rows(&made, &study);
    let folds = cohort.fold_column(&study.fold_plan(), 0);
    let before = find(&cohort, &study, &cohort.sites(), cohort.schema()).unwrap();
    let choice = |found: &Findings, fold: u8| {
        let choice = &found.targets[0].nested.choices[usize::from(fold)];
        (choice.point, choice.threshold)
    };
    for fold in 0..3 {
        let mut planted = made.clone();
        for (row, _) in cohort.rows().zip(&folds).filter(|(_, of_row)| **of_row == fold) {
            let line = &mut planted[row.source];
            for (x, column) in line.features.iter_mut().zip(0..) {
                // Within what the column's other rows hold, so that the grid stays where it is.
                let label = f64::from(line.class) - 0.5;
                *x = 10f64.powi(column % 5 - 2) * (3.0 + label);
            }
        }
        let planted = rows(&planted, &study);
        let after = find(&planted, &study, &planted.sites(), planted.schema()).unwrap();
        assert_eq!(choice(&before, fold), choice(&after, fold));
        assert!((0..3).any(|other| choice(&before, other) != choice(&after, other)));
        assert_ne!(trees(&before), trees(&after));
    }
}

#[test]
fn leaving_sites_out_leaves_them_out() {
    let made = lines(400, 5, 4, 64);
    let mut study = with(forest(&[10], 4, 5, RULES));
    study.validation.leave_one_site_out = true;
    let rows = rows(&made, &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    for left_out in &found.targets[0].left_out {
        assert!(value(&left_out.figures.auc) > 0.6);
    }
    let nested = value(&found.targets[0].nested.judged.auc_within_sites);
    assert!(nested > 0.6 && nested < 0.95, "{nested}");
}

#[test]
fn a_bundle_of_trees_reads_back_and_predicts_as_the_trees_do() {
    for classifier in [Classifier::Boosting(boosting(&[5], 3, RULES)), forest(&[7], 5, 3, RULES)] {
        let mut study = with(classifier);
        let wardround_core::study::Input::Table(table) = &mut study.input else { panic!() };
        table.numeric = (0..5).map(|j| format!("x{j}")).collect();
        let made = lines(150, 5, 2, 65);
        let rows = rows(&made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let input = BundleInput::of_table(&study).unwrap();
        let bundle = ModelBundle::new(&study, &found, input, "wardround test");
        let bytes = bundle.write().unwrap();
        assert_eq!(ModelBundle::read(&bytes).unwrap(), bundle);
        let model = trees(&found);
        for row in rows.rows() {
            let expected = probability(model.logit(&row.features().unwrap()));
            assert!(
                (predict(&bundle, &row.features().unwrap()).unwrap()[0] - expected).abs() < 1e-15
            );
        }
        let mut gap = made[0].features.clone();
        gap[2] = f64::NAN;
        assert!(predict(&bundle, &gap).is_ok());
        gap[2] = f64::INFINITY;
        assert!(predict(&bundle, &gap).is_err());
    }
}

/// A bundle of a small boosted model, and its trees.
fn made_trees() -> (ModelBundle, FinalTrees) {
    let mut study = with(Classifier::Boosting(boosting(&[3], 2, RULES)));
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!() };
    table.numeric = (0..5).map(|j| format!("x{j}")).collect();
    let rows = rows(&lines(120, 5, 2, 66), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let input = BundleInput::of_table(&study).unwrap();
    (ModelBundle::new(&study, &found, input, "wardround test"), trees(&found).clone())
}

#[test]
fn hostile_trees_are_refused() {
    let (bundle, trees) = made_trees();
    let refused = |change: &dyn Fn(&mut FinalTrees)| {
        let mut trees = trees.clone();
        change(&mut trees);
        let mut bundle = bundle.clone();
        bundle.models[0].scorer = Scorer::Trees(trees);
        bundle.write().unwrap_err().to_string()
    };
    let split = |left: u32| OwnNode::Split { feature: 0, below: 0.5, missing: Side::Left, left };
    let leaf = OwnNode::Leaf { value: 0.1 };
    let first =
        |nodes: Vec<OwnNode>| move |trees: &mut FinalTrees| trees.trees[0] = OwnTree(nodes.clone());
    for (nodes, why) in [
        (vec![], "without a root"),
        (vec![split(0)], "isn't its own"),
        (vec![split(1), split(0), leaf], "isn't its own"),
        (vec![split(1), leaf, split(1), leaf], "isn't its own"),
        (vec![leaf, leaf], "no parent"),
        (vec![split(u32::MAX), leaf, leaf], "isn't its own"),
        (vec![OwnNode::Leaf { value: f64::NAN }], "NaN"),
        (
            vec![
                OwnNode::Split { feature: 5, below: 0.0, missing: Side::Left, left: 1 },
                leaf,
                leaf,
            ],
            "feature 5 of 5",
        ),
        (
            vec![
                OwnNode::Split { feature: 0, below: f64::NAN, missing: Side::Left, left: 1 },
                leaf,
                leaf,
            ],
            "NaN",
        ),
    ] {
        let error = refused(&first(nodes));
        assert!(error.contains("tree 1") && error.contains(why), "{error}");
    }
    let mut chain = vec![split(1)];
    for at in 0..40 {
        chain.extend([leaf, split(2 * at + 3)]);
    }
    chain.extend([leaf, leaf]);
    assert!(refused(&first(chain)).contains("deeper"));
    assert!(refused(&|trees| trees.trees.clear()).contains("0 trees"));
    assert!(refused(&|trees| trees.start = f64::INFINITY).contains("inf"));
}

#[test]
fn a_file_of_trees_may_hold_any_bytes() {
    let (bundle, _) = made_trees();
    let bytes = bundle.write().unwrap();
    let numbers: [f64; 6] = [f64::NAN, -1.0, 1e300, 0.5, 4_294_967_296.0, -0.0];
    for draw in 0..4000u64 {
        // Refused, or a model that ends and says something.
        if let Ok(read) = ModelBundle::read(&changed(&bytes, draw, &numbers)) {
            let p = predict(&read, &[0.1, 0.2, f64::NAN, 4.0, 5.0]).map(|p| p[0]);
            assert!(p.is_ok_and(|p| (0.0..=1.0).contains(&p)), "draw {draw}");
        }
    }
}
