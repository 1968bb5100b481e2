//! Exams and second readers: read, frozen, refused.

use std::fs;
use std::path::Path;

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::study::Study;

use super::*;
use crate::config::Columns;

const STUDY: &str = r#"
format = 1
name = "Heart"
seed = 1
[target]
column = "target"
positive = [1]
[patient]
key = "patient_id"
exam = "exam_id"
[table]
numeric = ["age"]
missing = "drop"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 2
judge = "exam"
"#;

fn inspected(study: &str, rows: &str) -> Inspection {
    let manifest = Manifest::parse(format!("patient_id,exam_id,age,target\n{rows}").as_bytes())
        .expect("a header and rows");
    let study = Study::parse(study).expect("a study");
    let data = SiteData {
        manifest: &manifest,
        columns: &Columns::default(),
        images: Path::new("none"),
        issuer: "a",
        look: &|_| Err("no images".to_owned()),
        threads: 1,
    };
    inspect(&study, &data)
}

fn lock(cohort: &Cohort) -> Result<Lock, LockError> {
    let features = Features::of_table(cohort).expect("rows of a table");
    let id = StudyId::parse("s1").expect("an id");
    Lock::freeze(id, Digest::of(STUDY.as_bytes()), cohort, std::slice::from_ref(&features))
}

#[test]
fn an_exam_is_of_one_patient() {
    let rows = "p1,e1,30,1\np1,e1,31,0\np2,e1,32,0\np2,e2,33,0\np3,,34,1\n";
    let found = inspected(STUDY, rows);
    let kept: Vec<(u64, &str)> =
        found.rows.iter().map(|row| (row.line, row.exam.as_str())).collect();
    assert_eq!(kept, [(5, "e2")]);
    let why = |row: &SetAside| (row.line, row.reasons.iter().map(ToString::to_string).collect());
    let aside: Vec<(u64, Vec<String>)> = found.set_aside.iter().map(why).collect();
    let said = |text: &str| vec![format!("the same exam for several patients: 'e1' ({text})")];
    assert_eq!(
        aside,
        [
            (2, said("line 4")),
            (3, said("line 4")),
            (4, said("lines 2, 3")),
            (6, vec!["no exam".to_owned()]),
        ]
    );
    // Nobody looks at exams that aren't judged.
    let by_row = STUDY.replace("exam = \"exam_id\"\n", "").replace("judge = \"exam\"\n", "");
    assert_eq!(inspected(&by_row, rows).rows.len(), 5);
    let by_patient = STUDY.replace("exam = \"exam_id\"\n", "").replace("\"exam\"", "\"patient\"");
    assert_eq!(inspected(&by_patient, rows).rows.len(), 5);
    let other = inspected(&STUDY.replace("exam_id", "study_uid"), rows);
    assert!(other.obstacles[0].to_string().contains("as the exam's key"), "{:?}", other.obstacles);
}

#[test]
fn a_second_reader_is_read_and_frozen_and_no_feature() {
    let study = STUDY
        .replace("column = \"target\"", "column = \"target\"\nsecond_reader = \"age\"")
        .replace("numeric = [\"age\"]", "numeric = [\"target_2\"]");
    let study = study.replace("positive = [1]", "positive = [1]\nnegative = [0]");
    let of = |rows: &str| {
        let text = format!("patient_id,exam_id,age,target,target_2\n{rows}");
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let study = Study::parse(&study).unwrap();
        let data = SiteData {
            manifest: &manifest,
            columns: &Columns::default(),
            images: Path::new("none"),
            issuer: "a",
            look: &|_| Err("no images".to_owned()),
            threads: 1,
        };
        inspect(&study, &data)
    };
    let found = of("p1,e1,0,1,5\np1,e1,,0,6\np2,e2,7,0,7\n");
    let second: Vec<Option<u8>> = found.rows.iter().map(|row| row.second.single()).collect();
    assert_eq!(second, [Some(0), None, None]);
    let why =
        "1 rows count as read once, since the study doesn't know the second reader's label ('7')";
    assert!(found.warnings.iter().any(|warning| warning == why), "{:?}", found.warnings);
    let (good, other) = (found.cohort(0.0).unwrap(), of("p1,e1,1,1,5\np1,e1,,0,6\np2,e2,7,0,7\n"));
    let (frozen, other) = (lock(&good).unwrap(), other.cohort(0.0).unwrap());
    let features = [Features::of_table(&other).unwrap()];
    assert!(
        matches!(frozen.verify(&other, &features), Err(LockError::Broken(broken, 3)) if broken.len() == 1)
    );
    let refused = Study::parse(&study.replace("\"target_2\"", "\"age\"")).unwrap_err().to_string();
    assert!(refused.contains("is the second reader's labels"), "{refused}");
    let refused =
        Study::parse(&study.replace("second_reader = \"age\"", "second_reader = \"target\""));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("target.second_reader is the target's own column")
    );
}

#[test]
fn a_lock_freezes_exams_and_older_ones_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cohort.csv");
    let cohort = |rows: &str| inspected(STUDY, rows).cohort(0.0).unwrap();
    let (good, moved) = (cohort("p1,e1,30,1\np1,e2,31,0\n"), cohort("p1,e1,30,1\np1,e1,31,0\n"));
    let frozen = lock(&good).unwrap();
    frozen.write(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().nth(1).unwrap().ends_with(",\"e1\"]"), "{text}");
    let read = Lock::read(&path).unwrap();
    assert_eq!((&read, read.digest()), (&frozen, frozen.digest()));
    let features = Features::of_table(&moved).unwrap();
    let Err(LockError::Broken(broken, 2)) = read.verify(&moved, std::slice::from_ref(&features))
    else {
        panic!("expected a row whose exam has changed")
    };
    assert_eq!(broken, [("p1".to_owned(), Broken::OtherExam { line: 3 })]);
    assert_eq!(broken[0].1.to_string(), "its exam has changed (line 3)");

    // Where exams aren't judged a lock is what it always was: lists of six.
    let mut plain = good;
    plain.rows.iter_mut().for_each(|row| row.exam.clear());
    lock(&plain).unwrap().write(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let row: Vec<serde_json::Value> = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(row.len(), 6);
    assert_eq!(Lock::read(&path).unwrap(), lock(&plain).unwrap());
}
