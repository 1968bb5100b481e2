//! Seconds per query at the size of four hospitals with frozen features of 10,000 skin images:
//! `cargo run -p wardround-learn --example query_speed`.

use std::sync::Arc;
use std::time::Instant;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, Bins, Column, Derivatives, Fill, FoldPlan, FoldSet, Frame, JudgedUnit, Labelling,
    LinearModel, LinearTerm, Query, RowSet, Scaler, Schema, ScoreList, SiteSet, Weighting,
};
use wardround_core::seed::Seed;
use wardround_learn::rows::{Patient, Rows, RowsBuilder};

const FOLDS: u8 = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = rows(8019, 1280)?;
    let frame = Arc::new(Frame::identity(1280));
    let bits = 32;
    println!("8019 rows, 4 sites, 1280 features, {} threads", rayon::current_num_threads());

    let split = vec![Column::Site, Column::Fold { repeat: 0 }];
    time(&rows, "profile", Ask::Profile { split: split.clone() })?;
    let moments = Ask::Moments { frame: frame.clone(), split: split.clone(), bits };
    time(&rows, "moments by site and fold", moments)?;
    let all = RowSet { repeat: 0, folds: FoldSet::all(FOLDS), sites: SiteSet::All };
    let gram = Ask::Gram { frame: frame.clone(), rows: all, scaler: Scaler::Folded, bits };
    time(&rows, "gram", gram)?;
    for (name, count, scaler) in [
        ("gradient, 120 models", 120, Scaler::Folded),
        ("gradient, 240 models", 240, Scaler::Folded),
        ("gradient, 120 models, own-site scalers", 120, Scaler::OwnSite(FoldSet::all(FOLDS))),
    ] {
        let term = |at: usize| LinearTerm::new(training(at), model(at, scaler.clone()));
        let terms = (0..count).map(term).collect();
        let derivatives = Derivatives::Gradient;
        let ask = Ask::Logistic { frame: frame.clone(), terms, derivatives, bits };
        time(&rows, name, ask)?;
    }
    let lists = (0..24).map(|list| {
        let parts = (0..FOLDS).map(|fold| {
            let rows = RowSet { repeat: 0, folds: FoldSet::only(fold), sites: SiteSet::All };
            (rows, u32::from(fold) + u32::from(FOLDS) * list)
        });
        ScoreList { class: 1, parts: parts.collect() }
    });
    let scores = Ask::Scores {
        frame,
        models: (0..120).map(|at| model(at, Scaler::Folded).into()).collect(),
        lists: lists.collect(),
        split,
        bins: Bins { half_width: 12.0, count: 1024 },
        bits,
    };
    time(&rows, "scores, 24 out-of-fold lists", scores)
}

/// Asks twice: the first query through a frame or scaler also fills the caches.
fn time(rows: &Rows, name: &str, ask: Ask) -> Result<(), Box<dyn std::error::Error>> {
    let query = Query {
        study: StudyId::parse("speed")?,
        sites: rows.sites(),
        schema: rows.schema().clone(),
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: FOLDS, repeats: 1 },
        ask,
    };
    let mut seconds = [0.0; 2];
    for seconds in &mut seconds {
        let start = Instant::now();
        rows.answer(&query)?;
        *seconds = start.elapsed().as_secs_f64();
    }
    println!("{name:40} first {:.3} s, again {:.3} s", seconds[0], seconds[1]);
    Ok(())
}

/// Most models leave a fold out, some a site as well.
fn training(at: usize) -> RowSet {
    let folds = FoldSet::all(FOLDS).without((at % 5) as u8);
    let sites = if at % 6 == 5 { SiteSet::Without((at % 4) as u16) } else { SiteSet::All };
    RowSet { repeat: 0, folds, sites }
}

fn model(at: usize, scaler: Scaler) -> LinearModel {
    let weights = (0..1280).map(|k| 0.02 * draw(at, k)).collect();
    LinearModel { class: 1, scaler, weights, intercept: 0.1, fill: Fill::Complete }
}

fn rows(n: usize, d: usize) -> Result<Rows, Box<dyn std::error::Error>> {
    let mut builder = RowsBuilder::new(Schema {
        features: d as u32,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![],
    });
    for row in 0..n {
        let site = SiteId::parse(["a", "b", "c", "d"][row / 7 % 9 % 4])?;
        let patient = Patient { site, issuer: "x".into(), key: (row / 7).to_string() };
        let features: Vec<f64> = (0..d).map(|k| draw(row, k)).collect();
        builder.add(patient, u8::from(row % 9 == 0), &[], &features)?;
    }
    Ok(builder.build()?)
}

/// Deterministic numbers in [-1, 1); a multiplicative hash is random enough to measure with.
fn draw(a: usize, b: usize) -> f64 {
    let mixed = (a as u64 * 0x1_0000 + b as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1u64 << 52) as f64
        - 1.0
}
