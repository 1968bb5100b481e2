use proptest::prelude::*;

use super::*;

const FIVE: MinimumPatients = MinimumPatients::new(5);
const HALF: f64 = 0.5;

/// Patients' rows in one class and one level.
fn of(rows: &[u64]) -> Dominance {
    let all = rows.iter().enumerate().flat_map(|(patient, &count)| {
        (0..count).map(move |_| (patient, ClassSet::only(0), vec![0]))
    });
    Dominance::of(all, FIVE)
}

fn beyond(largest: Largest) -> bool {
    largest.is_beyond(Share::new(HALF).expect("a half is a share"))
}

#[test]
fn ten_patients_dont_hide_one_who_has_nearly_all_rows() {
    // 300 of 320 images.
    let rows = [300, 3, 2, 2, 2, 2, 2, 2, 3, 2];
    let found = of(&rows);
    assert_eq!(found.cohort, Largest { of: 300, all: 320 });
    assert_eq!(found.levels, found.cohort);
    assert!(beyond(found.cohort));
    // The attacker takes the cell's images for the patient's own, and is 7 % off.
    assert!((320.0 - 300.0) / 300.0 < 0.07);
    // At a half and below the error is at least as large as what is guessed.
    assert!(!beyond(of(&[5, 1, 1, 1, 1, 1]).cohort));
    assert!(beyond(of(&[6, 1, 1, 1, 1, 1]).cohort));
    // Fewer patients are the other rules' matter.
    assert_eq!(of(&[300, 1, 1, 1]), Dominance::NONE);
    assert!(!beyond(Largest::NONE));
}

#[test]
fn the_worst_cell_counts_wherever_it_is() {
    let row = |patient: u64, class: u8, level: u8| (patient, ClassSet::only(class), vec![level]);
    let even = (0..40).map(|p| row(p, (p % 2) as u8, (p % 4 / 2) as u8));
    // One patient has ten rows more of class 1: a fifth of the cohort, a third of the class, half of its level.
    let many = (0..10).map(|_| row(1, 1, 0));
    let found = Dominance::of(even.clone().chain(many), FIVE);
    assert_eq!(found.cohort, Largest { of: 11, all: 30 });
    assert_eq!(found.levels, Largest { of: 11, all: 20 });
    let found = Dominance::of(even, FIVE);
    assert_eq!((found.cohort, found.levels.of), (Largest { of: 1, all: 20 }, 1));
}

proptest! {
    #[test]
    fn what_passes_hides_every_patient_and_has_two_effective_ones(
        rows in prop::collection::vec(1u64..30, 5..20),
    ) {
        let found = of(&rows).cohort;
        let (sum, largest) = (rows.iter().sum::<u64>(), rows.iter().copied().max().unwrap_or(0));
        prop_assert_eq!(found, Largest { of: largest, all: sum });
        prop_assert_eq!(beyond(found), 2 * largest > sum);
        if !beyond(found) {
            let squares: u64 = rows.iter().map(|m| m * m).sum();
            prop_assert!(sum * sum >= 2 * squares);
            prop_assert!(sum - largest >= largest);
        }
    }
}
