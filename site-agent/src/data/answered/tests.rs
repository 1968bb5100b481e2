use std::collections::BTreeSet;

use wardround_core::study::Study;

use super::super::cohort::{CohortRow, RowInput};
use super::super::features::Features;
use super::*;

const STUDY: &str = r#"
format = 1
name = "Small"
seed = 1
[target]
column = "ill"
positive = ["yes"]
negative = ["no"]
[patient]
key = "key"
[subgroups.sex]
column = "gender"
values = ["f", "m"]
[table]
numeric = ["a"]
missing = "drop"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 2
"#;

fn id(name: &str) -> StudyId {
    StudyId::parse(name).expect("a name is an id")
}

fn cohort(patients: u64) -> Cohort {
    let row = |at: u64| CohortRow {
        line: at + 2,
        patient: format!("patient {at}"),
        exam: String::new(),
        classes: ClassSet::only(u8::from(at.is_multiple_of(3))),
        second: ClassSet::default(),
        weight: 1.0,
        levels: vec![u8::from(at.is_multiple_of(2))],
        input: RowInput::Table(vec![at as f64]),
    };
    Cohort {
        issuer: "here".to_owned(),
        rows: (0..patients).map(row).collect(),
        set_aside: vec![],
        incomplete: vec![],
        warnings: vec![],
        filtered_out: 0,
    }
}

fn frozen(name: &str, patients: u64) -> Lock {
    let cohort = cohort(patients);
    let features = Features::of_table(&cohort).expect("a table's rows have features");
    Lock::freeze(id(name), Digest::of(b"file"), &cohort, &[features]).expect("it is whole")
}

#[test]
fn a_cohort_is_remembered_once_without_a_name_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("answered");
    let study = Study::parse(STUDY).unwrap();
    let minimum = MinimumPatients::new(5);
    let answered = Answered::open(home.clone()).unwrap();
    let first = answered.of_lock(&id("s1"), &study, &frozen("s1", 40));
    answered.compare(&first, minimum).unwrap();
    assert!(!answered.knows(&first).unwrap());
    assert_eq!(answered.remember(&first).unwrap(), Known::Now);
    // After a restart, under another study's name, from whole rows or a cohort that isn't frozen.
    let answered = Answered::open(home.clone()).unwrap();
    let again = answered.of_lock(&id("s2"), &study, &frozen("s2", 40));
    assert_eq!(answered.remember(&again).unwrap(), Known::Before);
    answered.compare(&answered.of_cohort(&id("s3"), &study, &cohort(40)), minimum).unwrap();
    for more in [
        answered.of_cohort(&id("s4"), &study, &cohort(41)),
        answered.of_lock(&id("s4"), &study, &frozen("s4", 41)),
    ] {
        let error = answered.compare(&more, minimum).unwrap_err();
        let AnsweredError::TooNear(near) = error else { panic!("{error}") };
        assert_eq!((near.earlier, near.patients), (id("s1"), 1));
    }
    let names: BTreeSet<String> = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["000001-s1", "key"]);
    let text = fs::read_to_string(home.join("000001-s1")).unwrap();
    assert_eq!(text.lines().count(), 41);
    assert!(
        text.starts_with("{\"wardround_answered\":1,\"study\":\"s1\",\"columns\":[\"gender\"]")
    );
    assert!(!text.contains("patient") && !text.contains("here"), "{text}");
    #[cfg(unix)]
    for name in ["key", "000001-s1"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(home.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn the_newest_cohorts_stay() {
    let folder = tempfile::tempdir().unwrap();
    let study = Study::parse(STUDY).unwrap();
    let answered = Answered::open(folder.path().to_owned()).unwrap();
    let of = |at: u64| answered.of_lock(&id(&format!("s{at}")), &study, &frozen("s", 10 + at));
    for at in 0..=KEPT as u64 {
        assert_eq!(answered.remember(&of(at)).unwrap(), Known::Now);
    }
    assert_eq!(answered.files().unwrap().len(), KEPT);
    assert!(!answered.knows(&of(0)).unwrap());
    assert!(answered.knows(&of(1)).unwrap() && answered.knows(&of(KEPT as u64)).unwrap());
}

#[test]
fn a_damaged_memory_is_no_memory_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let study = Study::parse(STUDY).unwrap();
    let answered = Answered::open(folder.path().to_owned()).unwrap();
    let cohort = answered.of_lock(&id("s1"), &study, &frozen("s1", 40));
    answered.remember(&cohort).unwrap();
    let minimum = MinimumPatients::new(5);
    let path = folder.path().join("000001-s1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 80]).unwrap();
    let error = answered.compare(&cohort, minimum).unwrap_err().to_string();
    assert!(error.contains("its rows have another digest"), "{error}");
    fs::write(&path, &text).unwrap();
    fs::remove_file(folder.path().join("key")).unwrap();
    let other = Answered::open(folder.path().to_owned()).unwrap();
    let error = other.compare(&cohort, minimum).unwrap_err().to_string();
    assert!(error.contains("made with another key"), "{error}");
    assert!(error.contains("put the folder back from a backup"), "{error}");
    fs::write(folder.path().join("key"), "no key").unwrap();
    assert!(Answered::open(folder.path().to_owned()).is_err());
}
