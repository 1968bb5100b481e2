//! Models on reduced features against scikit-learn's pipeline of scaler, PCA or selection, and
//! classifier, fitted to each training set (`golden/make_reduced.py`); any split into sites; and what
//! is kept of trees and kernels.

use serde::Deserialize;
use wardround_core::study::{
    Balance, Classes, Classifier, GridPoint, Input, MultiClass, Reduction, Standardise, Study,
};
use wardround_learn::bundle::{BundleInput, Learner, ModelBundle, predict};
use wardround_learn::findings::{FinalFit, Findings, FourierScaler, OwnNode, OwnTree};
use wardround_learn::rows::Together;

use crate::support::{every_classifier, find, lines, reduce, relative, rows, study, value};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    learner: String,
    reduce: Reduction,
    n: usize,
    d: usize,
    sites: usize,
    salt: u64,
    #[serde(rename = "C")]
    c: f64,
    standardise: Standardise,
    weights: Vec<f64>,
    intercept: f64,
    left_out: Vec<f64>,
}

/// Scores are binned before they are ranked.
const BINNED: f64 = 0.01;

impl Case {
    /// Unreduced features come first, so that a mix-up of points would show.
    fn classifier(&self) -> Classifier {
        let (c, standardise) = (vec![self.c], vec![self.standardise]);
        let reduce = vec![Reduction::None, self.reduce];
        match self.learner.as_str() {
            "ridge" => Classifier::Ridge { alpha: c, standardise, reduce },
            "lda" => Classifier::Lda { shrinkage: c, standardise, reduce },
            "nearest" => Classifier::NearestMean { standardise, reduce },
            _ => Classifier::Logistic {
                c,
                l1_ratio: vec![0.0],
                multi_class: MultiClass::OneVsRest,
                standardise,
                balance: vec![Balance::None],
                reduce,
            },
        }
    }
}

#[test]
fn reduced_models_equal_scikit_learns_pipeline_of_every_training_set() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/reduced.json")).unwrap();
    for case in golden.cases {
        let name = format!("{} {} {:?} {}", case.learner, case.reduce, case.standardise, case.d);
        let mut study = Study { classifiers: vec![case.classifier()], ..study(&[1.0], &[]) };
        let rows = rows(&lines(case.n, case.d, case.sites, case.salt), &study);
        let schema = study.schema(case.d as u32);
        let found = find(&rows, &study, &rows.sites(), &schema).unwrap();
        for (left_out, expected) in found.targets[0].left_out.iter().zip(&case.left_out) {
            let auc = value(&left_out.auc_by_point[1]);
            assert!((auc - expected).abs() < BINNED, "{name}: {auc} {expected}");
        }
        // The final model is of the point that the grid has alone.
        only(&mut study, case.reduce);
        study.validation.leave_one_site_out = false;
        let found = find(&rows, &study, &rows.sites(), &schema).unwrap();
        let model = found.targets[0].model.fitted.linear().unwrap();
        let got: Vec<f64> = model.weights.iter().copied().chain([model.intercept]).collect();
        let expected: Vec<f64> = case.weights.iter().copied().chain([case.intercept]).collect();
        let off = relative(&got, &expected);
        assert!(off < if case.d > 63 { 1e-6 } else { 1e-9 }, "{name}: {off:e}");
    }
}

fn only(study: &mut Study, reduction: Reduction) {
    for classifier in &mut study.classifiers {
        *reduce(classifier) = vec![reduction];
    }
}

/// Every classifier with every reduction that it takes.
fn every_reduction() -> Vec<(&'static str, Reduction, Classifier)> {
    let mut all = Vec::new();
    let all_kinds = every_classifier().into_iter();
    let reduces = |name: &str| !matches!(name, "bagged-forest" | "logistic, multinomial");
    for (name, classifier) in all_kinds.filter(|(name, _)| reduces(name)) {
        for one in [Reduction::Variance(3), Reduction::Univariate(3), Reduction::Pca(3)] {
            let linear = !matches!(name, "rbf-svm" | "forest" | "boosting");
            if linear || !matches!(one, Reduction::Pca(_)) {
                let mut classifier = classifier.clone();
                *reduce(&mut classifier) = vec![one];
                all.push((name, one, classifier));
            }
        }
    }
    all
}

#[test]
fn the_order_of_sites_never_matters_and_their_number_hardly() {
    for (name, one, classifier) in every_reduction() {
        let mut study = study(&[1.0], &[Standardise::All]);
        let labels = ["0", "1", "2"].map(str::to_owned).to_vec();
        study.target.classes = Classes::OneVsRest { labels };
        (study.validation.folds, study.validation.leave_one_site_out) = (3, false);
        study.classifiers = vec![classifier];
        let mut made = lines(240, 7, 4, 71);
        for line in made.iter_mut().filter(|line| line.patient % 5 == 0) {
            line.class = 2;
        }
        let four = rows(&made, &study);
        let found = find(&four, &study, &four.sites(), four.schema()).unwrap();
        let (sites, schema) = (four.sites(), study.schema(7));
        let mut together = four.by_site();
        together.rotate_left(2);
        let other_order = find(&Together(together), &study, &sites, &schema).unwrap();
        assert_eq!(other_order, found, "{name} {one}");
        // Bootstrap draws and folds go by patient and site, and so do made-up rows: the final model of
        // patients who are drawn alike everywhere is the same.
        if matches!(name, "forest" | "boosting") {
            continue;
        }
        made.iter_mut().for_each(|line| line.site = 0);
        let one_site = rows(&made, &study);
        let pooled = find(&one_site, &study, &one_site.sites(), one_site.schema()).unwrap();
        for (a, b) in numbers(&found).into_iter().zip(numbers(&pooled)) {
            assert!(relative(&a, &b) < 1e-6, "{name} {one}");
        }
    }
}

/// Weights and constant of each class's final model.
fn numbers(found: &Findings) -> Vec<Vec<f64>> {
    let of = |fitted: &FinalFit| match fitted {
        FinalFit::Linear(model) => [model.weights.clone(), vec![model.intercept]].concat(),
        FinalFit::Fourier(fitted) => {
            [fitted.model.weights.clone(), vec![fitted.model.intercept]].concat()
        }
        other => panic!("a model with weights, got {other:?}"),
    };
    found.targets.iter().map(|target| of(&target.model.fitted)).collect()
}

#[test]
fn only_what_is_kept_is_used() {
    for (name, one, classifier) in every_reduction() {
        if matches!(one, Reduction::Pca(_)) {
            continue;
        }
        let mut study = Study { classifiers: vec![classifier], ..study(&[1.0], &[]) };
        (study.validation.folds, study.validation.leave_one_site_out) = (3, false);
        let rows = rows(&lines(240, 7, 3, 72), &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let point = found.grid[0];
        assert_eq!((found.grid.len(), point.reduce()), (1, one));
        assert!(point.line().contains(&format!("features = {}", one.text())), "{}", point.line());
        let used: Vec<usize> = match &found.targets[0].model.fitted {
            FinalFit::Linear(model) => (0..7).filter(|&j| model.weights[j] != 0.0).collect(),
            FinalFit::Fourier(fitted) => {
                let FourierScaler::All { inverse, .. } = &fitted.model.scaler else {
                    panic!("{name}")
                };
                (0..7).filter(|&j| inverse[j] != 0.0).collect()
            }
            FinalFit::Trees(trees) => {
                let splits = trees.trees.iter().flat_map(|OwnTree(nodes)| nodes);
                let mut used: Vec<usize> = splits
                    .filter_map(|node| match node {
                        OwnNode::Split { feature, .. } => Some(*feature as usize),
                        OwnNode::Leaf { .. } => None,
                    })
                    .collect();
                used.sort_unstable();
                used.dedup();
                used
            }
            other => panic!("a model that can be of fewer features, got {other:?}"),
        };
        // Units grow by ten up to the fifth feature; labels are made of the first, middle and last.
        let expected = match one {
            Reduction::Variance(_) => [2, 3, 4],
            _ => [0, 3, 6],
        };
        assert_eq!(used, expected, "{name} {one}");
    }
}

#[test]
fn more_than_there_is_keeps_everything() {
    let mut study = study(&[0.5], &[Standardise::All]);
    (study.validation.folds, study.validation.leave_one_site_out) = (3, false);
    let made = lines(200, 6, 3, 73);
    let rows = rows(&made, &study);
    let mut weights = |reduction| {
        only(&mut study, reduction);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        assert!(matches!(found.grid[0], GridPoint::Linear(point) if point.reduce == reduction));
        found.targets[0].model.fitted.linear().unwrap().weights.clone()
    };
    let all = weights(Reduction::None);
    for reduction in [Reduction::Variance(99), Reduction::Univariate(6), Reduction::Pca(99)] {
        assert!(relative(&weights(reduction), &all) < 1e-9, "{reduction}");
    }
}

#[test]
fn bundles_say_how_features_were_reduced_and_must_keep_to_it() {
    for (name, one, classifier) in every_reduction() {
        let mut study = Study { classifiers: vec![classifier], ..study(&[1.0], &[]) };
        (study.validation.folds, study.validation.leave_one_site_out) = (3, false);
        let Input::Table(table) = &mut study.input else { panic!("a table") };
        table.numeric = (0..7).map(|j| format!("x{j}")).collect();
        let made = lines(240, 7, 3, 72);
        let rows = rows(&made, &study);
        let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
        let input = BundleInput::of_table(&study).unwrap();
        let bundle = ModelBundle::new(&study, &found, input, "wardround test");
        let read = ModelBundle::read(&bundle.write().unwrap()).unwrap();
        assert_eq!(read, bundle, "{name} {one}");
        let mut row = made[0].features.clone();
        let before = predict(&read, &row).unwrap();
        // What wasn't kept has no part in a prediction.
        let left_out = if matches!(one, Reduction::Variance(_)) { 0 } else { 1 };
        row[left_out] += 1e3;
        let moved = predict(&read, &row).unwrap() != before;
        assert_eq!(moved, matches!(one, Reduction::Pca(_)), "{name} {one}");
        let mut fewer = bundle.clone();
        let point = point_of(&mut fewer);
        *point = point.with_reduce(Reduction::Variance(2));
        let error = fewer.write().unwrap_err().to_string();
        assert!(error.contains("features are used of 2 of largest variance"), "{name}: {error}");
        let linear = matches!(learner_of(&bundle), Learner::Linear { .. });
        let point = point_of(&mut fewer);
        *point = point.with_reduce(Reduction::Pca(2));
        assert_eq!(fewer.write().is_ok(), linear, "{name} {one}");
    }
}

fn point_of(bundle: &mut ModelBundle) -> &mut GridPoint {
    match &mut bundle.manifest.models[0].learner {
        Learner::Linear { point, .. }
        | Learner::Fourier { point, .. }
        | Learner::Trees { point } => point,
        other => panic!("a model that can be of fewer features, got {other:?}"),
    }
}

fn learner_of(bundle: &ModelBundle) -> &Learner {
    &bundle.manifest.models[0].learner
}
