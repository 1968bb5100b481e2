//! A report of exams or patients that are judged by their images.

use wardround::report::{BuildError, Context, Count, MixedUnits, Report};
use wardround_core::study::{ExamKey, JudgedUnit, UnitScore};
use wardround_learn::findings::{Findings, JudgedCell, ProfileCell, UnitCell};

use crate::made_up::{context, findings, outputs, patients};

/// Two exams of each patient, so many of which hold both classes at the first site.
fn judged(findings: &mut Findings, mixed: u64) {
    let of = |cell: &mut ProfileCell, mixed: u64| {
        let patients_by_class = cell.patients_by_class.clone();
        cell.judged = JudgedCell::Units(UnitCell {
            patients: cell.patients,
            by_class: patients_by_class.iter().map(|patients| 2 * patients).collect(),
            patients_by_class,
            count: 2 * cell.patients,
            rows: cell.all_rows,
            mixed,
            patients_of_mixed: mixed,
        });
    };
    let profile = &mut findings.profile;
    of(&mut profile.all, mixed);
    profile
        .by_site
        .iter_mut()
        .zip(0..)
        .for_each(|(cell, at)| of(cell, if at == 0 { mixed } else { 0 }));
    profile.by_subgroup.iter_mut().flatten().for_each(|cell| of(cell, 0));
    profile.by_site_and_subgroup.iter_mut().flatten().flatten().for_each(|cell| of(cell, 0));
}

fn of_exams(findings: &Findings) -> Context {
    let mut context = context(findings);
    context.study.validation.judge = JudgedUnit::Exam(UnitScore::Max);
    context.study.patient.exam = ExamKey::Column("exam_id".into());
    context
}

#[test]
fn every_output_says_that_exams_are_judged() {
    let mut findings = findings(4, &patients(4, 60));
    let plain = Report::build(&findings, &context(&findings)).unwrap();
    assert_eq!(
        (plain.study.judged.name.as_str(), &plain.cohort.mixed),
        ("image", &MixedUnits::NotJudged)
    );
    assert_eq!(plain.cohort.all.judged, plain.cohort.all.images);
    judged(&mut findings, 12);
    let report = Report::build(&findings, &of_exams(&findings)).unwrap();
    assert_eq!(report.study.judged.name, "exam");
    let all = &report.cohort.all;
    let patients = findings.profile.all.patients;
    assert_eq!((all.patients, all.judged), (Count::Shown(patients), Count::Shown(2 * patients)));
    assert_eq!(all.judged_by_class[1], Count::Shown(2 * findings.profile.all.patients_by_class[1]));
    let sentence = "Judged is the exam, in every table: its probability is the largest of its images' \
                    probabilities, it has the class that the study names first among its images', and the level \
                    of a subgroup on which its images agree, else it is unknown. Models are fitted to images.";
    assert_eq!(report.study.judged.sentence, sentence);
    let [json, html, text] = outputs(&report);
    assert!(json.contains("\"name\": \"exam\""));
    assert!(
        html.contains("Exams whose images differ in class: 12.") && html.contains("exams judged")
    );
    assert!(html.contains("exams \u{2212} / +") && !html.contains("images \u{2212} / +"));
    assert!(text.contains("Judged is the exam") && text.contains("exams -/+"), "{text}");
}

#[test]
fn few_exams_of_both_classes_are_not_counted() {
    for (mixed, shown) in [(0, false), (4, false), (5, true)] {
        let mut findings = findings(4, &patients(4, 60));
        judged(&mut findings, mixed);
        let report = Report::build(&findings, &of_exams(&findings)).unwrap();
        let MixedUnits::Units { count, patients } = report.cohort.mixed else { panic!("exams") };
        assert_eq!([count, patients].map(|count| count.number()), [shown.then_some(mixed); 2]);
    }
}

#[test]
fn counts_of_rows_alone_are_not_enough_where_exams_are_judged() {
    let findings = findings(4, &patients(4, 60));
    let error = Report::build(&findings, &of_exams(&findings)).unwrap_err();
    assert!(matches!(error, BuildError::Size { what: "counts of what is judged", .. }), "{error}");
}
