//! Boosted trees that stop early: the models are those of studies that say the number of trees, held-out rows
//! have no part in it, and any split of the patients and any replay gives the same.

use std::sync::atomic::{AtomicU64, Ordering};

use wardround_core::query::Query;
use wardround_core::study::{
    Balance, BoostingGrid, Classifier, ColumnSample, EarlyStopping, LeafLimit, Reduction,
    Standardise, Study, TreeRules,
};
use wardround_core::sum::Sum;
use wardround_learn::bundle::{BundleInput, ModelBundle};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::findings::{Findings, StoppedTrees};
use wardround_learn::recorded::{Keep, MemoryJournal, Recorded};
use wardround_learn::rows::{Rows, Together};
use wardround_learn::study::{Bound, plan};

use crate::support::{Line, find, lines, noise, rows, study, with_exchanged_classes};

/// Most trees.
const MOST: u32 = 60;

fn with(early_stopping: EarlyStopping, trees: u32, depth: &[u8]) -> Study {
    let base = study(&[1.0], &[Standardise::All]);
    let boosting = BoostingGrid {
        trees: vec![trees],
        early_stopping,
        depth: depth.to_vec(),
        min_patients: vec![3],
        learning_rate: vec![0.3],
        l2: vec![1.0],
        rows: 0.8,
        min_weight: 0.001,
        balance: vec![Balance::None],
        rules: TreeRules { columns: ColumnSample::All, leaves: LeafLimit::Unlimited, bins: 16 },
        reduce: vec![Reduction::None],
    };
    let mut study = Study { classifiers: vec![Classifier::Boosting(boosting)], ..base };
    study.validation.folds = 4;
    study
}

fn stopping(depth: &[u8]) -> Study {
    with(EarlyStopping::Patience(10), MOST, depth)
}

fn run(study: &Study, of: &Rows) -> Findings {
    find(of, study, &of.sites(), of.schema()).unwrap()
}

fn counts(found: &Findings, point: usize) -> &StoppedTrees {
    found.targets[0].trees.of(point).expect("the study stops early")
}

/// Rows whose labels are noise.
fn noisy(mut made: Vec<Line>) -> Vec<Line> {
    for line in &mut made {
        line.class = u8::from(noise(line.patient as u64, 3, 97) > 0.0);
    }
    made
}

#[test]
fn models_are_those_of_studies_that_say_the_number_of_trees() {
    for depth in [&[3][..], &[1, 3]] {
        let study = stopping(depth);
        let rows = rows(&lines(200, 5, 3, 81), &study);
        let found = run(&study, &rows);
        let target = &found.targets[0];
        let chosen = target.model.point;
        let stopped = counts(&found, chosen);
        assert!(stopped.all < MOST && stopped.all.is_multiple_of(5), "{stopped:?}");
        let given = |trees, point: usize| {
            let study = with(EarlyStopping::Off, trees, &depth[point..=point]);
            run(&study, &rows).targets.remove(0)
        };
        let final_model = given(stopped.all, chosen).model;
        assert_eq!(target.model.fitted, final_model.fitted);
        // Trees that were cut off have no part in them.
        assert!(!final_model.gains.is_not_kept());
        assert_eq!(target.model.gains, final_model.gains);
        for (fold, choice) in target.nested.choices.iter().enumerate() {
            let given = given(counts(&found, choice.point).folds[fold], choice.point);
            assert_eq!(target.nested.folds[fold], given.nested.folds[fold]);
            assert_eq!(choice.threshold, given.nested.choices[fold].threshold);
        }
        for (site, left_out) in target.left_out.iter().enumerate() {
            let trees = counts(&found, left_out.point).left_out[site];
            let given = &given(trees, left_out.point).left_out[site];
            assert_eq!(left_out.figures, given.figures);
            assert_eq!(left_out.threshold, given.threshold);
        }
        let different: std::collections::BTreeSet<_> =
            stopped.folds.iter().chain([&stopped.all]).collect();
        assert!(different.len() > 1, "{stopped:?}");
    }
}

#[test]
fn the_count_is_where_the_held_out_loss_is_least() {
    // A study that says the number judges the same stand-ins: their log loss isn't in the findings, but
    // that of the outer folds' models is what the final model stops by.
    let study = stopping(&[3]);
    let rows = rows(&lines(300, 5, 3, 82), &study);
    let found = run(&study, &rows);
    let all = counts(&found, 0).all;
    let journal = MemoryJournal::default();
    let watch = Watch { rows: &rows, looks: AtomicU64::new(0), asked: AtomicU64::new(0) };
    let recorded = Recorded::new(&watch, &journal, Keep::Decisions);
    assert_eq!(find(&recorded, &study, &rows.sites(), rows.schema()).unwrap(), found);
    let looks = watch.looks.load(Ordering::SeqCst);
    let longest = counts(&found, 0).folds.iter().chain(&counts(&found, 0).left_out).max();
    let longest = u64::from(*longest.unwrap().max(&all));
    assert_eq!(looks, (longest + 10).min(u64::from(MOST)) / 5);
    assert_eq!(
        find(&Recorded::replay_only(&journal), &study, &rows.sites(), rows.schema()).unwrap(),
        found
    );
}

/// Counts looks at the held-out loss.
struct Watch<'a> {
    rows: &'a Rows,
    looks: AtomicU64,
    asked: AtomicU64,
}

impl Cohort for Watch<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let wardround_core::query::Ask::Scores { bins, .. } = &query.ask {
            self.looks.fetch_add(u64::from(bins.count == 1), Ordering::SeqCst);
        }
        self.rows.answer(query)
    }
}

#[test]
fn growing_ends_where_there_is_nothing_to_learn() {
    let study = stopping(&[3]);
    let rows = rows(&noisy(lines(300, 5, 3, 83)), &study);
    let found = run(&study, &rows);
    let StoppedTrees { folds, left_out, all } = counts(&found, 0);
    assert!(folds.iter().chain(left_out).chain([all]).all(|&count| count <= 15), "{folds:?} {all}");
    let given = run(&with(EarlyStopping::Off, MOST, &[3]), &rows);
    assert!(2 * found.cost.queries < given.cost.queries);
    let plan = |study| plan(study, std::slice::from_ref(rows.schema()), &rows.sites()).unwrap();
    let (at_most, about) = (plan(&study), plan(&with(EarlyStopping::Off, MOST, &[3])));
    assert_eq!((at_most.bound, about.bound), (Bound::AtMost, Bound::Expected));
    assert!(at_most.queries > about.queries && at_most.queries > found.cost.queries);
    assert_eq!(at_most.models, found.cost.models);
}

/// Patients of two rows, one of each class, so that who is in which fold doesn't depend on which is which.
pub fn pairs(patients: usize, salt: u64) -> Vec<Line> {
    let mut made = Vec::new();
    for patient in 0..patients {
        let rows = [0, 1].map(|row| -> Vec<f64> {
            (0..5).map(|j| noise((2 * patient + row) as u64, j, salt)).collect()
        });
        let signal = |x: &[f64], row| x[0] - x[2] + 0.8 * noise(patient as u64, row, salt + 1);
        let first = u8::from(signal(&rows[0], 7) > signal(&rows[1], 8));
        for (features, class) in rows.into_iter().zip([first, 1 - first]) {
            made.push(Line { site: patient % 3, patient, class, level: 0, features });
        }
    }
    made
}

#[test]
fn an_outer_folds_labels_have_no_part_in_its_number_of_trees() {
    let study = stopping(&[3]);
    let made = pairs(200, 84);
    let before = rows(&made, &study);
    let plan = study.fold_plan();
    let found = run(&study, &before);
    for fold in 0..study.validation.folds {
        let poisoned = with_exchanged_classes(&made, &before, &study, fold);
        let poisoned = rows(&poisoned, &study);
        assert_eq!(poisoned.fold_column(&plan, 0), before.fold_column(&plan, 0));
        let after = run(&study, &poisoned);
        let (old, new) = (counts(&found, 0), counts(&after, 0));
        assert_eq!(old.folds[usize::from(fold)], new.folds[usize::from(fold)]);
        // The control: it had a part in the others.
        assert_ne!(old, new);
    }
}

#[test]
fn a_left_out_site_has_no_part_in_the_number_of_trees_without_it() {
    let study = stopping(&[3]);
    let made = lines(300, 5, 3, 85);
    let found = run(&study, &rows(&made, &study));
    for site in 0..3 {
        let mut poisoned = made.clone();
        poisoned.iter_mut().filter(|l| l.site == site).for_each(|l| l.class = 1 - l.class);
        let after = run(&study, &rows(&poisoned, &study));
        assert_eq!(counts(&found, 0).left_out[site], counts(&after, 0).left_out[site]);
        assert_ne!(counts(&found, 0), counts(&after, 0));
    }
}

#[test]
fn sites_asked_one_by_one_give_the_same() {
    let study = stopping(&[1, 3]);
    for sites in [2, 4] {
        let rows = rows(&lines(200, 5, sites, 86), &study);
        let (names, schema) = (rows.sites(), rows.schema().clone());
        let pooled = run(&study, &rows);
        let mut each = rows.by_site();
        each.reverse();
        let found = find(&Together(each), &study, &names, &schema).unwrap();
        assert_eq!(found, pooled, "{sites} sites");
        assert!(!found.targets[0].trees.are_given());
    }
}

#[test]
fn a_bundle_says_how_many_trees_it_has() {
    let mut study = stopping(&[2]);
    let wardround_core::study::Input::Table(table) = &mut study.input else { panic!() };
    table.numeric = (0..5).map(|j| format!("x{j}")).collect();
    let found = run(&study, &rows(&lines(200, 5, 3, 87), &study));
    let input = BundleInput::of_table(&study).unwrap();
    let bundle = ModelBundle::new(&study, &found, input, "wardround test");
    let wardround_learn::bundle::Learner::Trees { point } = bundle.manifest.models[0].learner
    else {
        panic!("trees")
    };
    assert_eq!(point.trees(), counts(&found, 0).all);
    assert_eq!(ModelBundle::read(&bundle.write().unwrap()).unwrap(), bundle);
}
