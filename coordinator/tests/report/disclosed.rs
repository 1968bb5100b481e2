//! The checks that output checkers make, on what a report shows: threshold and class disclosure (SACRO; ACRO's
//! `safe_threshold` and `zeros_are_disclosive`), and the (n, k) rule for dominance with n = 1 (sdcTable's
//! `nk`), from the patients behind it.

use crate::made_up::{Patient, context, findings, heart, patients, with_small_cells};
use wardround::report::{Count, Estimate, FigureRow, Report};
use wardround_privacy::suppress::Reason;

/// Patients of four sites, and at the last one a patient over 64 with many images of its own.
fn with_one_of_many_images(images: usize) -> Vec<Patient> {
    let mut all = patients(4, 160);
    // That level has no other patient at the site, so no rule of the site speaks.
    all.retain(|patient| patient.site < 3 || patient.levels[1] != 2);
    let scores = (0..images).map(|at| at as f64 / images as f64).collect();
    all.push(Patient { site: 3, levels: [0, 2], positive: true, scores });
    all
}

fn report(sites: usize, patients: &[Patient]) -> Report {
    let findings = findings(sites, patients);
    let context = context(&findings);
    Report::build(&findings, &context).expect("made-up findings fit together")
}

/// What a checker would object to in a slice that is shown.
fn objections(slice: &[&Patient], row: &FigureRow) -> Vec<&'static str> {
    let mut found = Vec::new();
    if row.auc.value().is_none() {
        return found;
    }
    let of_class = |positive: bool| slice.iter().filter(move |p| p.positive == positive);
    if [true, false].iter().any(|&class| of_class(class).count() < 10) {
        found.push("threshold");
    }
    for class in [true, false] {
        let images: Vec<usize> = of_class(class).map(|patient| patient.scores.len()).collect();
        if 2 * images.iter().max().unwrap_or(&0) > images.iter().sum() {
            found.push("dominance");
        }
    }
    // Nobody is told to be of one kind because all are: neither class nor its calls are all or nothing.
    let confusion = &row.confusion;
    let calls = [
        [confusion.true_positives, confusion.false_negatives],
        [confusion.true_negatives, confusion.false_positives],
    ];
    let cells = calls.iter().chain([&[row.patients.negative, row.patients.positive]]).flatten();
    if cells.into_iter().any(|cell| matches!(cell, Count::Shown(0..5))) {
        found.push("class disclosure");
    }
    found
}

fn of_level(all: &[Patient], column: usize, level: usize) -> Vec<&Patient> {
    all.iter().filter(|patient| patient.levels[column] == level).collect()
}

#[test]
fn no_shown_slice_fails_threshold_dominance_or_class_disclosure() {
    let all = [with_small_cells(), heart(), patients(4, 60), with_one_of_many_images(900)];
    let mut shown = 0;
    for all in all {
        let report = report(4, &all);
        for (column, levels) in report.subgroups[0].columns.iter().enumerate() {
            for (level, row) in levels.levels.iter().enumerate() {
                let slice = of_level(&all, column, level);
                assert_eq!(objections(&slice, &row.figures), [""; 0], "{column} {level}");
                shown += usize::from(row.figures.auc.value().is_some());
            }
        }
    }
    assert!(shown >= 10, "{shown}");
}

#[test]
fn a_level_of_one_patients_images_is_withheld_with_another() {
    let judged = |images: usize| -> Vec<bool> {
        let report = report(4, &with_one_of_many_images(images));
        let levels = report.subgroups[0].columns[1].levels.clone();
        let withheld = Estimate::Withheld { reason: Reason::SmallSlice };
        assert!(levels.iter().all(|row| {
            row.figures.auc.value().is_some() || row.figures.auc == withheld || row.level == "unknown"
        }));
        levels.iter().map(|row| row.figures.auc.value().is_some()).collect()
    };
    // One image, and as many as all the others' there have.
    let all = with_one_of_many_images(1);
    let others = of_level(&all, 1, 2).into_iter().filter(|p| p.positive && p.site < 3);
    let others: usize = others.map(|patient| patient.scores.len()).sum();
    assert_eq!(judged(1), [true, true, true, false]);
    assert_eq!(judged(others), [true, true, true, false]);
    // One more is more than half. A checker who is shown the level would object.
    let shown = judged(others + 1);
    assert!(!shown[2] && shown.iter().filter(|shown| **shown).count() == 1, "{shown:?}");
    let all = with_one_of_many_images(others + 1);
    let row = &report(4, &patients(4, 160)).subgroups[0].columns[1].levels[2].figures;
    assert_eq!(objections(&of_level(&all, 1, 2), row), ["dominance"]);
}
