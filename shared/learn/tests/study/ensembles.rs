//! Ensembles of a study's classifiers: what they are made of, and what they may see.

use wardround_core::query::Combine;
use wardround_core::study::{
    Balance, Classifier, ColumnSample, Ensemble, EnsembleKind, ForestGrid, LeafLimit, Reduction,
    Standardise, Study, TreeRules,
};
use wardround_learn::bundle::{BundleInput, EnsembleScorer, ModelBundle, Scorer, predict};
use wardround_learn::findings::{
    Compared, ComparedClassifier, Comparison, FinalEnsemble, FinalFit, Findings,
};
use wardround_learn::rows::Together;
use wardround_learn::study::plan;

use crate::support::{Line, find, lines, rows, study, value, with_subgroup};

fn forest(min_patients: u32) -> Classifier {
    let rules = TreeRules { columns: ColumnSample::All, leaves: LeafLimit::Unlimited, bins: 64 };
    Classifier::Forest(ForestGrid {
        trees: vec![40],
        depth: vec![6],
        min_patients: vec![min_patients],
        balance: vec![Balance::None],
        reduce: vec![Reduction::None],
        rules,
    })
}

/// A logistic regression with a grid, a forest, and both ensembles of them.
fn ensembles(min_patients: u32) -> Study {
    let mut study = study(&[0.001, 0.1, 10.0], &[Standardise::All, Standardise::Site]);
    study.classifiers.push(forest(min_patients));
    study.ensembles = [EnsembleKind::SoftVote, EnsembleKind::Stacking]
        .map(|kind| Ensemble { kind, members: vec![0, 1] })
        .to_vec();
    study
}

fn compared(findings: &Findings) -> &Compared {
    let Comparison::Several(compared) = &findings.comparison else { panic!("compared") };
    compared
}

fn run(made: &[Line], study: &Study) -> Findings {
    let rows = rows(made, study);
    find(&rows, study, &rows.sites(), rows.schema()).unwrap()
}

/// A half that a line through many features tells, and a half that only splits tell.
fn two_sides(n: usize) -> Vec<Line> {
    let mut made = lines(n, 14, 3, 61);
    for line in &mut made {
        let unit = |j: usize| line.features[j] / 10f64.powi(j as i32 % 5 - 2) - 3.0;
        let side = if (unit(0) > 0.0) == (unit(1) > 0.0) { 1.0 } else { -1.0 };
        let sum: f64 = (2..14).map(unit).sum();
        line.class = u8::from(sum + 1.75 * side > 0.0);
    }
    made
}

#[test]
fn members_that_know_different_things_know_more_together() {
    let study = with_subgroup(ensembles(5));
    let made = two_sides(700);
    let found = run(&made, &study);
    let all = &compared(&found).classifiers;
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["logistic", "forest", "soft-vote of 2", "stacking of 2"]);
    let auc = |at: usize| value(&all[at].auc);
    let best = auc(0).max(auc(1));
    assert!(auc(2) > best + 0.003 && auc(3) > best + 0.003, "{:?}", [0, 1, 2, 3].map(auc));
    assert!(found.combination >= 2);
    // Every site left out, and both subgroups, as of any classifier.
    assert_eq!(all[3].classes[0].left_out.len(), 3);
    assert_eq!(all[2].cost.fitting_queries, 0);
    assert!(all[3].cost.fitting_queries > 2);

    // The finished model is its members', and a bundle carries it.
    let input = BundleInput::of_table(&study).unwrap();
    let bundle = ModelBundle::new(&study, &found, input, "test");
    let bytes = bundle.write().unwrap();
    let read = ModelBundle::read(&bytes).unwrap();
    assert_eq!(read.models, bundle.models);
    assert_eq!(read.write().unwrap(), bytes);
    let Scorer::Ensemble(EnsembleScorer { members, combine }) = &bundle.models[0].scorer else {
        panic!("an ensemble was chosen")
    };
    let alone = |member: usize, x: &[f64]| {
        let mut one = bundle.clone();
        one.models[0].scorer = members[member].clone();
        predict(&one, x).unwrap()[0]
    };
    for line in made.iter().take(50) {
        let [p, q] = [0, 1].map(|member| alone(member, &line.features));
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let expected = match combine {
            Combine::MeanProbability => (p + q) / 2.0,
            Combine::Logits { weights, intercept } => {
                let says = intercept + weights[0] * logit(p) + weights[1] * logit(q);
                1.0 / (1.0 + (-says).exp())
            }
        };
        let got = predict(&bundle, &line.features).unwrap()[0];
        assert!((got - expected).abs() < 1e-9, "{got} {expected}");
    }
}

#[test]
fn hostile_bundles_of_ensembles_are_refused() {
    let study = ensembles(5);
    let found = run(&two_sides(700), &study);
    let input = BundleInput::of_table(&study).unwrap();
    let bundle = ModelBundle::new(&study, &found, input, "test");
    let with = |change: &dyn Fn(&mut EnsembleScorer)| {
        let mut bad = bundle.clone();
        let Scorer::Ensemble(ensemble) = &mut bad.models[0].scorer else { panic!("an ensemble") };
        change(ensemble);
        bad.write().unwrap_err().to_string()
    };
    let fewer = with(&|ensemble| drop(ensemble.members.pop()));
    assert!(fewer.contains("class 1: 1 of 2 members"), "{fewer}");
    let swapped = with(&|ensemble| ensemble.members.swap(0, 1));
    assert!(swapped.contains("class 1, member 0 isn't of the kind that it says"), "{swapped}");
    let other = with(&|ensemble| {
        ensemble.combine = Combine::Logits { weights: vec![f64::NAN, 1.0], intercept: 0.0 };
    });
    assert!(other.contains("members' weights"), "{other}");
    let within = with(&|ensemble| {
        let own = Scorer::Ensemble(ensemble.clone());
        ensemble.members[0] = own;
    });
    assert!(within.contains("member 0 isn't of the kind"), "{within}");
}

#[test]
fn sites_that_add_up_make_the_same_ensembles() {
    let study = ensembles(5);
    let pooled = rows(&two_sides(240), &study);
    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, &study, &sites, &schema).unwrap();
    assert_eq!(find(&Together(pooled.by_site()), &study, &sites, &schema).unwrap(), expected);
}

/// Thresholds of the outer folds.
fn thresholds(one: &ComparedClassifier) -> Vec<f64> {
    one.classes[0].nested.choices.iter().map(|choice| choice.threshold).collect()
}

#[test]
fn an_outer_fold_has_no_part_in_its_own_stack() {
    let study = ensembles(5);
    let made = lines(240, 5, 4, 23);
    let before = run(&made, &study);
    let cohort = rows(&made, &study);
    let folds = cohort.fold_column(&study.fold_plan(), 0);
    let mut moved = 0;
    for fold in 0..5u8 {
        // The fold's own values in another order, those of positives on top: center and scale of all rows,
        // which the public grid of trees knows, stay.
        let mut planted = made.clone();
        let held_out = cohort.rows().zip(&folds).filter(|(_, of_row)| **of_row == fold);
        let mut held_out: Vec<usize> = held_out.map(|(row, _)| row.source).collect();
        let mut values: Vec<f64> = held_out.iter().map(|&at| made[at].features[0]).collect();
        values.sort_by(f64::total_cmp);
        held_out.sort_by_key(|&at| made[at].class);
        for (&at, value) in held_out.iter().zip(values) {
            planted[at].features[0] = value;
        }
        let after = run(&planted, &study);
        for at in [2, 3] {
            let [old, new] =
                [&before, &after].map(|found| thresholds(&compared(found).classifiers[at]));
            assert_eq!(old[usize::from(fold)], new[usize::from(fold)], "ensemble {at}");
            moved += old.iter().zip(&new).filter(|(old, new)| old != new).count();
        }
    }
    // The control: where the fold takes part, it shows.
    assert!(moved > 20, "{moved}");
}

#[test]
fn a_stack_doesnt_trust_a_member_that_learnt_its_rows_by_heart() {
    // Labels are half noise; trees down to single patients know every training row, and no other better than the line does.
    let mut study = ensembles(1);
    study.validation.leave_one_site_out = false;
    study.ensembles.remove(0);
    let found = run(&lines(300, 5, 3, 65), &study);
    let all = &compared(&found).classifiers;
    let auc = |at: usize| value(&all[at].auc);
    // In-sample scores of the forest would have it decide alone: the stack would be as bad as it is.
    assert!(auc(0) > auc(1) + 0.02, "{} {}", auc(0), auc(1));
    assert!(auc(2) > auc(1) + 0.01, "{} {}", auc(2), auc(1));
    if let FinalFit::Ensemble(FinalEnsemble { combine: Combine::Logits { weights, .. }, .. }) =
        &found.targets[0].model.fitted
    {
        assert!(weights[0] > weights[1], "{weights:?}");
    }
}

#[test]
fn the_plan_counts_ensembles() {
    let study = ensembles(5);
    let rows = rows(&two_sides(120), &study);
    let found = find(&rows, &study, &rows.sites(), rows.schema()).unwrap();
    let plan = plan(&study, &[rows.schema().clone()], &rows.sites()).unwrap();
    for (planned, was) in plan.combinations.iter().zip(&compared(&found).classifiers).skip(2) {
        assert_eq!(planned.name, was.name);
        let (planned, was) = (planned.queries as f64, was.cost.queries as f64);
        assert!((planned - was).abs() <= 4.0, "{planned} {was}");
    }
}
