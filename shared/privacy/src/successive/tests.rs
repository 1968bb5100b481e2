//! Cohorts of successive studies, and an attacker who subtracts the sums of one from those of the other.

use proptest::prelude::*;

use super::*;

const FIVE: MinimumPatients = MinimumPatients::new(5);

fn row(patient: u64, row: u64, classes: ClassSet, level: u8) -> RememberedRow {
    let features = Some(patient * 100 + row);
    RememberedRow { patient, row, classes, levels: vec![level], features }
}

fn cohort(name: &str, rows: Vec<RememberedRow>) -> Remembered {
    let study = StudyId::parse(name).expect("a name is an id");
    Remembered { study, columns: vec!["age".to_owned()], rows }
}

/// Patients of two classes, every third of class 1, in two levels; one row each.
fn patients(numbers: std::ops::Range<u64>) -> Vec<RememberedRow> {
    numbers.map(|p| row(p, 0, ClassSet::only(u8::from(p % 3 == 0)), u8::from(p % 2 == 0))).collect()
}

/// What the attacker sees of a cohort: patients by class, and the sum of a feature by class.
fn answers(cohort: &Remembered) -> [(i64, i64); 2] {
    [0, 1].map(|class| {
        let rows = || cohort.rows.iter().filter(|row| row.classes.has(class));
        let sum = rows().map(|row| row.features.expect("it is computed") as i64).sum();
        (rows().count() as i64, sum)
    })
}

#[test]
fn one_patient_more_is_given_away_by_subtraction_and_refused_by_the_rule() {
    let before = cohort("before", patients(0..60));
    let victim = row(900, 0, ClassSet::only(1), 0);
    let mut rows = before.rows.clone();
    rows.push(victim.clone());
    let after = cohort("after", rows);
    // Without the rule: the patient's class, and its features to the last digit.
    let [healthy, ill] = [0, 1].map(|class: usize| {
        let (then, now) = (answers(&before)[class], answers(&after)[class]);
        (now.0 - then.0, now.1 - then.1)
    });
    assert_eq!((healthy, ill), ((0, 0), (1, victim.features.unwrap() as i64)));
    // With it, whichever of the two comes first.
    for (now, earlier) in [(&after, &before), (&before, &after)] {
        let near = compare(now, earlier, FIVE).unwrap_err();
        assert_eq!((&near.earlier, near.minimum, near.patients), (&earlier.study, 5, 1));
        assert!(near.to_string().contains("; here it is 1, in the whole cohort"), "{near}");
    }
    // Of an owner whose minimum is one patient nothing is hidden.
    compare(&after, &before, MinimumPatients::new(1)).unwrap();
}

#[test]
fn what_leaves_of_a_refusal_names_study_rule_and_ways_out_but_no_number_of_patients() {
    let earlier = StudyId::parse("s7-1c26").unwrap();
    let sentence = sentence(Some(&earlier), 5);
    for part in [
        "successive: the cohort differs from that of study s7-1c26, which this site answered before,",
        "by fewer than 5 patients",
        "`filters` under [cohort]",
        "waiting until at least 5 patients more",
        "`successive = \"allowed\"` under [policy]",
    ] {
        assert!(sentence.contains(part), "'{part}' isn't in: {sentence}");
    }
    assert!(!sentence.contains("here it is"));
}

#[test]
fn the_same_cohort_and_quite_another_one_pass() {
    let before = cohort("before", patients(0..60));
    let mut again = before.clone();
    again.rows.reverse();
    compare(&again, &before, FIVE).unwrap();
    compare(&cohort("later", patients(60..120)), &before, FIVE).unwrap();
    // Five more of each class and level, in each class of each level.
    compare(&cohort("more", patients(0..90)), &before, FIVE).unwrap();
    // Small groups that share nobody are no matter of subtraction.
    compare(&cohort("few", patients(70..74)), &cohort("others", patients(80..84)), FIVE).unwrap();
}

#[test]
fn few_of_a_class_or_level_are_found_among_many_new_patients() {
    let before = cohort("before", patients(0..60));
    let with = |more: &[(u8, u8, u64)]| {
        let mut rows = before.rows.clone();
        for &(class, level, count) in more {
            let from = 1000 * u64::from(1 + class * 2 + level);
            rows.extend((from..from + count).map(|p| row(p, 0, ClassSet::only(class), level)));
        }
        compare(&cohort("after", rows), &before, FIVE).map_err(|near| near.group)
    };
    let all = [(0, 0, 5), (0, 1, 5), (1, 0, 5), (1, 1, 5)];
    assert_eq!(with(&all), Ok(()));
    assert_eq!(with(&[(0, 0, 9), (1, 0, 4)]), Err("class 1".to_owned()));
    assert_eq!(with(&[(0, 0, 9), (1, 0, 5), (0, 1, 4)]), Err("level 1 of age".to_owned()));
    let crossed = [(0, 0, 5), (0, 1, 5), (1, 0, 5), (1, 1, 4)];
    assert_eq!(with(&crossed), Err("class 1 of level 1 of age".to_owned()));
}

#[test]
fn other_labels_edges_names_rows_and_features_of_few_are_found_too() {
    let before = cohort("before", patients(0..60));
    let changed = |few: u64, change: &dyn Fn(&mut RememberedRow)| {
        let mut rows = before.rows.clone();
        rows.iter_mut()
            .filter(|row| row.patient % 6 == 0 && row.patient / 6 < few)
            .for_each(change);
        compare(&cohort("after", rows), &before, FIVE).map_err(|near| (near.patients, near.group))
    };
    // Labels: class 1 becomes class 0, or a class of its own.
    let relabel = |class: u8| move |row: &mut RememberedRow| row.classes = ClassSet::only(class);
    assert_eq!(changed(4, &relabel(0)), Err((4, "class 0".to_owned())));
    assert_eq!(changed(5, &relabel(0)), Ok(()));
    // Whom the old class holds and the new one doesn't.
    assert_eq!(changed(2, &relabel(2)), Err((2, "class 1".to_owned())));
    // The edge of a band.
    assert_eq!(changed(3, &|row| row.levels = vec![1]), Ok(()), "even patients are of level 1");
    assert_eq!(changed(3, &|row| row.levels = vec![0]), Err((3, "level 0 of age".to_owned())));
    // Another name for a class tells nothing new, and doesn't hide one patient more.
    let mut rows = before.rows.clone();
    let rename = |row: &mut RememberedRow| row.classes = ClassSet(row.classes.0 << 7);
    rows.iter_mut().for_each(rename);
    compare(&cohort("renamed", rows.clone()), &before, FIVE).unwrap();
    rows.extend((900..909).map(|p| row(p, 0, ClassSet::only(7), 0)));
    rows.extend((910..912).map(|p| row(p, 0, ClassSet::only(8), 0)));
    let near = compare(&cohort("renamed", rows), &before, FIVE).unwrap_err();
    assert_eq!((near.patients, near.group.as_str()), (2, "class 8"));
    // A row more of a patient who was there, and other features.
    let mut rows = before.rows.clone();
    rows.push(row(7, 1, ClassSet::only(0), 0));
    let near = compare(&cohort("rows", rows), &before, FIVE).unwrap_err();
    assert_eq!((near.patients, near.group.as_str()), (1, "the whole cohort"));
    let other = |row: &mut RememberedRow| row.features = Some(1);
    assert_eq!(changed(1, &other), Err((1, "the whole cohort".to_owned())));
    assert_eq!(changed(5, &other), Ok(()));
    // Features that aren't computed yet are compared later.
    assert_eq!(changed(1, &|row| row.features = None), Ok(()));
}

#[test]
fn hashes_depend_on_key_purpose_and_where_parts_end() {
    let [a, b] = [1, 2].map(|byte| MemoryKey::from_bytes([byte; 32]));
    assert_eq!(
        a.hash("p", &[b"x", b"y"]),
        MemoryKey::from_bytes(*a.bytes()).hash("p", &[b"x", b"y"])
    );
    let all = [
        a.hash("p", &[b"x", b"y"]),
        b.hash("p", &[b"x", b"y"]),
        a.hash("q", &[b"x", b"y"]),
        a.hash("p", &[b"xy", b""]),
        a.hash("p", &[b"xy"]),
        a.mark(),
        b.mark(),
    ];
    let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_ne!(MemoryKey::generate().bytes(), MemoryKey::generate().bytes());
    assert_eq!(format!("{a:?}"), "MemoryKey(..)");
}

/// The rule anew, by sets: which patients are in which group.
fn by_sets(cohort: &Remembered) -> Vec<(&'static str, std::collections::BTreeSet<u64>)> {
    let patients = |is: &dyn Fn(&RememberedRow) -> bool| {
        cohort.rows.iter().filter(|row| is(row)).map(|row| row.patient).collect()
    };
    let mut all = vec![("whole", patients(&|_| true))];
    for class in 0..3 {
        all.push(("class", patients(&|row| row.classes.has(class))));
        for level in 0..2 {
            let of_both = |row: &RememberedRow| row.classes.has(class) && row.levels[0] == level;
            all.push(("both", patients(&of_both)));
        }
    }
    for level in 0..2 {
        all.push(("level", patients(&|row| row.levels[0] == level)));
    }
    all
}

proptest! {
    #[test]
    fn what_passes_tells_by_no_subtraction_of_fewer_than_the_minimum(
        shared in prop::collection::vec((0u8..3, 0u8..2), 0..40),
        later in prop::collection::vec((0u8..3, 0u8..2), 0..12),
        changed in prop::collection::vec((0usize..40, 0u8..3), 0..8),
    ) {
        let made = |all: &mut dyn Iterator<Item = &(u8, u8)>| -> Vec<RememberedRow> {
            let one = |(at, &(class, level)): (usize, &(u8, u8))| {
                row(at as u64, 0, ClassSet::only(class), level)
            };
            all.enumerate().map(one).collect()
        };
        let before = cohort("before", made(&mut shared.iter()));
        let mut after = cohort("after", made(&mut shared.iter().chain(&later)));
        for (at, class) in changed {
            if let Some(row) = after.rows.get_mut(at) {
                row.classes = ClassSet::only(class);
            }
        }
        let (ours, theirs) = (by_sets(&after), by_sets(&before));
        let mut worst = false;
        for (kind, now) in &ours {
            let alike = || theirs.iter().filter(|(other, _)| other == kind).map(|(_, set)| set);
            if now.is_empty() || alike().any(|then| then == now) {
                continue;
            }
            worst |= alike().filter(|then| !then.is_empty()).any(|then| {
                let apart = now.symmetric_difference(then).count();
                now.len().max(then.len()) >= 5 && apart < 5
            });
        }
        prop_assert_eq!(compare(&after, &before, FIVE).is_err(), worst);
    }
}
