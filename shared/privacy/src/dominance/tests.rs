use proptest::prelude::*;

use super::*;

const FIVE: MinimumPatients = MinimumPatients::new(5);

fn half() -> Share {
    Share::new(0.5).expect("a half is a share")
}

/// Patients' rows in one class.
fn of(rows: &[u64]) -> Largest {
    let all = rows
        .iter()
        .enumerate()
        .flat_map(|(patient, &count)| (0..count).map(move |_| (patient, ClassSet::only(0))));
    Largest::of_cohort(all, FIVE)
}

#[test]
fn ten_patients_dont_hide_one_who_has_nearly_all_rows() {
    // 300 of 320 images.
    let found = of(&[300, 3, 2, 2, 2, 2, 2, 2, 3, 2]);
    assert_eq!(found, Largest { of: 300, all: 320 });
    assert!(found.is_beyond(half()));
    // An attacker who takes the cell's images for the patient's own is 7 % off.
    assert!((found.all - found.of) as f64 / (found.of as f64) < 0.07);
    // At a half and below the error is at least as large as what is guessed.
    assert!(!of(&[5, 1, 1, 1, 1, 1]).is_beyond(half()));
    assert!(of(&[6, 1, 1, 1, 1, 1]).is_beyond(half()));
    // Fewer patients are the other rules' matter.
    assert_eq!(of(&[300, 1, 1, 1]), Largest::NONE);
    assert!(!Largest::NONE.is_beyond(half()));
}

#[test]
fn the_worst_class_counts_and_levels_are_named() {
    let row = |patient: u64, class: u8, level: u8| (patient, ClassSet::only(class), vec![1, level]);
    let even = || (0..40).map(|p| row(p, (p % 2) as u8, (p % 4 / 2) as u8));
    let cohort = |more: u64| {
        let many = (0..more).map(|_| row(1, 1, 0));
        Largest::of_cohort(even().chain(many).map(|(p, classes, _)| (p, classes)), FIVE)
    };
    assert_eq!(cohort(0), Largest { of: 1, all: 20 });
    // One patient has ten rows more of class 1: a fifth of the cohort, a third of the class.
    assert_eq!(cohort(10), Largest { of: 11, all: 30 });
    let levels = |more: u64, of_class: u8| {
        dominated_levels(even().chain((0..more).map(|_| row(1, of_class, 0))), FIVE, half())
    };
    // Of the second column's level 0, ten patients of each class. Class 1 in it is dominated with ten rows of nineteen.
    let cell = |rows| LevelCell { column: 1, level: 0, rows };
    assert_eq!(levels(8, 1), []);
    assert_eq!(levels(9, 1), [cell(RowsOfLevel::Class(1))]);
    // Twenty of thirty-nine are most of the level, and of class 1 in the first column's only one.
    let first = LevelCell { column: 0, level: 1, rows: RowsOfLevel::Class(1) };
    assert_eq!(levels(19, 1), [first, cell(RowsOfLevel::All), cell(RowsOfLevel::Class(1))]);
}

proptest! {
    #[test]
    fn what_passes_hides_every_patient_and_has_two_effective_ones(
        rows in prop::collection::vec(1u64..30, 5..20),
    ) {
        let found = of(&rows);
        let (sum, largest) = (rows.iter().sum::<u64>(), rows.iter().copied().max().unwrap_or(0));
        prop_assert_eq!(found, Largest { of: largest, all: sum });
        prop_assert_eq!(found.is_beyond(half()), 2 * largest > sum);
        if !found.is_beyond(half()) {
            let squares: u64 = rows.iter().map(|m| m * m).sum();
            prop_assert!(sum * sum >= 2 * squares);
            prop_assert!(sum - largest >= largest);
        }
    }
}
