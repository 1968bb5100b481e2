use proptest::prelude::*;

use super::super::*;

/// A header from `name: value value ...` lines, the most frequent value first.
fn header(lines: &str) -> Header {
    let columns = lines.trim().lines().map(|line| {
        let (name, values) = line.trim().split_once(':').unwrap();
        let values = values.split_whitespace().enumerate();
        HeaderColumn {
            name: name.to_owned(),
            values: values.map(|(at, v)| (v.replace('~', " "), 1000 - at)).collect(),
        }
    });
    Header { columns: columns.collect() }
}

#[track_caller]
fn study(header: &Header) -> Study {
    let text = template(header);
    Study::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"))
}

fn binary(positive: &[&str], negative: &[&str]) -> Classes {
    let texts = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect();
    Classes::Binary { positive: texts(positive), negative: Negative::Labels(texts(negative)) }
}

#[test]
fn skin_lesions_are_recognised() {
    let study = study(&header(
        "path:\ndiagnosis: nv bkl mel bcc akiec vasc df\nlesion_id:\n\
         site: vidir_molemax vidir_modern rosendahl vienna_dias\n\
         age: 45.0 50.0 55.0 40.0\nsex: male female unknown\nlocalization: back trunk\n\
         confirmed_by: histo follow_up consensus",
    ));
    assert_eq!(study.target.column, "diagnosis");
    let negative = ["nv", "bkl", "bcc", "akiec", "vasc", "df"];
    assert_eq!(study.target.classes, binary(&["mel"], &negative));
    assert_eq!(
        study.patient,
        PatientRule { key: "lesion_id".into(), unit: "lesion".into(), exam: ExamKey::None }
    );
    let names: Vec<&str> = study.subgroups.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["sex", "age"]);
    assert_eq!(study.subgroups[0].level_names(), ["female", "male", "unknown"]);
    assert!(matches!(&study.input, Input::Images { column, .. } if column == "path"));
}

#[test]
fn chest_radiographs_are_recognised() {
    let study =
        study(&header("path:\nlabel: 0 1\nfindings:\npatient_id:\nage:\nsex: M F\nview: PA AP"));
    assert_eq!(study.target.classes, binary(&["1"], &["0"]));
    assert_eq!(study.patient.key, "patient_id");
    assert_eq!(study.subgroups[0].level_names(), ["F", "M", "unknown"]);
}

#[test]
fn images_without_a_patient_column_say_so() {
    for labels in ["1 0", ""] {
        let header = header(&format!("path:\nlabel: {labels}\nsplit: train test val"));
        let study = study(&header);
        assert_eq!(study.target.column, "label");
        assert_eq!((study.patient.key.as_str(), study.patient.unit.as_str()), ("path", "row"));
        assert!(template(&header).contains("no column looks like a patient key"));
    }
}

#[test]
fn a_table_of_numbers_is_recognised() {
    let study = study(&header(
        "hospital: cleveland hungarian switzerland va\npatient_id:\nage:\nsex: 1.0 0.0\n\
         cp: 4.0 3.0 2.0 1.0\ntrestbps:\nchol:\nfbs: 0.0 1.0\nrestecg: 0.0 2.0 1.0\nthalach:\n\
         exang: 0.0 1.0\noldpeak:\nslope: 2.0 1.0 3.0\nca: 0.0 1.0 2.0 3.0\nthal: 3.0 7.0 6.0\n\
         target: 0 1 2 3 4",
    ));
    assert_eq!(study.target.classes, binary(&["1", "2", "3", "4"], &["0"]));
    let Input::Table(table) = &study.input else { panic!("{:?}", study.input) };
    let numeric = ["age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak"];
    assert_eq!(table.numeric, numeric);
    let categorical: Vec<&str> = table.categorical.iter().map(|c| c.column.as_str()).collect();
    assert_eq!(categorical, ["cp", "restecg", "slope", "ca", "thal"]);
    assert_eq!(table.categorical[0].values, ["1.0", "2.0", "3.0", "4.0"]);
    assert_eq!(table.missing, Missing::Drop);
}

#[test]
fn a_bare_header_is_enough() {
    let names = ["image", "dx", "patient", "gender", "age"];
    let columns = names.map(|name| HeaderColumn { name: name.into(), values: vec![] }).to_vec();
    let study = study(&Header { columns });
    assert_eq!((study.target.column.as_str(), study.patient.key.as_str()), ("dx", "patient"));
    assert_eq!(study.subgroups[0].column, "gender");
    self::study(&Header { columns: vec![] });
}

proptest! {
    #[test]
    fn whatever_the_columns_the_file_parses(
        columns in prop::collection::vec(
            (
                "[a-z_]{1,3}id|path|image|label|target|sex|age|site|\\PC{0,6}",
                prop::collection::vec(("[0-9.]{0,3}|[a-zA-Z]{0,4}|\\PC{0,5}", 0usize..9), 0..8),
            ),
            0..7,
        ),
    ) {
        let columns = columns.into_iter().map(|(name, values)| HeaderColumn { name, values });
        let text = template(&Header { columns: columns.collect() });
        if let Err(mistakes) = Study::parse(&text) {
            prop_assert!(false, "{mistakes}\n{text}");
        }
    }
}
