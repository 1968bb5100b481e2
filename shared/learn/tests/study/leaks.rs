//! Nothing that is judged has had a part in what judges it. A leak is planted: features of the rows
//! that are held out are replaced by their label, enlarged. A scaler, a C or a threshold that sees
//! them moves; one that doesn't stays where it was.

use crate::support::reduce;
use crate::support::{Line, find, lines, noise, rows, study, value};
use wardround_core::study::{Balance, Classifier, Reduction, Standardise};
use wardround_learn::findings::{Findings, TargetFindings};

const EACH: [Standardise; 3] = Standardise::EACH;
const C: [f64; 3] = [0.001, 0.1, 10.0];

fn run(made: &[Line]) -> Findings {
    let study = study(&C, &EACH);
    let rows = rows(made, &study);
    find(&rows, &study, &rows.sites(), rows.schema()).unwrap()
}

fn plant(line: &mut Line) {
    let label = f64::from(line.class) * 2.0 - 1.0;
    line.features.iter_mut().for_each(|x| *x = 30.0 * label);
}

fn weights(target: &TargetFindings) -> &[f64] {
    &target.model.fitted.linear().unwrap().weights
}

fn nested(target: &TargetFindings, fold: u8) -> (usize, f64) {
    let choice = &target.nested.choices[usize::from(fold)];
    (choice.point, choice.threshold)
}

#[test]
fn a_left_out_site_has_no_part_in_its_own_scaler_c_or_threshold() {
    let made = lines(240, 5, 4, 21);
    let before = run(&made);
    for site in 0..4 {
        let mut planted = made.clone();
        planted.iter_mut().filter(|line| line.site == site).for_each(plant);
        let after = run(&planted);
        let (old, new) = (&before.targets[0].left_out, &after.targets[0].left_out);
        assert_eq!((old[site].point, old[site].threshold), (new[site].point, new[site].threshold));
        // The control: where the site does take part, it shows.
        let moved = |other: &usize| {
            *other != site
                && (old[*other].point, old[*other].threshold)
                    != (new[*other].point, new[*other].threshold)
        };
        assert!((0..4).any(|other| moved(&other)));
        assert_ne!(weights(&before.targets[0]), weights(&after.targets[0]));
    }
}

#[test]
fn a_left_out_site_is_scaled_by_its_own_rows_only_where_the_study_says_so() {
    // All of a site's features times 50 plus 7: nothing changes when it is scaled by itself.
    let made = lines(240, 5, 4, 22);
    let mut other_units = made.clone();
    for line in other_units.iter_mut().filter(|line| line.site == 2) {
        line.features.iter_mut().for_each(|x| *x = *x * 50.0 + 7.0);
    }
    let (before, after) = (run(&made), run(&other_units));
    let auc =
        |found: &Findings, point: usize| value(&found.targets[0].left_out[2].auc_by_point[point]);
    for point in 0..C.len() {
        let own = C.len() + point;
        assert_eq!(before.grid[own].linear().unwrap().standardise, Standardise::Site);
        assert!((auc(&before, own) - auc(&after, own)).abs() < 1e-12);
        assert!((auc(&before, point) - auc(&after, point)).abs() > 1e-3);
    }
}

#[test]
fn an_outer_fold_has_no_part_in_its_own_scaler_c_or_threshold() {
    let made = lines(240, 5, 4, 23);
    let before = run(&made);
    let study = study(&C, &EACH);
    let cohort = rows(&made, &study);
    let folds = cohort.fold_column(&study.fold_plan(), 0);
    for fold in 0..5 {
        let mut planted = made.clone();
        for (row, of_row) in cohort.rows().zip(&folds) {
            if *of_row == fold {
                plant(&mut planted[row.source]);
            }
        }
        // Labels and keys are as before, so the deal is.
        assert_eq!(rows(&planted, &study).fold_column(&study.fold_plan(), 0), folds);
        let after = run(&planted);
        let (old, new) = (&before.targets[0], &after.targets[0]);
        assert_eq!(nested(old, fold), nested(new, fold));
        assert!((0..5).any(|other| other != fold && nested(old, other) != nested(new, other)));
        assert_ne!(weights(old), weights(new));
    }
}

#[test]
fn no_classifier_lets_an_outer_fold_into_its_own_weights_bins_sums_or_choice() {
    for (name, classifier) in several_points() {
        let mut study = study(&[1.0], &[Standardise::All]);
        study.validation.leave_one_site_out = false;
        study.validation.folds = 3;
        study.classifiers = vec![classifier];
        let made = lines(240, 5, 3, 24);
        let cohort = rows(&made, &study);
        let folds = cohort.fold_column(&study.fold_plan(), 0);
        let run = |made: &[Line]| {
            let rows = rows(made, &study);
            find(&rows, &study, &rows.sites(), rows.schema()).unwrap()
        };
        let before = run(&made);
        // The fold's own values in another order, those of positives on top: center and scale of all rows,
        // which the public grid of trees knows, stay.
        let mut planted = made.clone();
        let held_out = cohort.rows().zip(&folds).filter(|(_, fold)| **fold == 1);
        let mut held_out: Vec<usize> = held_out.map(|(row, _)| row.source).collect();
        let mut values: Vec<f64> = held_out.iter().map(|&at| made[at].features[0]).collect();
        values.sort_by(f64::total_cmp);
        held_out.sort_by_key(|&at| made[at].class);
        for (&at, value) in held_out.iter().zip(values) {
            planted[at].features[0] = value;
        }
        let after = run(&planted);
        let (old, new) = (&before.targets[0], &after.targets[0]);
        assert_eq!(nested(old, 1), nested(new, 1), "{name}");
        // The control: the other folds' models were fitted to the planted rows, and theirs judge better.
        assert_ne!(old.nested.folds[0], new.nested.folds[0], "{name}");
        assert_ne!(old.model.fitted, new.model.fitted, "{name}");
    }
}

#[test]
fn a_selection_is_made_without_the_rows_that_are_judged() {
    // Labels have nothing to do with features, but of 300 some fit them by chance.
    let mut made = lines(150, 300, 3, 25);
    for line in &mut made {
        line.class = u8::from(noise(line.patient as u64, 1, 99) > 0.0);
    }
    let chance = largest_f(&made, 5);
    let mut best_ones = made.clone();
    for line in &mut best_ones {
        line.features = chance.iter().map(|&j| line.features[j]).collect();
    }
    for (name, classifier) in crate::support::every_classifier() {
        if !matches!(name, "logistic" | "ridge" | "forest" | "boosting" | "rbf-svm") {
            continue;
        }
        let auc = |made: &[Line], reduction| {
            let mut study = study(&[1.0], &[Standardise::All]);
            study.validation.leave_one_site_out = true;
            study.classifiers = vec![classifier.clone()];
            *reduce(&mut study.classifiers[0]) = vec![reduction];
            let rows = rows(made, &study);
            let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
            let target = &found.targets[0];
            let left_out = target.left_out.iter().map(|left_out| value(&left_out.figures.auc));
            [value(&target.nested.judged.one_list.auc), left_out.sum::<f64>() / 3.0]
        };
        let honest = auc(&made, Reduction::Univariate(5));
        // The control: selected on all rows, those that are judged among them.
        let leaking = auc(&best_ones, Reduction::None);
        for (honest, leaking) in honest.into_iter().zip(leaking) {
            assert!(honest < 0.6, "{name}: {honest}");
            assert!(leaking > honest + 0.1, "{name}: {honest} {leaking}");
        }
    }
}

/// The features of largest F over all rows: of two classes it grows with the squared correlation.
fn largest_f(made: &[Line], count: usize) -> Vec<usize> {
    let n = made.len() as f64;
    let y = made.iter().map(|line| f64::from(line.class)).sum::<f64>() / n;
    let score = |j: usize| {
        let x = made.iter().map(|line| line.features[j]).sum::<f64>() / n;
        let both = |f: &dyn Fn(f64, f64) -> f64| {
            made.iter().map(|l| f(l.features[j] - x, f64::from(l.class) - y)).sum::<f64>()
        };
        both(&|x, y| x * y).powi(2) / both(&|x, _| x * x)
    };
    let mut order: Vec<usize> = (0..made[0].features.len()).collect();
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    order.truncate(count);
    order
}

/// Classifiers with something to choose, their balance and reduction included.
pub fn several_points() -> Vec<(&'static str, Classifier)> {
    let each = vec![Balance::None, Balance::Weights, Balance::OverSampling, Balance::Smote];
    let mut all = crate::support::every_classifier();
    for (name, classifier) in &mut all {
        match classifier {
            Classifier::Logistic { c, balance, .. } | Classifier::LinearSvm { c, balance, .. } => {
                (*c, *balance) = (vec![0.01, 1.0], each.clone());
            }
            Classifier::RbfSvm { c, gamma, components, balance, .. } => {
                (*c, *gamma, *components) = (vec![0.1, 1.0], vec![0.3, 1.0], 64);
                balance.clone_from(&each);
            }
            Classifier::Ridge { alpha, .. } => *alpha = vec![1.0, 100.0],
            Classifier::Lda { shrinkage, .. } => *shrinkage = vec![0.1, 0.6],
            Classifier::Forest(grid) => {
                (grid.trees, grid.depth, grid.balance) = (vec![10, 20], vec![2, 4], each.clone());
            }
            Classifier::Boosting(grid) => {
                (grid.trees, grid.balance) = (vec![10, 30], each.clone());
            }
            _ => {}
        }
        let linear = !matches!(*name, "rbf-svm" | "forest" | "boosting");
        let mut reductions = vec![Reduction::None, Reduction::Univariate(2)];
        reductions.extend(linear.then_some(Reduction::Pca(2)));
        if *name != "bagged-forest" {
            *reduce(classifier) = reductions;
        }
    }
    all
}
