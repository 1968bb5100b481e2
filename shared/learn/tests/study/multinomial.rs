//! Multinomial logistic regression against scikit-learn's (`golden/make_multinomial.py`), over any split
//! into sites, with one grid point for all classes, down to the bundle's probabilities.

use std::collections::BTreeMap;

use serde::Deserialize;
use wardround_core::study::{
    Balance, Classes, Classifier, MultiClass, Reduction, Standardise, Study,
};
use wardround_learn::bundle::{
    BundleError, BundleInput, Learner, LinearMethod, ModelBundle, predict,
};
use wardround_learn::findings::{FinalScaler, Findings};
use wardround_learn::rows::Together;

use crate::golden::Case;
use crate::support::{Line, find, lines, noise, relative, rows, study, value, with_subgroup};

const CLASSES: usize = 4;

#[derive(Deserialize)]
struct Golden {
    cases: BTreeMap<String, SoftmaxCase>,
}

#[derive(Deserialize)]
struct SoftmaxCase {
    n: usize,
    d: usize,
    sites: usize,
    salt: u64,
    #[serde(rename = "C")]
    c: f64,
    standardise: Standardise,
    missing: bool,
    constant: bool,
    balance: Balance,
    weights: Vec<Vec<f64>>,
    intercepts: Vec<f64>,
    probabilities: Vec<Vec<f64>>,
}

fn multinomial(c: &[f64], standardise: Standardise, balance: &[Balance]) -> Study {
    let classifier = Classifier::Logistic {
        c: c.to_vec(),
        l1_ratio: vec![0.0],
        multi_class: MultiClass::Multinomial,
        standardise: vec![standardise],
        balance: balance.to_vec(),
        reduce: vec![Reduction::None],
    };
    let mut study = Study { classifiers: vec![classifier], ..study(c, &[standardise]) };
    let labels = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    study.target.classes = Classes::OneVsRest { labels };
    study
}

/// Each of two classes in two.
fn halved(mut lines: Vec<Line>, salt: u64) -> Vec<Line> {
    for line in &mut lines {
        let patient = line.patient as u64;
        let half = noise(patient * 2, 1, salt) + 0.5 * noise(patient, 1, salt + 2) > 0.4;
        line.class += 2 * u8::from(half);
    }
    lines
}

fn found(lines: &[Line], study: &Study) -> Findings {
    let rows = rows(lines, study);
    find(&rows, study, &rows.sites(), rows.schema()).unwrap()
}

/// Class by class, weights and constant.
fn coefficients(found: &Findings) -> Vec<f64> {
    let models = found.targets.iter().map(|target| target.model.fitted.linear().unwrap());
    models.flat_map(|model| model.weights.iter().chain([&model.intercept])).copied().collect()
}

fn bundle(study: &mut Study, lines: &[Line], found: &Findings) -> ModelBundle {
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!("a table") };
    table.numeric = (0..lines[0].features.len()).map(|j| format!("x{j}")).collect();
    let input = BundleInput::of_table(study).unwrap();
    ModelBundle::new(study, found, input, "wardround test")
}

#[test]
fn equals_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/multinomial.json")).unwrap();
    for (name, golden) in golden.cases {
        let SoftmaxCase { n, d, sites, salt, c, standardise, missing, constant, .. } = golden;
        let case = Case {
            n,
            d,
            sites,
            salt,
            c,
            standardise,
            missing,
            constant,
            mean: vec![],
            deviation: vec![],
            weights: vec![],
            intercept: 0.0,
        };
        let mut study = multinomial(&[c], standardise, &[golden.balance]);
        study.validation.leave_one_site_out = false;
        let lines = halved(case.lines(), salt);
        let found = found(&lines, &study);
        let expected: Vec<f64> = golden
            .weights
            .iter()
            .zip(&golden.intercepts)
            .flat_map(|(weights, intercept)| weights.iter().chain([intercept]))
            .copied()
            .collect();
        let off = relative(&coefficients(&found), &expected);
        println!("{name}: {off:e}, {:?}", found.cost);
        assert!(off < if d == 8 { 1e-9 } else { 1e-6 }, "{name}: {off:e}");

        let bundle = bundle(&mut study, &lines, &found);
        assert_eq!(ModelBundle::read(&bundle.write().unwrap()).unwrap(), bundle);
        if standardise == Standardise::All {
            for (line, expected) in lines.iter().zip(&golden.probabilities) {
                let got = predict(&bundle, &line.features).unwrap();
                assert!(relative(&got, expected) < 1e-6, "{name}: {got:?} {expected:?}");
                assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn the_order_of_sites_never_matters() {
    let both = [Balance::None, Balance::Weights];
    for standardise in [Standardise::All, Standardise::Site] {
        let study = with_subgroup(multinomial(&[0.03, 1.0], standardise, &both));
        let pooled = rows(&halved(lines(240, 6, 4, 11), 11), &study);
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        let expected = find(&pooled, &study, &sites, &schema).unwrap();
        assert_eq!((expected.targets.len(), expected.targets[0].left_out.len()), (CLASSES, 4));
        let mut together = pooled.by_site();
        together.rotate_left(1);
        assert_eq!(find(&Together(together), &study, &sites, &schema).unwrap(), expected);
    }
}

#[test]
fn the_split_into_sites_doesnt_move_the_model() {
    for d in [6, 70] {
        let mut study = multinomial(&[0.3], Standardise::All, &[Balance::None]);
        study.validation.leave_one_site_out = false;
        let mut made = halved(lines(240, d, 4, 12), 12);
        let four_sites = coefficients(&found(&made, &study));
        made.iter_mut().for_each(|line| line.site = 0);
        let off = relative(&coefficients(&found(&made, &study)), &four_sites);
        assert!(off < if d == 6 { 1e-9 } else { 1e-6 }, "{d} features: {off:e}");
    }
}

#[test]
fn all_classes_share_a_grid_point_and_each_is_judged_against_the_rest() {
    let mut study = multinomial(&[0.001, 0.05, 20.0], Standardise::All, &[Balance::None]);
    let made = halved(lines(300, 40, 3, 15), 15);
    let found = found(&made, &study);
    // One model of all classes per training set and grid point.
    assert_eq!(found.cost.models, 3 * (1 + 5 + 10 + 3 * 6));
    for target in &found.targets[1..] {
        assert_eq!(target.model.point, found.targets[0].model.point);
        let points = |of: &wardround_learn::findings::TargetFindings| -> Vec<usize> {
            of.nested.choices.iter().map(|choice| choice.point).collect()
        };
        assert_eq!(points(target), points(&found.targets[0]));
    }
    for target in &found.targets {
        assert!(value(&target.nested.judged.one_list.auc) > 0.6, "class {}", target.class);
    }
    let bundle = bundle(&mut study, &made, &found);
    let constants: f64 =
        found.targets.iter().map(|t| t.model.fitted.linear().unwrap().intercept).sum();
    assert!(constants.abs() < 1e-6, "{constants}");
    let sum: f64 = predict(&bundle, &made[7].features).unwrap().iter().sum();
    assert!((sum - 1.0).abs() < 1e-12);
}

#[test]
fn probabilities_are_those_that_were_judged() {
    use wardround_core::query::{
        Ask, Bins, Fill, FoldPlan, FoldSet, Frame, Model, Query, RowSet, Scaler, ScoreList,
        SiteSet, SoftmaxModel,
    };
    use wardround_core::seed::Seed;
    let mut study = multinomial(&[0.3], Standardise::All, &[Balance::None]);
    let made = halved(lines(200, 5, 2, 9), 9);
    let found = found(&made, &study);
    let rows = rows(&made, &study);
    // The final model in the features' own units, on a frame that changes nothing.
    let mut all = Vec::new();
    for target in &found.targets {
        let model = target.model.fitted.linear().unwrap();
        let FinalScaler::All { mean, deviation } = &model.scaler else { panic!("over all") };
        let own: Vec<f64> = model.weights.iter().zip(deviation).map(|(w, s)| w / s).collect();
        let shift: f64 = own.iter().zip(mean).map(|(w, mean)| w * mean).sum();
        all.extend(own);
        all.push(model.intercept - shift);
    }
    let model = SoftmaxModel { scaler: Scaler::Folded, fill: Fill::Complete, coefficients: all };
    let set = RowSet { repeat: 0, folds: FoldSet::all(2), sites: SiteSet::All };
    let query = Query {
        study: wardround_core::ids::StudyId::parse("s").unwrap(),
        sites: rows.sites(),
        schema: rows.schema().clone(),
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: 2, repeats: 1 },
        ask: Ask::Scores {
            frame: Frame::identity(5).into(),
            models: vec![Model::Softmax(model.into())],
            lists: (0..4).map(|class| ScoreList { class, parts: vec![(set, 0)] }).collect(),
            split: vec![],
            bins: Bins { half_width: 8.0, count: 16 },
            bits: 40,
        },
    };
    let bundle = bundle(&mut study, &made, &found);
    let features: Vec<Vec<f64>> = rows.rows().map(|row| row.features().unwrap().to_vec()).collect();
    for (class, list) in rows.scores(&query).unwrap().into_iter().enumerate() {
        assert_eq!(list.len(), made.len());
        for score in list {
            let p = predict(&bundle, &features[score.row]).unwrap()[class];
            assert!((p - 1.0 / (1.0 + (-score.logit).exp())).abs() < 1e-9);
        }
    }
}

#[test]
fn a_bundle_without_one_of_the_classes_is_refused() {
    let mut study = multinomial(&[0.3], Standardise::All, &[Balance::None]);
    let made = halved(lines(200, 5, 2, 9), 9);
    let found = found(&made, &study);
    let whole = bundle(&mut study, &made, &found);
    let mut short = whole.clone();
    short.manifest.models.pop();
    short.models.pop();
    let mut mixed = whole.clone();
    let Learner::Linear { method, .. } = &mut mixed.manifest.models[1].learner else { panic!() };
    *method = LinearMethod::Logistic;
    for broken in [short, mixed] {
        let error = broken.write().unwrap_err();
        assert!(matches!(&error, BundleError::Inconsistent(what) if what.contains("multinomial")));
    }
}

#[test]
fn a_class_that_no_training_row_has_is_named() {
    let study = multinomial(&[0.3], Standardise::All, &[Balance::None]);
    let mut made = halved(lines(200, 5, 2, 9), 9);
    made.iter_mut().for_each(|line| line.class = line.class.min(2));
    let rows = rows(&made, &study);
    let error = find(&rows, &study, &rows.sites(), rows.schema()).unwrap_err().to_string();
    assert!(error.contains("'d'"), "{error}");
}

#[test]
fn an_outer_fold_has_no_part_in_the_common_choice() {
    let mut study = multinomial(&[0.001, 0.05, 20.0], Standardise::All, &[Balance::None]);
    study.validation.leave_one_site_out = false;
    let made = halved(lines(300, 6, 3, 23), 23);
    let before = found(&made, &study);
    let cohort = rows(&made, &study);
    let folds = cohort.fold_column(&study.fold_plan(), 0);
    let mut planted = made.clone();
    for (row, _) in cohort.rows().zip(&folds).filter(|(_, fold)| **fold == 1) {
        let line = &mut planted[row.source];
        let class = f64::from(line.class);
        line.features.iter_mut().for_each(|x| *x = 30.0 * class);
    }
    let after = found(&planted, &study);
    let mut moved = false;
    for (old, new) in before.targets.iter().zip(&after.targets) {
        let choices = |of: &wardround_learn::findings::TargetFindings, fold: usize| {
            let choice = &of.nested.choices[fold];
            (choice.point, choice.threshold)
        };
        assert_eq!(choices(old, 1), choices(new, 1));
        moved |= (0..5).any(|other| other != 1 && choices(old, other) != choices(new, other));
        assert_ne!(old.model.fitted, new.model.fitted);
    }
    // The control: where the fold does take part, it shows.
    assert!(moved);
}
