//! Answers against numpy and scikit-learn; `../golden/make_rows.py` made the numbers.

use std::sync::Arc;

use serde::Deserialize;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, Bins, Column, Derivatives, Fill, FoldPlan, FoldSet, Frame, JudgedUnit, Labelling,
    LinearModel, LinearTerm, PlacementTable, Query, RowSet, Scaler, Schema, ScoreList, SiteSet,
    Weighting,
};
use wardround_core::seed::Seed;
use wardround_core::sum::Sum;
use wardround_learn::rows::{Patient, Rows, RowsBuilder};

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    folds: u8,
    repeats: u8,
    rows: Vec<GoldenRow>,
    dealt: Vec<Vec<u8>>,
    center: Vec<f64>,
    scale: Vec<f64>,
    weights: Vec<f64>,
    intercept: f64,
    fill: Vec<f64>,
    n: Vec<Vec<i64>>,
    sum: Vec<Vec<f64>>,
    squares: Vec<Vec<f64>>,
    gram: Vec<f64>,
    gram_own_site: Vec<f64>,
    folded: Derivative,
    own_site: Derivative,
    logits_folded: Vec<f64>,
    logits_own_site: Vec<f64>,
    scored: Scored,
}

#[derive(Deserialize)]
struct GoldenRow {
    site: String,
    key: String,
    class: u8,
    features: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct Derivative {
    loss: f64,
    gradient: Vec<f64>,
    hessian: Vec<f64>,
}

#[derive(Deserialize)]
struct Scored {
    patient: Vec<u32>,
    class: Vec<u8>,
    logit: Vec<f64>,
    half_width: f64,
    bins: u32,
    auc: f64,
    brier: f64,
    log_loss: f64,
    calibration_rows: Vec<[i64; 2]>,
    calibration_scores: Vec<f64>,
    binned_auc: f64,
    patients: [i64; 2],
    s10: f64,
    s01: f64,
    s11: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/rows.json")).unwrap()
}

impl Golden {
    fn rows(&self) -> Rows {
        let features = self.weights.len() as u32;
        let mut builder = RowsBuilder::new(Schema {
            features,
            classes: 2,
            labelling: Labelling::Single,
            weighting: Weighting::Equal,
            judged: JudgedUnit::Row,
            levels: vec![],
        });
        for row in &self.rows {
            let features: Vec<f64> = row.features.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
            let site = SiteId::parse(&row.site).unwrap();
            let patient = Patient { site, issuer: "clinic".into(), key: row.key.clone() };
            builder.add(patient, row.class, &[], &features).unwrap();
        }
        builder.build().unwrap()
    }

    fn frame(&self) -> Arc<Frame> {
        Arc::new(Frame { center: self.center.clone(), scale: self.scale.clone() })
    }

    fn plan(&self) -> FoldPlan {
        FoldPlan { seed: Seed(self.seed), folds: self.folds, repeats: self.repeats }
    }

    /// Repeat 1 without fold 2, as in the script.
    fn train(&self) -> RowSet {
        RowSet { repeat: 1, folds: self.train_folds(), sites: SiteSet::All }
    }

    fn train_folds(&self) -> FoldSet {
        FoldSet::all(self.folds).without(2)
    }

    fn model(&self, scaler: Scaler) -> LinearModel {
        LinearModel {
            class: 1,
            scaler,
            weights: self.weights.clone(),
            intercept: self.intercept,
            fill: Fill::Values(self.fill.clone()),
        }
    }

    fn ask(&self, ask: Ask) -> (Query, Sum) {
        let rows = self.rows();
        let query = query(&rows, self.plan(), ask);
        let sum = rows.answer(&query).unwrap();
        (query, sum)
    }
}

fn query(rows: &Rows, folds: FoldPlan, ask: Ask) -> Query {
    let study = StudyId::parse("golden").unwrap();
    Query { study, sites: rows.sites(), schema: rows.schema().clone(), input: 0, folds, ask }
}

fn close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= tolerance, "{at}: expected {expected}, got {got}");
    }
}

#[test]
fn folds_are_those_of_an_independent_dealer() {
    let golden = golden();
    let rows = golden.rows();
    for repeat in 0..golden.repeats {
        let column = rows.fold_column(&golden.plan(), repeat);
        for (view, fold) in rows.rows().zip(column) {
            assert_eq!(fold, golden.dealt[usize::from(repeat)][view.source], "{view:?}");
        }
    }
}

#[test]
fn moments_are_numpys() {
    let golden = golden();
    let ask = Ask::Moments { frame: golden.frame(), split: vec![Column::Site], bits: 40 };
    let (query, sum) = golden.ask(ask);
    assert_eq!(sum.counts(&query, "n").unwrap(), golden.n.concat());
    close(&sum.values(&query, "sum").unwrap(), &golden.sum.concat(), 1e-9);
    close(&sum.values(&query, "squares").unwrap(), &golden.squares.concat(), 1e-9);
}

#[test]
fn gram_matrices_are_numpys() {
    let golden = golden();
    let ask = |scaler| Ask::Gram { frame: golden.frame(), rows: golden.train(), scaler, bits: 40 };
    let (query, sum) = golden.ask(ask(Scaler::Folded));
    close(&sum.values(&query, "gram").unwrap(), &golden.gram, 1e-9);
    let (query, sum) = golden.ask(ask(Scaler::OwnSite(golden.train_folds())));
    close(&sum.values(&query, "gram").unwrap(), &golden.gram_own_site, 1e-9);
}

#[test]
fn losses_and_derivatives_are_numpys() {
    let golden = golden();
    let scalers = [Scaler::Folded, Scaler::OwnSite(golden.train_folds())];
    let term = |scaler| LinearTerm::new(golden.train(), golden.model(scaler));
    let ask = Ask::Logistic {
        frame: golden.frame(),
        terms: scalers.map(term).to_vec(),
        derivatives: Derivatives::Hessian,
        bits: 40,
    };
    let (query, sum) = golden.ask(ask);
    let (a, b) = (&golden.folded, &golden.own_site);
    close(&sum.values(&query, "loss").unwrap(), &[a.loss, b.loss], 1e-9);
    let gradients = [&a.gradient[..], &b.gradient[..]].concat();
    close(&sum.values(&query, "gradient").unwrap(), &gradients, 1e-9);
    let hessians = [&a.hessian[..], &b.hessian[..]].concat();
    close(&sum.values(&query, "hessian").unwrap(), &hessians, 1e-9);
}

#[test]
fn missing_values_are_filled_as_scikit_learn_fills_them() {
    let golden = golden();
    let all = RowSet { repeat: 1, folds: FoldSet::all(golden.folds), sites: SiteSet::All };
    let ask = Ask::Scores {
        frame: golden.frame(),
        models: vec![
            golden.model(Scaler::Folded).into(),
            golden.model(Scaler::OwnSite(golden.train_folds())).into(),
        ],
        lists: (0..2).map(|model| ScoreList { class: 1, parts: vec![(all, model)] }).collect(),
        split: vec![],
        bins: Bins { half_width: 12.0, count: 1024 },
        bits: 40,
    };
    let rows = golden.rows();
    let scores = rows.scores(&query(&rows, golden.plan(), ask)).unwrap();
    let views: Vec<_> = rows.rows().collect();
    for (list, expected) in scores.iter().zip([&golden.logits_folded, &golden.logits_own_site]) {
        assert_eq!(list.len(), views.len());
        for score in list {
            let source = views[score.row].source;
            assert_eq!(score.positive, golden.rows[source].class == 1);
            close(&[score.logit], &[expected[source]], 1e-9);
        }
    }
}

#[test]
fn scores_and_placements_are_scikit_learns() {
    let scored = golden().scored;
    let mut builder = RowsBuilder::new(Schema {
        features: 1,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![],
    });
    for ((patient, &class), &logit) in scored.patient.iter().zip(&scored.class).zip(&scored.logit) {
        let site = SiteId::parse("a").unwrap();
        let patient = Patient { site, issuer: "a".into(), key: patient.to_string() };
        builder.add(patient, class, &[], &[logit]).unwrap();
    }
    let rows = builder.build().unwrap();
    let plan = FoldPlan { seed: Seed(1), folds: 2, repeats: 1 };
    let all = RowSet { repeat: 0, folds: FoldSet::all(2), sites: SiteSet::All };
    let frame = Arc::new(Frame::identity(1));
    let model = LinearModel {
        class: 1,
        scaler: Scaler::Folded,
        weights: vec![1.0],
        intercept: 0.0,
        fill: Fill::Complete,
    };
    let lists = vec![ScoreList { class: 1, parts: vec![(all, 0)] }];
    let bins = Bins { half_width: scored.half_width, count: scored.bins };
    let ask = Ask::Scores {
        frame: frame.clone(),
        models: vec![model.clone().into()],
        lists: lists.clone(),
        split: vec![],
        bins,
        bits: 40,
    };
    let asked = query(&rows, plan, ask);
    let sum = rows.answer(&asked).unwrap();
    let values = |name| sum.values(&asked, name).unwrap();
    close(&values("brier"), &[scored.brier], 1e-9);
    close(&values("log_loss"), &[scored.log_loss], 1e-8);
    close(&values("calibration_scores"), &scored.calibration_scores, 1e-9);
    let calibration_rows = sum.counts(&asked, "calibration_rows").unwrap();
    assert_eq!(calibration_rows, scored.calibration_rows.concat());

    let (table, auc) = placements(&values("positives"), &values("negatives"));
    assert!((auc - scored.auc).abs() < 5e-4, "{auc} and {}", scored.auc);
    close(&[auc], &[scored.binned_auc], 1e-12);

    let tables = vec![table];
    let models = vec![model.into()];
    let ask = Ask::Placements { frame, models, lists, split: vec![], bins, tables, bits: 40 };
    let asked = query(&rows, plan, ask);
    let sum = rows.answer(&asked).unwrap();
    assert_eq!(sum.counts(&asked, "patients").unwrap(), scored.patients);
    for (name, expected) in [("s10", scored.s10), ("s01", scored.s01), ("s11", scored.s11)] {
        close(&sum.values(&asked, name).unwrap(), &[expected], 1e-8);
    }
}

/// Placement values of every bin, and the AUC.
fn placements(positives: &[f64], negatives: &[f64]) -> (PlacementTable, f64) {
    let (all_positive, all_negative): (f64, f64) = (positives.iter().sum(), negatives.iter().sum());
    let (mut positives_below, mut negatives_below, mut auc) = (0.0, 0.0, 0.0);
    let (mut above, mut below) = (Vec::new(), Vec::new());
    for (p, n) in positives.iter().zip(negatives) {
        above.push((negatives_below + n / 2.0) / all_negative);
        below.push((all_positive - positives_below - p / 2.0) / all_positive);
        auc += p * (negatives_below + n / 2.0) / (all_positive * all_negative);
        positives_below += p;
        negatives_below += n;
    }
    (PlacementTable { above, below, auc }, auc)
}
