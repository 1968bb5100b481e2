//! UCI heart disease, four hospitals: the federated fit equals the fit on all rows in one place.
//! Needs `heart_disease/patients.csv` in `WARDROUND_DATA` (default `../shared/data` from the
//! workspace); without it the test says so and passes.

use std::path::PathBuf;

use crate::support::{MakeStudy, every_classifier, find, relative, study, svm, value};
use wardround_core::ids::SiteId;
use wardround_core::study::{Categorical, Input, Missing, Standardise, Study, Table};
use wardround_learn::findings::FinalScaler;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};

fn table() -> Table {
    let values = |column: &str, values: &[&str]| Categorical {
        column: column.into(),
        values: values.iter().map(ToString::to_string).collect(),
    };
    let numeric = ["age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak"];
    Table {
        numeric: numeric.iter().map(ToString::to_string).collect(),
        categorical: vec![values("cp", &["1", "2", "3", "4"]), values("restecg", &["0", "1", "2"])],
        missing: Missing::Drop,
    }
}

fn heart(classifier: MakeStudy) -> Study {
    let mut study = classifier(&[1.0], &[Standardise::All]);
    study.input = Input::Table(table());
    study
}

/// Rows with missing features.
#[derive(Clone, Copy, PartialEq)]
enum Gaps {
    /// They are left out.
    Dropped,
    /// They stay, as NaN.
    Kept,
}

/// The complete rows by hospital, or as one hospital.
fn read(study: &Study, one_site: bool) -> Option<Rows> {
    read_rows(study, one_site, Gaps::Dropped)
}

fn read_rows(study: &Study, one_site: bool, gaps: Gaps) -> Option<Rows> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = std::env::var_os("WARDROUND_DATA")
        .map_or_else(|| root.join("../shared/data"), |data| root.join(data));
    let path = data.join("heart_disease/patients.csv");
    let Ok(mut reader) = csv::Reader::from_path(&path) else {
        println!("skipped: no {}", path.display());
        return None;
    };
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let table = table();
    let mut builder = RowsBuilder::new(study.schema(table.feature_names().len() as u32));
    for record in reader.records() {
        let record = record.unwrap();
        let number = |name: &str| record[at(name)].parse::<f64>().ok();
        let mut features: Vec<Option<f64>> = table.numeric.iter().map(|c| number(c)).collect();
        for categorical in &table.categorical {
            let got = number(&categorical.column);
            for expected in &categorical.values {
                let expected: f64 = expected.parse().unwrap();
                features.push(got.map(|got| f64::from(u8::from(got == expected))));
            }
        }
        if gaps == Gaps::Dropped && features.contains(&None) {
            continue;
        }
        let features: Vec<f64> = features.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        let site = SiteId::parse(if one_site { "all" } else { &record[at("hospital")] }).unwrap();
        let class = u8::from(number("target").unwrap() > 0.0);
        let key = record[at("patient_id")].to_owned();
        let patient = Patient { issuer: site.to_string(), site, key };
        builder.add(patient, class, &[], &features).unwrap();
    }
    Some(builder.build().unwrap())
}

#[test]
fn four_hospitals_equal_one_place() {
    equals_one_place(&heart(study));
}

#[test]
fn four_hospitals_equal_one_place_for_support_vectors() {
    equals_one_place(&heart(svm));
}

#[test]
fn every_classifier_runs_on_four_hospitals_with_missing_values() {
    for (name, classifier) in every_classifier() {
        let mut study = heart(study);
        study.classifiers = vec![classifier];
        study.validation.leave_one_site_out = false;
        let Some(pooled) = read_rows(&study, false, Gaps::Kept) else { return };
        let (sites, schema) = (pooled.sites(), pooled.schema().clone());
        assert_eq!(pooled.len(), 920);
        let expected = find(&pooled, &study, &sites, &schema).unwrap();
        let federated = find(&Together(pooled.by_site()), &study, &sites, &schema).unwrap();
        assert_eq!(federated, expected, "{name}");
        let judged = &expected.targets[0].nested.judged.one_list;
        let [tp, fp, tn, fn_] = judged.confusion.map(|n| n as f64);
        let accuracy = (tp + tn) / (tp + fp + tn + fn_);
        println!("{name}: AUC {:.4}, accuracy {accuracy:.4}", value(&judged.auc));
        assert!(value(&judged.auc) > 0.82, "{name}: {:?}", judged.auc);
    }
}

fn equals_one_place(study: &Study) {
    let (Some(pooled), Some(in_one)) = (read(study, false), read(study, true)) else { return };
    let by_site: Vec<(String, usize)> = read(study, false)
        .unwrap()
        .by_site()
        .iter()
        .map(|rows| (rows.sites()[0].to_string(), rows.len()))
        .collect();
    let mut counts: Vec<usize> = by_site.iter().map(|(_, n)| *n).collect();
    counts.sort_unstable();
    assert_eq!(counts, [46, 130, 261, 303]);

    let (sites, schema) = (pooled.sites(), pooled.schema().clone());
    let expected = find(&pooled, study, &sites, &schema).unwrap();
    let mut together = pooled.by_site();
    together.reverse();
    let federated = find(&Together(together), study, &sites, &schema).unwrap();
    assert_eq!(federated, expected);

    let mut alone = study.clone();
    alone.validation.leave_one_site_out = false;
    let one_place = find(&in_one, &alone, &in_one.sites(), &schema).unwrap();
    let parts = |found: &wardround_learn::findings::Findings| {
        let model = found.targets[0].model.fitted.linear().unwrap();
        let FinalScaler::All { mean, deviation } = &model.scaler else { panic!("scaled by site") };
        let mut weights = model.weights.clone();
        weights.push(model.intercept);
        (weights, mean.clone(), deviation.clone())
    };
    let (a, b) = (parts(&federated), parts(&one_place));
    assert!(relative(&a.0, &b.0) < 1e-9);
    assert!(relative(&a.1, &b.1) < 1e-9 && relative(&a.2, &b.2) < 1e-9);
    let within = value(&federated.targets[0].nested.judged.auc_within_sites);
    println!("within sites {within:.4}, {:?}", federated.cost);
    assert!((0.75..0.95).contains(&within));
}
