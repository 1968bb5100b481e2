//! Exams and patients judged by their rows: against pandas and scikit-learn, and the same bits for every split,
//! order and place.

use std::sync::Arc;

use proptest::prelude::*;
use serde::Deserialize;
use wardround_core::ids::SiteId;
use wardround_core::query::{
    Ask, Bins, Column, Fill, FoldPlan, FoldSet, Frame, JudgedUnit, Labelling, LinearModel, Query,
    RowSet, Scaler, Schema, ScoreList, SiteSet, UnitScore, Weighting,
};
use wardround_core::seed::Seed;
use wardround_learn::rows::{Patient, RowScore, Rows, RowsBuilder, RowsError, Together};

use crate::federation::{ask, sited, splitless};
use crate::population::{Population, query, schema};

const UNITS: [JudgedUnit; 4] = [
    JudgedUnit::Exam(UnitScore::Mean),
    JudgedUnit::Exam(UnitScore::Max),
    JudgedUnit::Patient(UnitScore::Mean),
    JudgedUnit::Patient(UnitScore::Max),
];

#[derive(Deserialize)]
struct Golden {
    rows: Vec<(String, String, String, u8, u8, f64)>,
    by_image: ByImage,
    units: Vec<OfUnit>,
}

#[derive(Deserialize)]
struct ByImage {
    auc: f64,
}

#[derive(Deserialize)]
struct OfUnit {
    unit: String,
    score: String,
    auc: f64,
    brier: f64,
    log_loss: f64,
    levels: Vec<Level>,
}

/// Counts of a subgroup level, by class where there are two.
#[derive(Deserialize)]
struct Level {
    units: [i64; 2],
    patients: [i64; 2],
    all_patients: i64,
    rows: i64,
    mixed: [i64; 2],
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/units.json")).expect("the script wrote it")
}

fn two_classes(judged: JudgedUnit) -> Schema {
    let (labelling, weighting) = (Labelling::Single, Weighting::Equal);
    Schema { features: 1, classes: 2, labelling, weighting, judged, levels: vec![3] }
}

/// Golden rows whose only feature is their logit.
fn rows(golden: &Golden, judged: JudgedUnit) -> Rows {
    let mut builder = RowsBuilder::new(two_classes(judged));
    for (site, key, exam, class, level, logit) in &golden.rows {
        let site = SiteId::parse(site).expect("sites are named s0 to s2");
        let patient = Patient { issuer: site.to_string(), site, key: key.clone() };
        builder.add(patient, *class, &[*level], &[*logit]).expect("one feature");
        builder.of_exam(exam);
    }
    builder.build().expect("rows fit the schema")
}

fn asked(rows: &Rows, ask: Ask) -> Query {
    let folds = FoldPlan { seed: Seed(1), folds: 2, repeats: 1 };
    Query { schema: rows.schema().clone(), folds, ..query(rows.sites(), ask) }
}

fn scores(split: Vec<Column>) -> Ask {
    let all = RowSet { repeat: 0, folds: FoldSet::all(2), sites: SiteSet::All };
    let (class, scaler, fill) = (1, Scaler::Folded, Fill::Complete);
    let model = LinearModel { class, scaler, weights: vec![1.0], intercept: 0.0, fill };
    Ask::Scores {
        frame: Arc::new(Frame::identity(1)),
        models: vec![model.into()],
        lists: vec![ScoreList { class, parts: vec![(all, 0)] }],
        split,
        bins: Bins { half_width: 12.0, count: 1024 },
        bits: 40,
    }
}

fn auc(list: &[RowScore]) -> f64 {
    let side = |positive| list.iter().filter(move |score| score.positive == positive);
    let mut won = 0.0;
    for positive in side(true) {
        for negative in side(false) {
            won += match positive.logit.total_cmp(&negative.logit) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    won / (side(true).count() * side(false).count()) as f64
}

#[test]
fn figures_of_units_are_those_of_pandas_and_scikit_learn() {
    let golden = golden();
    let by_image = rows(&golden, JudgedUnit::Row);
    let list = by_image.scores(&asked(&by_image, scores(vec![]))).unwrap().remove(0);
    assert!((auc(&list) - golden.by_image.auc).abs() < 1e-12);
    for (judged, of) in UNITS.into_iter().zip(&golden.units) {
        let said = serde_json::json!({ "unit": of.unit, "score": of.score });
        assert_eq!(serde_json::to_value(judged).unwrap(), said);
        let rows = rows(&golden, judged);
        let query = asked(&rows, scores(vec![]));
        let list = rows.scores(&query).unwrap().remove(0);
        assert!((auc(&list) - of.auc).abs() < 1e-12, "{said}: {} and {}", auc(&list), of.auc);
        let sum = ask(&rows, &query);
        for (name, expected) in [("brier", of.brier), ("log_loss", of.log_loss)] {
            let got = sum.values(&query, name).unwrap()[0];
            assert!((got - expected).abs() < 1e-8, "{said} {name}: {got} and {expected}");
        }
        let query = asked(&rows, Ask::Profile { split: vec![Column::Subgroup(0)] });
        let sum = ask(&rows, &query);
        let counts = |name| sum.counts(&query, name).unwrap();
        for (at, level) in of.levels.iter().enumerate() {
            let pair = |name| &counts(name)[2 * at..2 * at + 2];
            assert_eq!(pair("judged_by_class"), level.units, "{said} {at}");
            assert_eq!(pair("judged_patients_by_class"), level.patients, "{said} {at}");
            assert_eq!(pair("mixed"), level.mixed, "{said} {at}");
            let all =
                [counts("judged")[at], counts("judged_patients")[at], counts("judged_rows")[at]];
            assert_eq!(all, [level.units.iter().sum(), level.all_patients, level.rows]);
        }
    }
}

#[test]
fn the_order_of_images_changes_no_bit_of_what_is_judged() {
    let (mut golden, split) = (golden(), vec![Column::Site, Column::Subgroup(0)]);
    for judged in UNITS {
        let before = rows(&golden, judged);
        golden.rows.sort_by_key(|row| Seed(3).bits("order", &[&row.5.to_le_bytes()]));
        let after = rows(&golden, judged);
        for one in [scores(split.clone()), Ask::Profile { split: split.clone() }] {
            let query = asked(&before, one);
            assert_eq!(ask(&before, &query), ask(&after, &query), "{judged:?}");
        }
        golden.rows.reverse();
    }
}

#[test]
fn an_exam_of_one_image_is_that_image() {
    let mut golden = golden();
    for (at, row) in golden.rows.iter_mut().enumerate() {
        row.2 = format!("e{at}");
    }
    let [images, exams] = [JudgedUnit::Row, UNITS[0]].map(|judged| rows(&golden, judged));
    let [a, b] = [&images, &exams].map(|rows| {
        let query = asked(rows, scores(vec![Column::Site, Column::Subgroup(0)]));
        ask(rows, &query).blocks
    });
    assert_eq!(a, b);
}

#[test]
fn where_exams_are_judged_every_row_is_of_one() {
    let mut builder = RowsBuilder::new(two_classes(UNITS[0]));
    let site = SiteId::parse("a").unwrap();
    let patient = Patient { site, issuer: "a".into(), key: "1".into() };
    builder.add(patient, 1, &[0], &[0.5]).unwrap();
    let error = builder.build().unwrap_err();
    assert_eq!(error, RowsError::NoExam { row: 0 });
    assert_eq!(error.to_string(), "row 0 is of no exam, and exams are judged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn sites_add_up_and_no_split_changes_a_bit(seed: u64, first in 1usize..=6, second in 1usize..=6) {
        let population = Population::draw(seed, 60);
        for judged in UNITS {
            let of = |count, seed| {
                let schema = Schema { judged, ..schema() };
                population.kept(schema, count, seed, 0, Default::default())
            };
            let query = |rows: &Rows, one| {
                Query { schema: rows.schema().clone(), ..query(rows.sites(), one) }
            };
            let (all, other) = (of(first, seed), of(second, !seed));
            let together = Together(of(first, seed).by_site());
            for one in splitless().into_iter().chain(sited(all.sites().len())) {
                let query = query(&all, one);
                prop_assert_eq!(ask(&all, &query), ask(&together, &query), "{}", query.name());
            }
            for one in splitless() {
                let (here, there) = (query(&all, one.clone()), query(&other, one));
                let name = here.name();
                prop_assert_eq!(ask(&all, &here).blocks, ask(&other, &there).blocks, "{}", name);
            }
        }
    }
}
