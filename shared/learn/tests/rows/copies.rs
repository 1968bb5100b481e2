//! Altered copies count in fits, each with its share of its row, and nowhere else.

use std::sync::Arc;

use wardround_core::query::{
    Ask, Bins, Column, Derivatives, Fill, FoldSet, LinearModel, LinearTerm, Query, RowSet, Scaler,
    ScoreList, SiteSet, SoftmaxModel, SoftmaxTerm,
};
use wardround_core::seed::Seed;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, RowsError};

use crate::population::{FEATURES, Population, frame, query, schema};

const COPIES: usize = 2;

/// The features of a row's copy: its own, moved by up to `by`.
fn copy(features: &[f64], row: usize, copy: usize, by: f64) -> Vec<f32> {
    let moved = |(k, x): (usize, &f64)| {
        let parts = [row, copy, k].map(|part| part.to_le_bytes());
        let u = Seed(3).uniform("copy", &[&parts[0], &parts[1], &parts[2]]);
        (x + by * (2.0 * u - 1.0)) as f32
    };
    features.iter().enumerate().map(moved).collect()
}

/// The same population without copies, with copies, and with the copies as rows of their own.
fn three(by: f64) -> [Rows; 3] {
    let drawn = Population::draw(21, 60).rows(2, 5);
    let mut plain = RowsBuilder::new(schema());
    let mut with = RowsBuilder::with_copies(schema(), COPIES);
    let mut more = RowsBuilder::new(schema());
    for (at, view) in drawn.rows().enumerate() {
        let (site, issuer, key) = (view.site.clone(), view.issuer.to_owned(), view.key.to_owned());
        let patient = Patient { site, issuer, key };
        let complete = |x: &f64| if x.is_nan() { 0.5 } else { f64::from(*x as f32) };
        let features: Vec<f64> = view.features().unwrap().iter().map(complete).collect();
        let copies: Vec<Vec<f32>> = (0..COPIES).map(|c| copy(&features, at, c, by)).collect();
        let (class, levels) = (view.classes, &view.levels);
        plain.add(patient.clone(), class, levels, &features).unwrap();
        with.add(patient.clone(), class, levels, &features).unwrap();
        with.add_copies(&copies.concat()).unwrap();
        more.add(patient.clone(), class, levels, &features).unwrap();
        for copy in copies {
            let copy: Vec<f64> = copy.into_iter().map(f64::from).collect();
            more.add(patient.clone(), class, levels, &copy).unwrap();
        }
    }
    [plain, with, more].map(|builder| builder.build().unwrap())
}

fn model(scaler: Scaler) -> LinearModel {
    let weights = (0..FEATURES).map(|k| 0.3 - 0.1 * k as f64).collect();
    LinearModel { class: 1, scaler, weights, intercept: -0.25, fill: Fill::Complete }
}

fn fit(rows: &Rows, scaler: Scaler) -> Query {
    let term = |repeat, folds| {
        LinearTerm::new(RowSet { repeat, folds, sites: SiteSet::All }, model(scaler.clone()))
    };
    let all = FoldSet::all(4);
    let terms = vec![term(0, all), term(0, all.without(2)), term(1, all.without(0))];
    let derivatives = Derivatives::Hessian;
    query(rows.sites(), Ask::Logistic { frame: frame(), terms, derivatives, bits: 40 })
}

/// The same of a model of all classes.
fn fit_all_classes(rows: &Rows, scaler: Scaler) -> Query {
    let LinearModel { weights, intercept, fill, .. } = model(scaler.clone());
    let coefficients = (0..3).flat_map(|class| {
        let each = weights.iter().chain([&intercept]);
        each.map(move |weight| weight * (1.0 - 0.7 * f64::from(class)))
    });
    let coefficients = coefficients.collect();
    let model = Arc::new(SoftmaxModel { scaler, fill, coefficients });
    let term = |repeat, folds| SoftmaxTerm {
        rows: RowSet { repeat, folds, sites: SiteSet::All },
        class_weights: vec![0.5, 1.0, 2.0],
        model: model.clone(),
    };
    let all = FoldSet::all(4);
    let terms = vec![term(0, all), term(1, all.without(0))];
    let derivatives = Derivatives::Hessian;
    query(rows.sites(), Ask::Softmax { frame: frame(), terms, derivatives, bits: 40 })
}

#[test]
fn a_row_and_its_copies_have_equal_shares_of_its_weight() {
    let [_, with, more] = three(1.5);
    for asked in [fit(&with, Scaler::Folded), fit_all_classes(&with, Scaler::Folded)] {
        let [shared, whole] = [&with, &more].map(|rows| rows.answer(&asked).unwrap());
        for block in ["loss", "gradient", "hessian"] {
            let [shared, whole] = [&shared, &whole].map(|sum| sum.values(&asked, block).unwrap());
            assert_eq!(shared.len(), whole.len());
            for (share, whole) in shared.iter().zip(&whole) {
                let expected = whole / (1 + COPIES) as f64;
                assert!((share - expected).abs() < 1e-9, "{block}: {share} for {expected}");
            }
        }
    }
}

#[test]
fn copies_like_their_row_change_nothing() {
    let [plain, with, _] = three(0.0);
    let scalers = [Scaler::Folded, Scaler::OwnSite(FoldSet::all(4).without(1))];
    for asked in
        scalers.iter().flat_map(|s| [fit(&with, s.clone()), fit_all_classes(&with, s.clone())])
    {
        let [without, with] = [&plain, &with].map(|rows| rows.answer(&asked).unwrap());
        for block in ["loss", "gradient", "hessian"] {
            let [a, b] = [&without, &with].map(|sum| sum.values(&asked, block).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9), "{block}");
        }
    }
}

#[test]
fn nothing_else_sees_a_copy() {
    let [plain, with, _] = three(100.0);
    let set = RowSet { repeat: 0, folds: FoldSet::only(1), sites: SiteSet::All };
    let train = FoldSet::all(4).without(1);
    let split = vec![Column::Site, Column::Subgroup(0)];
    let asks = [
        Ask::Profile { split: split.clone() },
        Ask::Moments { frame: frame(), split: split.clone(), bits: 40 },
        Ask::Gram { frame: frame(), rows: set, scaler: Scaler::OwnSite(train), bits: 30 },
        Ask::Scores {
            frame: frame(),
            models: vec![model(Scaler::OwnSite(train)).into()],
            lists: vec![ScoreList { class: 1, parts: vec![(set, 0)] }],
            split,
            bins: Bins { half_width: 8.0, count: 512 },
            bits: 40,
        },
    ];
    for ask in asks {
        let asked = query(plain.sites(), ask);
        assert_eq!(plain.answer(&asked).unwrap(), with.answer(&asked).unwrap(), "{}", asked.name());
    }
    assert_eq!((plain.len(), plain.patients().count()), (with.len(), with.patients().count()));
    let asked = fit(&plain, Scaler::Folded);
    assert_ne!(plain.answer(&asked).unwrap(), with.answer(&asked).unwrap());
}

#[test]
fn copies_that_are_missing_or_broken_are_refused() {
    let patient = |key: &str| Patient {
        site: crate::population::sites(&["a"]).remove(0),
        issuer: "a".into(),
        key: key.into(),
    };
    let mut builder = RowsBuilder::with_copies(schema(), COPIES);
    builder.add(patient("1"), 0, &[0, 0], &[0.0; FEATURES]).unwrap();
    let expected = COPIES * FEATURES;
    let got = expected - 1;
    assert_eq!(
        builder.add_copies(&vec![0.0; got]),
        Err(RowsError::Copies { row: 0, expected, got })
    );
    let mut broken = vec![0.0; expected];
    broken[3] = f32::NAN;
    assert_eq!(builder.add_copies(&broken), Err(RowsError::CopyNotFinite { row: 0 }));
    builder.add_copies(&vec![0.0; expected]).unwrap();
    builder.add(patient("2"), 0, &[0, 0], &[0.0; FEATURES]).unwrap();
    let error = builder.build().unwrap_err();
    assert_eq!(error, RowsError::Copies { row: 1, expected: 2 * expected, got: expected });
}
