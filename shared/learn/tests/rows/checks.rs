//! What rows refuse, and corners of scalers and repeats.

use wardround_core::class_set::ClassSet;
use wardround_core::query::{
    Ask, Bins, Derivatives, Fill, FoldSet, JudgedUnit, Labelling, LinearModel, LinearTerm, RowSet,
    Scaler, Schema, ScoreList, SiteSet, Weighting,
};
use wardround_learn::rows::{Patient, Row, Rows, RowsBuilder, RowsError};

use crate::population::{FEATURES, Population, frame, query, sites};

fn patient(key: &str) -> Patient {
    Patient { site: sites(&["a"]).remove(0), issuer: "a".into(), key: key.into() }
}

fn schema() -> Schema {
    Schema {
        features: 2,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![3],
    }
}

fn row(patient: u32) -> Row {
    Row {
        patient,
        classes: ClassSet::only(1),
        weight: 1.0,
        levels: vec![2],
        exam: String::new(),
        second: ClassSet::default(),
    }
}

#[test]
fn every_mistake_has_its_name() {
    let make = |patients: &[&str], rows: Vec<Row>, features: &[f64]| {
        let patients = patients.iter().map(|key| patient(key)).collect();
        Rows::new(schema(), patients, rows, features).map(|rows| rows.len())
    };
    assert_eq!(make(&["1", "2"], vec![row(1), row(0)], &[0.0, f64::NAN, 2.0, 3.0]), Ok(2));
    assert_eq!(make(&[], vec![], &[]), Err(RowsError::Empty { rows: 0, features: 2 }));
    let unknown = make(&["1"], vec![row(1)], &[0.0; 2]);
    assert_eq!(unknown, Err(RowsError::NoSuchPatient { row: 0, patient: 1, patients: 1 }));
    let twice = make(&["1", "1"], vec![row(0), row(1)], &[0.0; 4]);
    assert!(matches!(&twice, Err(RowsError::Twice { key, .. }) if key == "1"), "{twice:?}");
    let without = make(&["1", "2"], vec![row(0)], &[0.0; 2]);
    assert_eq!(without, Err(RowsError::NoRows { patient: 1 }));
    let class = make(&["1"], vec![row(0), Row { classes: ClassSet::only(2), ..row(0) }], &[0.0; 4]);
    assert_eq!(class, Err(RowsError::Class { row: 1, class: 2, classes: 2 }));
    for levels in [vec![], vec![3], vec![0, 0]] {
        let wrong = make(&["1"], vec![Row { levels: levels.clone(), ..row(0) }], &[0.0; 2]);
        assert_eq!(wrong, Err(RowsError::Levels { row: 0, expected: vec![3], got: levels }));
    }
    let short = make(&["1"], vec![row(0)], &[0.0]);
    assert_eq!(short, Err(RowsError::Features { expected: 2, got: 1 }));
    let infinite = make(&["1"], vec![row(0), row(0)], &[0.0, 1.0, 2.0, f64::INFINITY]);
    assert_eq!(infinite, Err(RowsError::Infinite { row: 1, feature: 1 }));
    let short = RowsBuilder::new(schema()).add(patient("1"), 0, &[0], &[1.0]);
    assert_eq!(short, Err(RowsError::Features { expected: 2, got: 1 }));
}

#[test]
fn rows_keep_their_own_order_and_know_their_source() {
    let mut builder = RowsBuilder::new(schema());
    for (key, x) in [("2", 0.0), ("1", 1.0), ("2", 2.0), ("10", 3.0)] {
        builder.add(patient(key), 0, &[1], &[x, f64::NAN]).unwrap();
    }
    let rows = builder.build().unwrap();
    let seen: Vec<_> =
        rows.rows().map(|view| (view.key, view.source, view.features().unwrap()[0])).collect();
    assert_eq!(seen, [("1", 1, 1.0), ("10", 3, 3.0), ("2", 0, 0.0), ("2", 2, 2.0)]);
    assert_eq!(rows.patients().map(|p| p.key).collect::<Vec<_>>(), ["1", "10", "2"]);
    assert_eq!(rows.missing_share(), 0.5);
}

fn model(scaler: Scaler) -> LinearModel {
    let weights = (0..FEATURES).map(|k| 0.3 - 0.1 * k as f64).collect();
    LinearModel { class: 1, scaler, weights, intercept: -0.25, fill: Fill::Complete }
}

/// A population without missing features.
fn complete(seed: u64) -> Rows {
    let mut builder = RowsBuilder::new(crate::population::schema());
    for view in Population::draw(seed, 40).rows(2, seed).rows() {
        let Patient { site, issuer, key } =
            Patient { site: view.site.clone(), issuer: view.issuer.into(), key: view.key.into() };
        let features: Vec<f64> =
            view.features().unwrap().iter().map(|x| if x.is_nan() { 0.5 } else { *x }).collect();
        builder.add(Patient { site, issuer, key }, view.classes, &view.levels, &features).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn an_own_site_scaler_belongs_to_the_repeat_of_its_rows() {
    let rows = complete(11);
    let train = FoldSet::all(4).without(0);
    let set = |repeat| RowSet { repeat, folds: FoldSet::only(0), sites: SiteSet::All };
    let list = |parts: Vec<(RowSet, u32)>| ScoreList { class: 1, parts };
    let ask = Ask::Scores {
        frame: frame(),
        models: vec![model(Scaler::OwnSite(train)).into()],
        lists: vec![
            list(vec![(set(0), 0), (set(1), 0)]),
            list(vec![(set(0), 0)]),
            list(vec![(set(1), 0)]),
        ],
        split: vec![],
        bins: Bins { half_width: 8.0, count: 512 },
        bits: 40,
    };
    let asked = query(rows.sites(), ask);
    let [both, first, second] = rows.scores(&asked).unwrap().try_into().unwrap();
    let sorted = |mut list: Vec<_>| {
        list.sort_by_key(|score: &wardround_learn::rows::RowScore| {
            (score.row, score.logit.to_bits())
        });
        list
    };
    assert_eq!(sorted(both), sorted([&first[..], &second[..]].concat()));

    // By hand, in two repeats: mean and deviation of the site's own training rows.
    let views: Vec<_> = rows.rows().collect();
    for (repeat, list) in [(0, &first), (1, &second)] {
        let folds = rows.fold_column(&asked.folds, repeat);
        for score in list {
            let here = |at: &usize| views[*at].site == views[score.row].site;
            let training: Vec<usize> =
                (0..views.len()).filter(here).filter(|&at| folds[at] != 0).collect();
            let n = training.len() as f64;
            let mut logit = -0.25;
            for k in 0..FEATURES {
                let column = || training.iter().map(|&at| views[at].features().unwrap()[k]);
                let mean = column().sum::<f64>() / n;
                let deviation = (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
                let weight = 0.3 - 0.1 * k as f64;
                logit += weight * (views[score.row].features().unwrap()[k] - mean) / deviation;
            }
            assert!((logit - score.logit).abs() < 1e-12, "{logit} {score:?}");
        }
    }
}

#[test]
fn a_site_without_rows_to_scale_by_counts_features_as_zero() {
    let rows = complete(12);
    let all = RowSet { repeat: 0, folds: FoldSet::all(4), sites: SiteSet::All };
    let term = LinearTerm::new(all, model(Scaler::OwnSite(FoldSet(0))));
    let derivatives = Derivatives::Hessian;
    let ask = Ask::Logistic { frame: frame(), terms: vec![term], derivatives, bits: 40 };
    let asked = query(rows.sites(), ask);
    let sum = rows.answer(&asked).unwrap();
    let positives = rows.rows().filter(|view| view.classes.has(1)).count() as f64;
    let n = rows.len() as f64;
    let p = 1.0 / (1.0 + 0.25f64.exp());
    let gradient = sum.values(&asked, "gradient").unwrap();
    assert!(gradient[..FEATURES].iter().all(|&g| g == 0.0), "{gradient:?}");
    assert!((gradient[FEATURES] - (n * p - positives)).abs() < 1e-9);
    let hessian = sum.values(&asked, "hessian").unwrap();
    let (last, others) = hessian.split_last().unwrap();
    assert!(others.iter().all(|&h| h == 0.0));
    assert!((last - n * p * (1.0 - p)).abs() < 1e-9);
}

#[test]
fn a_row_in_no_training_fold_leaves_the_gradient_alone() {
    // One-hot rows: each feature belongs to one row, so its gradient shows who counted.
    let n = 12;
    let mut builder = RowsBuilder::new(Schema {
        features: n,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![],
    });
    for at in 0..n {
        let features: Vec<f64> = (0..n).map(|k| f64::from(u8::from(k == at))).collect();
        builder.add(patient(&format!("{at:02}")), (at % 2) as u8, &[], &features).unwrap();
    }
    let rows = builder.build().unwrap();
    let train = RowSet { repeat: 1, folds: FoldSet::all(4).without(3), sites: SiteSet::All };
    let model = LinearModel {
        class: 1,
        scaler: Scaler::Folded,
        weights: vec![0.0; n as usize],
        intercept: 0.0,
        fill: Fill::Complete,
    };
    let frame = std::sync::Arc::new(wardround_core::query::Frame::identity(n as usize));
    let terms = vec![LinearTerm::new(train, model)];
    let derivatives = Derivatives::Gradient;
    let mut asked = query(rows.sites(), Ask::Logistic { frame, terms, derivatives, bits: 30 });
    asked.schema = rows.schema().clone();
    let gradient = rows.answer(&asked).unwrap().values(&asked, "gradient").unwrap();
    for (at, fold) in rows.fold_column(&asked.folds, 1).into_iter().enumerate() {
        let counted = if at % 2 == 1 { -0.5 } else { 0.5 };
        assert_eq!(gradient[at], if fold == 3 { 0.0 } else { counted }, "row {at} in fold {fold}");
    }
}
