//! Races of grid points: who goes on, what is fitted for it, and that the fold that is judged has no part.

use wardround_core::study::{Candidates, Choose, Classifier, Halving, Search, Standardise, Study};
use wardround_learn::findings::{Figure, Findings, RaceOf, RaceResult, Races};
use wardround_learn::recorded::{Keep, MemoryJournal, Recorded};
use wardround_learn::rows::{Rows, Together};
use wardround_learn::study::{Bound, plan};

use crate::early_stopping::pairs;
use crate::leaks::several_points;
use crate::support::{every_classifier, find, lines, rows, study, value, with_exchanged_classes};

fn halving(study: Study, eta: u16) -> Study {
    let mut study = study;
    study.validation.search = Search::Halving(Halving { eta, candidates: Candidates::Grid });
    study
}

fn run(study: &Study, of: &Rows) -> Findings {
    find(of, study, &of.sites(), of.schema()).unwrap()
}

fn races(found: &Findings) -> &[RaceResult] {
    match &found.targets[0].races {
        Races::Halved { races, .. } => races,
        Races::Off => panic!("the study races"),
    }
}

fn race(found: &Findings, of: RaceOf) -> &RaceResult {
    races(found).iter().find(|race| race.of == of).expect("every choice has its race")
}

/// The point with the largest AUC of those that were judged on so many folds.
fn best(race: &RaceResult, folds: u8) -> usize {
    let of = |at: &usize| value(&race.trials[*at].auc);
    let judged = (0..race.trials.len()).filter(|&at| race.trials[at].folds >= folds);
    judged.reduce(|a, b| if of(&b) > of(&a) { b } else { a }).unwrap()
}

/// Points whose models differ, the simplest first.
const C: [f64; 7] = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0];

#[test]
fn where_one_goes_on_it_is_the_first_on_the_first_fold() {
    let grid = study(&C, &[Standardise::All]);
    let rows = rows(&lines(300, 6, 3, 91), &grid);
    let all = run(&grid, &rows);
    let found = run(&halving(grid.clone(), 200), &rows);
    let (all, target) = (&all.targets[0], &found.targets[0]);
    let last = race(&found, RaceOf::All);
    for (point, trial) in last.trials.iter().enumerate() {
        let first = &all.used_for_choosing[point].folds[0];
        if trial.folds == 1 {
            assert_eq!(trial.auc, first.auc_within_sites);
            let left = &target.used_for_choosing[point];
            assert!(matches!(left.auc_within_sites, Figure::Undefined { .. }));
        }
    }
    let on_first = |point: &usize| value(&all.used_for_choosing[*point].folds[0].auc_within_sites);
    let winner = target.model.point;
    assert!((0..C.len()).all(|point| on_first(&point) <= on_first(&winner)));
    assert_eq!(last.trials[winner].folds, 5);
    let whole = &all.used_for_choosing[winner];
    assert_eq!(&target.used_for_choosing[winner], whole);
    assert_eq!(last.trials[winner].auc, strip(&whole.auc_within_sites));
    let alone = run(&study(&C[winner..=winner], &[Standardise::All]), &rows);
    assert_eq!(target.model.fitted, alone.targets[0].model.fitted);
    assert_eq!(target.model.threshold, alone.targets[0].model.threshold);
    for choice in &target.nested.choices {
        let fold = usize::from(choice.fold);
        let race = race(&found, RaceOf::Fold { repeat: 0, fold: choice.fold });
        assert_eq!(best(race, 4), choice.point);
        assert!((0..C.len()).all(|point| point == choice.point || race.trials[point].folds == 1));
        assert_eq!(target.nested.folds[fold], all.used_for_choosing[choice.point].folds[fold]);
    }
    for left_out in &target.left_out {
        let race = race(&found, RaceOf::Site { site: left_out.site });
        assert_eq!(race.trials[left_out.point].folds, 5);
        let of_all = &all.left_out[usize::from(left_out.site)];
        assert_eq!(left_out.auc_by_point[left_out.point], of_all.auc_by_point[left_out.point]);
    }
}

/// A figure without its interval.
fn strip(figure: &Figure) -> Figure {
    let interval = wardround_learn::findings::Interval::NotComputed;
    Figure::Known { value: value(figure), interval }
}

#[test]
fn a_point_that_is_best_everywhere_wins() {
    let mut grid = study(&[1.0], &[Standardise::All]);
    let Some((_, Classifier::Boosting(mut boosting))) =
        every_classifier().into_iter().find(|(name, _)| *name == "boosting")
    else {
        panic!("boosting")
    };
    // Two that are hardly models, and one that is.
    (boosting.trees, boosting.depth) = (vec![1, 2, 60], vec![2]);
    grid.classifiers = vec![Classifier::Boosting(boosting)];
    grid.validation.leave_one_site_out = false;
    let rows = rows(&lines(400, 5, 3, 92), &grid);
    let all = run(&grid, &rows);
    let choices = &all.targets[0].nested.choices;
    let best = all.targets[0].model.point;
    assert!(choices.iter().all(|choice| choice.point == best), "{choices:?}");
    for eta in [2, 3] {
        let found = run(&halving(grid.clone(), eta), &rows);
        let target = &found.targets[0];
        assert_eq!(target.model, all.targets[0].model);
        assert_eq!(target.nested, all.targets[0].nested);
        assert!(found.cost.models < all.cost.models);
        for race in races(&found) {
            let folds = if race.of == RaceOf::All { 5 } else { 4 };
            assert_eq!(race.trials[best].folds, folds);
        }
    }
}

#[test]
fn every_kind_races_as_planned_at_sites_asked_one_by_one_and_from_the_journal() {
    for (name, classifier) in several_points() {
        let base = study(&[1.0], &[Standardise::All]);
        let mut study = halving(Study { classifiers: vec![classifier], ..base }, 2);
        study.validation.folds = 4;
        study.validation.choose = Choose::OneStandardError;
        let points = study.grid(&study.classifiers[0]).len();
        if points == 1 {
            continue;
        }
        let rows = rows(&lines(240, 5, 3, 93), &study);
        let (names, schema) = (rows.sites(), rows.schema().clone());
        let journal = MemoryJournal::default();
        let recorded = Recorded::new(&rows, &journal, Keep::Decisions);
        let found = find(&recorded, &study, &names, &schema).unwrap();
        let replay = Recorded::replay_only(&journal);
        assert_eq!(find(&replay, &study, &names, &schema).unwrap(), found, "{name}");
        for race in races(&found) {
            // Rungs of 1, 2 and 3 inner folds, or of 1, 2 and 4 outer ones.
            let folds = if matches!(race.of, RaceOf::Fold { .. }) { 3 } else { 4 };
            let judged = |folds| race.trials.iter().filter(|trial| trial.folds == folds).count();
            let (second, third) = (points.div_ceil(2), points.div_ceil(2).div_ceil(2));
            assert_eq!(
                [judged(1), judged(2), judged(folds)],
                [points - second, second - third, third],
                "{name}"
            );
        }
        let planned = plan(&study, std::slice::from_ref(&schema), &names).unwrap();
        assert_eq!(planned.bound, Bound::AtMost);
        assert!(planned.models >= found.cost.models, "{name}");
        // Rounds of fitting are estimates.
        let most = planned.queries * 3 / 2;
        assert!(most >= found.cost.queries, "{name}: {planned:?} {:?}", found.cost);
        let mut each = rows.by_site();
        each.reverse();
        assert_eq!(find(&Together(each), &study, &names, &schema).unwrap(), found, "{name}");
    }
}

#[test]
fn the_fold_that_is_judged_has_no_part_in_its_race() {
    let mut grid = study(&C, &[Standardise::All]);
    grid.validation.leave_one_site_out = false;
    let study = halving(grid, 2);
    let made = pairs(200, 94);
    let before = rows(&made, &study);
    let found = run(&study, &before);
    for fold in 0..study.validation.folds {
        let poisoned = with_exchanged_classes(&made, &before, &study, fold);
        let after = run(&study, &rows(&poisoned, &study));
        let of = RaceOf::Fold { repeat: 0, fold };
        assert_eq!(race(&found, of), race(&after, of));
        let choice = |found: &Findings| found.targets[0].nested.choices[usize::from(fold)].clone();
        assert_eq!(choice(&found), choice(&after));
        // The control: it had a part in the others.
        assert_ne!(race(&found, RaceOf::All), race(&after, RaceOf::All));
    }
}

#[test]
fn drawn_points_race() {
    let mut study = study(&C, &[Standardise::All, Standardise::Site]);
    study.validation.search =
        Search::Halving(Halving { eta: 2, candidates: Candidates::Random(5) });
    let drawn = study.grid(&study.classifiers[0]);
    let mut random = study.clone();
    random.validation.search = Search::Random(5);
    assert_eq!(drawn, random.grid(&random.classifiers[0]));
    let rows = rows(&lines(240, 5, 3, 95), &study);
    let found = run(&study, &rows);
    assert_eq!(found.grid, drawn);
    assert!(races(&found).iter().all(|race| race.trials.len() == 5));
    assert_eq!(races(&found).len(), 5 + 3 + 1);
}
