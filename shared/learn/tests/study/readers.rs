//! Two readers of the same rows: kappa and its error against statsmodels, clustered by patient, over any sites.

use serde::Deserialize;
use wardround_core::class_set::ClassSet;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Labelling;
use wardround_core::seed::Seed;
use wardround_core::study::{Classes, Negative, SecondReader, Standardise, Study};
use wardround_learn::cohort::Cohort;
use wardround_learn::findings::{Figure, Findings, Interval, ReaderTables, Readers};
use wardround_learn::metrics::agreement::CrossTable;
use wardround_learn::metrics::interval::Z;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};
use wardround_learn::study::{Silent, run};

use crate::support::{study, value};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    clustered: Clustered,
}

#[derive(Deserialize)]
struct Case {
    classes: usize,
    table: Vec<u64>,
    kappa: f64,
    error: f64,
}

#[derive(Deserialize)]
struct Clustered {
    rows: Vec<(u32, u8, u8)>,
    kappa: f64,
    error: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/readers.json")).expect("the script wrote it")
}

fn asking(classes: Classes) -> Study {
    let mut study = study(&[1.0], &[Standardise::All]);
    study.validation.leave_one_site_out = false;
    study.target.classes = classes;
    study.target.second_reader = SecondReader::Column("second".into());
    study
}

/// The golden rows, each patient at a site of its own choice, with a feature that knows a little.
fn rows(study: &Study, sites: u64, classes: impl Fn(u8) -> ClassSet) -> Rows {
    let mut builder = RowsBuilder::new(study.schema(1));
    for (at, (patient, first, second)) in golden().clustered.rows.iter().enumerate() {
        let draw = |what: &str, n: u64| Seed(4).bits(what, &[&patient.to_le_bytes()]) % n;
        let site = SiteId::parse(&format!("s{}", draw("site", sites))).expect("an id");
        let key = Patient { issuer: "a".into(), site, key: patient.to_string() };
        let noise = Seed(4).uniform("x", &[&at.to_le_bytes()]);
        builder.add(key, classes(*first), &[], &[f64::from(*first) + 3.0 * noise]).expect("fits");
        builder.read_again(classes(*second));
    }
    builder.build().expect("rows fit the schema")
}

fn found(cohort: &impl Cohort, rows: &Rows, study: &Study) -> Findings {
    let id = StudyId::parse("readers").expect("an id");
    let schemas = [rows.schema().clone()];
    let sites = rows.sites();
    let run = run(cohort, study, &id, &sites, &schemas, &Silent);
    futures::executor::block_on(run).expect("the study runs")
}

fn tables(found: &Findings) -> &[ReaderTables] {
    let Readers::Asked { tables } = &found.readers else { panic!("asked for") };
    tables
}

fn half_width(kappa: &Figure) -> f64 {
    let Figure::Known { interval: Interval::Between { low, high }, .. } = kappa else {
        panic!("{kappa:?}")
    };
    (high - low) / 2.0
}

fn one_of(labels: &[&str]) -> Classes {
    Classes::OneVsRest { labels: labels.iter().map(|&label| label.to_owned()).collect() }
}

#[test]
fn kappa_and_its_error_are_those_of_statsmodels() {
    for Case { classes, table, kappa, error } in golden().cases {
        let cross = CrossTable::new(classes, &table);
        assert!((cross.kappa().unwrap() - kappa).abs() < 1e-12);
        // Every row a patient of its own.
        let moves = cross.influences().unwrap();
        let squares: f64 = moves.iter().zip(&table).map(|(m, &count)| m * m * count as f64).sum();
        let [low, high] = cross.interval(squares).unwrap();
        assert!((kappa - low - Z * error).abs() < 1e-12, "{classes}: {low} {high} {error}");
        assert!((high - (kappa + Z * error).min(1.0)).abs() < 1e-12);
    }
    let none = CrossTable::new(2, &[0; 4]);
    assert_eq!(none.kappa().unwrap_err().to_string(), "no rows");
    let same = CrossTable::new(2, &[9, 0, 0, 0]);
    let why = "both readers gave every row the same class";
    assert_eq!(same.kappa().unwrap_err().to_string(), why);
    assert_eq!(same.agreement(), Ok(1.0));
}

#[test]
fn a_federation_tells_kappa_clustered_by_patient_as_one_place_does() {
    let (study, golden) = (asking(one_of(&["a", "b", "c"])), golden().clustered);
    let all = rows(&study, 3, ClassSet::only);
    let one = found(&all, &all, &study);
    let [of] = tables(&one) else { panic!("one table") };
    assert!((value(&of.all.kappa) - golden.kappa).abs() < 1e-12);
    let width = half_width(&of.all.kappa);
    assert!((width - Z * golden.error).abs() < 1e-6, "{width} and {}", Z * golden.error);
    assert_eq!(of.all.rows.iter().sum::<u64>(), golden.rows.len() as u64);
    for at in 0..9 {
        let sites: u64 = of.by_site.iter().map(|site| site.rows[at]).sum();
        assert_eq!(sites, of.all.rows[at]);
    }
    let there = found(&Together(rows(&study, 3, ClassSet::only).by_site()), &all, &study);
    assert_eq!(one, there);
    // No model knows the second reader.
    let mut alone = study.clone();
    alone.target.second_reader = SecondReader::None;
    let without = found(&all, &all, &alone);
    assert_eq!(without.readers, Readers::NotAsked);
    assert_eq!((&without.targets, &without.profile), (&one.targets, &one.profile));
}

#[test]
fn labels_that_may_stand_together_have_a_table_each() {
    let classes = Classes::AnyOf {
        labels: vec!["a".into(), "b".into()],
        separator: "|".into(),
        negative: Negative::Rest,
    };
    let study = asking(classes);
    assert_eq!(study.schema(1).labelling, Labelling::Multi);
    let of = |class: u8| match class {
        0 => [0, 1].into_iter().collect(),
        1 => ClassSet::only(1),
        _ => ClassSet::only(2),
    };
    let rows = rows(&study, 2, of);
    let found = found(&rows, &rows, &study);
    let [a, b] = tables(&found) else { panic!("a table per label") };
    assert_eq!(a.classes, ["not a", "a"]);
    for (label, table) in [(0, a), (1, b)] {
        let has = |class: u8| usize::from(of(class).has(label));
        let mut counts = vec![0; 4];
        let golden = golden().clustered.rows;
        golden.iter().for_each(|(_, first, second)| counts[2 * has(*first) + has(*second)] += 1);
        assert_eq!(table.all.rows, counts);
    }
}
