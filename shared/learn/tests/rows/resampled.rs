//! Cells under draws of the patients and deals of their levels.

use std::sync::Arc;

use wardround_core::class_set::ClassSet;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, Bins, Column, Draws, Fill, FoldPlan, FoldSet, Frame, JudgedUnit, Labelling, LinearModel,
    ListCuts, Model, Query, RowSet, Scaler, Schema, ScoreList, SiteSet, Weighting,
};
use wardround_core::seed::Seed;
use wardround_learn::findings::Interval;
use wardround_learn::metrics::cells::{ScoreCell, placement_cells, score_cells};
use wardround_learn::metrics::interval::{clustered_variance, placement_table};
use wardround_learn::metrics::ranking::roc_auc;
use wardround_learn::metrics::registry::Spread;
use wardround_learn::metrics::resampled::{Drawn, Groups, Resampled, ResampledCell};
use wardround_learn::metrics::{Confusion, Threshold};
use wardround_learn::rows::{Patient, Rows, RowsBuilder};

use crate::federation::ask;

const BINS: Bins = Bins { half_width: 12.0, count: 1024 };
const PATIENTS: usize = 400;
const LEVELS: usize = 3;

/// Two sites; every patient has one level and up to three rows that are alike; the one feature is the score.
fn rows() -> Rows {
    drawn_rows(7)
}

fn drawn_rows(seed: u64) -> Rows {
    let uniform = |what: &str, at: [usize; 2]| {
        let parts = at.map(usize::to_le_bytes);
        Seed(seed).uniform(what, &[&parts[0], &parts[1]])
    };
    let schema = Schema {
        features: 1,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![LEVELS as u8],
    };
    let mut builder = RowsBuilder::new(schema);
    for at in 0..PATIENTS {
        let site = SiteId::parse(if at % 3 == 0 { "a" } else { "b" }).unwrap();
        let key = format!("p{at}");
        let positive = uniform("class", [at, 0]) < 0.35;
        let level = (LEVELS as f64 * uniform("level", [at, 0])) as u8;
        let own = 3.0 * uniform("own", [at, 0]) - 1.8 + if positive { 0.8 } else { 0.0 };
        for row in 0..1 + at % 3 {
            let patient = Patient { site: site.clone(), issuer: String::new(), key: key.clone() };
            let score = own + uniform("row", [at, row]);
            let class = ClassSet::only(u8::from(positive));
            builder.add(patient, class, &[level], &[score]).unwrap();
        }
    }
    builder.build().unwrap()
}

fn query(rows: &Rows, ask: Ask) -> Query {
    Query {
        study: StudyId::parse("drawn").unwrap(),
        sites: rows.sites(),
        schema: rows.schema().clone(),
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: 4, repeats: 1 },
        ask,
    }
}

pub fn frame() -> Arc<Frame> {
    Arc::new(Frame::identity(1))
}

pub fn models() -> Vec<Model> {
    let of = |intercept: f64| {
        Model::Linear(LinearModel {
            class: 1,
            scaler: Scaler::Folded,
            weights: vec![1.0],
            intercept,
            fill: Fill::Complete,
        })
    };
    vec![of(0.0), of(-0.5)]
}

/// Half of the folds by one model, half by the other.
fn lists() -> Vec<ScoreList> {
    let part =
        |folds, model| (RowSet { repeat: 0, folds: FoldSet(folds), sites: SiteSet::All }, model);
    vec![ScoreList { class: 1, parts: vec![part(0b0011, 0), part(0b1100, 1)] }]
}

/// Each part has its own.
fn thresholds() -> [Threshold; 2] {
    [0.5, 0.3].map(|at| Threshold::nearest(BINS, at).unwrap())
}

/// The parts of the list, each in one cell per cell of the split.
fn scores(rows: &Rows, split: &[Column]) -> Vec<Vec<ScoreCell>> {
    let list = lists().remove(0);
    let parts = list.parts.iter().map(|part| ScoreList { class: 1, parts: vec![*part] });
    let query = query(
        rows,
        Ask::Scores {
            frame: frame(),
            models: models(),
            lists: parts.collect(),
            split: split.to_vec(),
            bins: BINS,
            bits: 30,
        },
    );
    let cells = score_cells(&query, &ask(rows, &query)).unwrap();
    cells.chunks_exact(cells.len() / 2).map(<[ScoreCell]>::to_vec).collect()
}

fn groups(rows: &Rows) -> Groups {
    let parts = scores(rows, &[]);
    Groups::of(&ScoreCell::merged(parts.iter().flatten()).unwrap().histogram)
}

/// Per replicate, per cell.
fn resampled(
    rows: &Rows,
    split: &[Column],
    draws: Draws,
    replicates: [u16; 2],
) -> Vec<Vec<ResampledCell>> {
    let groups = groups(rows);
    let query = query(
        rows,
        Ask::Resampled {
            frame: frame(),
            models: models(),
            lists: lists(),
            cuts: vec![ListCuts {
                groups: groups.firsts.clone(),
                thresholds: thresholds().iter().map(|at| at.bin() as u16).collect(),
            }],
            split: split.to_vec(),
            bins: BINS,
            draws,
            seed: Seed(11),
            replicates,
            bits: 20,
        },
    );
    let sum = ask(rows, &query);
    let read = Resampled::read(&query, &sum, vec![&groups]).unwrap();
    (0..read.shape()[1]).map(|replicate| read.cells(0, replicate).unwrap()).collect()
}

fn drawn(cells: &[Vec<ResampledCell>], metric: impl Fn(&ResampledCell) -> f64) -> Drawn {
    let values: Vec<f64> = cells.iter().map(|cells| metric(&cells[0])).collect();
    Drawn { as_is: values[0], draws: values[1..].to_vec() }
}

#[test]
fn replicate_0_is_the_rows_as_they_are() {
    let rows = rows();
    for (split, draws) in [
        (vec![Column::Site, Column::Subgroup(0)], Draws::Patients),
        (vec![Column::Subgroup(0), Column::Site], Draws::Levels(0)),
    ] {
        let parts = scores(&rows, &split);
        let cells = resampled(&rows, &split, draws, [0, 1]).remove(0);
        assert_eq!(cells.len(), 2 * LEVELS);
        for (at, cell) in cells.iter().enumerate() {
            let mut calls = Confusion::default();
            for (part, threshold) in parts.iter().zip(thresholds()) {
                calls.merge(&Confusion::at(&part[at].histogram, &threshold).unwrap());
            }
            assert_eq!(cell.calls, calls);
            let all = ScoreCell::merged([&parts[0][at], &parts[1][at]]).unwrap();
            let (got, expected) = (&cell.scores.calibration, &all.calibration);
            assert_eq!(got.rows, expected.rows);
            for (got, expected) in got.scores.iter().zip(expected.scores) {
                assert!((got - expected).abs() < 1e-3);
            }
            assert!((got.brier - expected.brier).abs() < 1e-3);
            assert!((got.log_loss - expected.log_loss).abs() < 1e-3);
            // 32 groups instead of 1,024 bins.
            let aucs = [&cell.scores, &all].map(|cell| roc_auc(&cell.histogram).unwrap());
            assert!((aucs[0] - aucs[1]).abs() < 0.01, "{aucs:?}");
            assert_eq!(cell.scores.histogram.positive_rows(), all.histogram.positive_rows());
        }
    }
}

#[test]
fn questions_in_slices_have_the_same_answers() {
    let rows = rows();
    for draws in [Draws::Patients, Draws::Levels(0)] {
        let split = [Column::Subgroup(0)];
        let all = resampled(&rows, &split, draws, [0, 9]);
        let mut slices = resampled(&rows, &split, draws, [0, 4]);
        slices.extend(resampled(&rows, &split, draws, [4, 9]));
        assert_eq!(all, slices);
        assert_ne!(all[1], all[2]);
    }
}

#[test]
fn draws_of_patients_spread_as_patients_do() {
    let rows = rows();
    let cells = resampled(&rows, &[], Draws::Patients, [0, 2001]);
    // Patients with a positive row and their positive rows: a ratio whose variance is known.
    let sensitivity = drawn(&cells, |cell| cell.calls.sensitivity().unwrap());
    let of_patients: Vec<(f64, f64)> = {
        let list = rows.scores(&query(&rows, placements_ask(&rows))).unwrap().remove(0);
        let mut all = std::collections::BTreeMap::new();
        let views: Vec<_> = rows.rows().collect();
        let folds = rows.fold_column(&FoldPlan { seed: Seed(1), folds: 4, repeats: 1 }, 0);
        for score in list.iter().filter(|score| score.positive) {
            let threshold = thresholds()[usize::from(folds[score.row] > 1)];
            let hit = BINS.index(score.logit) >= threshold.bin();
            let of = all.entry(views[score.row].key.to_owned()).or_insert((0.0, 0.0));
            of.0 += f64::from(u8::from(hit));
            of.1 += 1.0;
        }
        all.into_values().collect()
    };
    let positives: f64 = of_patients.iter().map(|(_, rows)| rows).sum();
    let share = of_patients.iter().map(|(hits, _)| hits).sum::<f64>() / positives;
    assert!((share - sensitivity.as_is).abs() < 1e-12);
    let squares: f64 = of_patients.iter().map(|(hits, rows)| (hits - share * rows).powi(2)).sum();
    let expected = squares.sqrt() / positives;
    let got = sensitivity.standard_error().unwrap();
    assert!((got / expected - 1.0).abs() < 0.06, "{got} for {expected}");
    // Not that of rows taken as independent, nor that of patients whose rows are all alike.
    let of_rows = (share * (1.0 - share) / positives).sqrt();
    assert!(got > 1.1 * of_rows, "{got} beside {of_rows}");

    // And the AUC's, by placement values.
    let auc = drawn(&cells, |cell| roc_auc(&cell.scores.histogram).unwrap());
    let asked = query(&rows, placements_ask(&rows));
    let all = ScoreCell::merged(scores(&rows, &[]).iter().flatten()).unwrap();
    let sums = placement_cells(&asked, &ask(&rows, &asked)).unwrap();
    let expected = clustered_variance(&all.histogram, &sums[0]).unwrap().sqrt();
    let got = auc.standard_error().unwrap();
    assert!((got / expected - 1.0).abs() < 0.06, "{got} for {expected}");
}

fn placements_ask(rows: &Rows) -> Ask {
    let all = ScoreCell::merged(scores(rows, &[]).iter().flatten()).unwrap();
    Ask::Placements {
        frame: frame(),
        models: models(),
        lists: lists(),
        split: vec![],
        bins: BINS,
        tables: vec![placement_table(&all.histogram)],
        bits: 30,
    }
}

#[test]
fn dealt_levels_keep_every_sites_classes() {
    let rows = rows();
    let split = [Column::Site, Column::Subgroup(0)];
    let deals = resampled(&rows, &split, Draws::Levels(0), [0, 200]);
    let by_site = |cells: &[ResampledCell]| -> Vec<ResampledCell> {
        let sum = |levels: &[ResampledCell]| {
            let mut all = levels[0].clone();
            levels[1..].iter().for_each(|level| all.merge(level).unwrap());
            // What is added up in another order is rounded otherwise.
            let calibration = &mut all.scores.calibration;
            for value in [&mut calibration.brier, &mut calibration.log_loss]
                .into_iter()
                .chain(&mut calibration.scores)
            {
                *value = (*value * 1e6).round();
            }
            all
        };
        cells.chunks_exact(LEVELS).map(sum).collect()
    };
    let as_is = by_site(&deals[0]);
    assert!(deals[1..].iter().all(|cells| by_site(cells) == as_is));
}

#[test]
fn cells_that_are_dealt_together_stay_together() {
    let rows = rows();
    let counts = |cells: &[ResampledCell]| -> Vec<[u64; 2]> {
        cells
            .iter()
            .map(|cell| {
                let histogram = &cell.scores.histogram;
                [histogram.negative_rows(), histogram.positive_rows()]
            })
            .collect()
    };
    // Of one column it is the same as that column's levels.
    let split = [Column::Site, Column::Subgroup(0)];
    let [cells, levels] =
        [Draws::Cells, Draws::Levels(0)].map(|draws| resampled(&rows, &split, draws, [0, 5]));
    assert_eq!(cells, levels);
    // A column beside itself: dealt together no row leaves the diagonal, dealt alone some do.
    let split = [Column::Subgroup(0), Column::Subgroup(0)];
    let off_diagonal = |draws| -> u64 {
        let deals = resampled(&rows, &split, draws, [1, 4]);
        let of_deal = |cells: &Vec<ResampledCell>| -> u64 {
            let off = counts(cells).into_iter().enumerate();
            off.filter(|(at, _)| at / LEVELS != at % LEVELS).map(|(_, n)| n[0] + n[1]).sum()
        };
        deals.iter().map(of_deal).sum()
    };
    assert_eq!(off_diagonal(Draws::Cells), 0);
}

#[test]
fn levels_that_say_nothing_lie_among_their_deals() {
    // The share of deals with a larger AUC of the first level is as likely to be anything from 0 to 1.
    let share = |seed: u64| {
        let deals =
            resampled(&drawn_rows(seed), &[Column::Subgroup(0)], Draws::Levels(0), [0, 100]);
        let auc = |cells: &Vec<ResampledCell>| roc_auc(&cells[0].scores.histogram).unwrap();
        let as_is = auc(&deals[0]);
        deals[1..].iter().filter(|deal| auc(deal) > as_is).count() as f64 / 99.0
    };
    let shares: Vec<f64> = (0..60).map(share).collect();
    let mean = shares.iter().sum::<f64>() / 60.0;
    // Three deviations of a mean of 60 uniform numbers.
    assert!((mean - 0.5).abs() < 3.0 * 0.0373, "{mean}");
    let outer = shares.iter().filter(|share| !(0.1..0.9).contains(*share)).count();
    assert!((3..=22).contains(&outer), "{outer} of 60");
}

#[test]
fn intervals_are_what_their_kind_says() {
    let draws: Vec<f64> = (0..=1000).map(|at| 0.3 + f64::from(at) / 5000.0).collect();
    let of = |spread, estimate| {
        let interval =
            Drawn { as_is: 0.4, draws: draws.clone() }.interval(spread, estimate, [0.0, 1.0], 50);
        match interval {
            Interval::Between { low, high } => [low, high].map(|end| (end * 1e6).round() / 1e6),
            Interval::NotComputed => panic!("no interval of {spread:?}"),
        }
    };
    assert_eq!(of(Spread::Percentiles, 0.4), [0.305, 0.495]);
    // Groups moved the metric by .01, which isn't its spread.
    assert_eq!(of(Spread::Percentiles, 0.41), [0.315, 0.505]);
    // The root mean square of -.1, -.0998 ... .1 is .0577928.
    assert_eq!(of(Spread::WithBias, 0.4), [0.286728, 0.513272]);
    assert_eq!(of(Spread::WithBias, 0.05), [0.0, 0.163272]);
    // A deviation of .0578 is that of 71.8 rows: statsmodels' proportion_confint(.4 n, n, method = "wilson").
    assert_eq!(of(Spread::Share, 0.4), [0.29455, 0.515609]);
    let none = Drawn { as_is: 0.4, draws: vec![f64::NAN; 100] };
    let interval = none.interval(Spread::Percentiles, 0.4, [0.0, 1.0], 50);
    assert_eq!(interval, Interval::NotComputed);
}
