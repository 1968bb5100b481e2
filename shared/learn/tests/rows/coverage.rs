//! How often 95 % intervals hold the truth: a fixed model on new patients with several images each, 2,000 times, answered by the
//! questions that a study asks. Fixed seeds, so the same numbers every time; `--nocapture` prints them.

use rayon::prelude::*;
use wardround_core::class_set::ClassSet;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, Bins, Column, Draws, FoldPlan, FoldSet, JudgedUnit, Labelling, ListCuts, Query, RowSet,
    Schema, ScoreList, SiteSet, Weighting,
};
use wardround_core::seed::Seed;
use wardround_learn::findings::Interval;
use wardround_learn::metrics::cells::score_cells;
use wardround_learn::metrics::fairness::{Level, gap};
use wardround_learn::metrics::registry::{Metric, metric};
use wardround_learn::metrics::resampled::{Drawn, Groups, Resampled, ResampledCell};
use wardround_learn::metrics::{Confusion, ScoreCell, Threshold};
use wardround_learn::rows::{Patient, Rows, RowsBuilder};

use crate::normal::Normal;
use crate::resampled::{frame, models};

const BINS: Bins = Bins { half_width: 12.0, count: 1024 };
const SETS: u64 = 2000;
const DRAWS: u16 = 200;
const DEALS: u16 = 99;
/// Of the shared part of a patient's images.
const CORRELATION: f64 = 0.6;
const PATIENTS: usize = 300;
const PREVALENCE: f64 = 0.43;

/// A patient of a class and level: the logits of one to three images.
fn images(random: &mut Normal, positive: bool, level: usize, shift: &[f64]) -> Vec<f64> {
    let shared = CORRELATION.sqrt() * random.draw();
    let count = 1 + (3.0 * random.uniform()) as usize;
    let mean = if positive { 0.9 } else { -0.6 } + shift[level];
    let image = |_| {
        let own = (1.0 - CORRELATION).sqrt() * random.draw();
        // Too extreme by half.
        1.5 * (mean + shared + own)
    };
    (0..count).map(image).collect()
}

/// So many patients, of which class and level is left to chance.
fn rows(seed: u64, shift: &[f64]) -> Rows {
    let levels = shift.len();
    let schema = Schema {
        features: 1,
        classes: 2,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![levels as u8],
    };
    let (mut builder, mut random) = (RowsBuilder::new(schema), Normal(seed));
    for at in 0..PATIENTS {
        let (site, positive) = (SiteId::parse("a").unwrap(), random.uniform() < PREVALENCE);
        let level = (levels as f64 * random.uniform()) as usize;
        for logit in images(&mut random, positive, level, shift) {
            let key = format!("p{at}");
            let patient = Patient { site: site.clone(), issuer: String::new(), key };
            let class = ClassSet::only(u8::from(positive));
            builder.add(patient, class, &[level as u8], &[logit]).unwrap();
        }
    }
    builder.build().unwrap()
}

fn threshold() -> Threshold {
    Threshold::nearest(BINS, 0.5).unwrap()
}

fn question(rows: &Rows, of: impl Fn(Vec<ScoreList>) -> Ask) -> Query {
    let all = RowSet { repeat: 0, folds: FoldSet::all(2), sites: SiteSet::All };
    Query {
        study: StudyId::parse("covered").unwrap(),
        sites: rows.sites(),
        schema: rows.schema().clone(),
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: 2, repeats: 1 },
        ask: of(vec![ScoreList { class: 1, parts: vec![(all, 0)] }]),
    }
}

fn scores(rows: &Rows, split: &[Column]) -> Vec<ScoreCell> {
    let asked = question(rows, |lists| Ask::Scores {
        frame: frame(),
        models: models(),
        lists,
        split: split.to_vec(),
        bins: BINS,
        bits: 30,
    });
    score_cells(&asked, &rows.answer(&asked).unwrap()).unwrap()
}

/// Per cell and metric.
fn drawn(
    rows: &Rows,
    split: &[Column],
    draws: Draws,
    count: u16,
    of: &[&Metric],
) -> Vec<Vec<Drawn>> {
    let groups = Groups::of(&scores(rows, &[])[0].histogram);
    let asked = question(rows, |lists| Ask::Resampled {
        frame: frame(),
        models: models(),
        lists,
        cuts: vec![ListCuts {
            groups: groups.firsts.clone(),
            thresholds: vec![threshold().bin() as u16],
        }],
        split: split.to_vec(),
        bins: BINS,
        draws,
        seed: Seed(5),
        replicates: [0, count + 1],
        bits: 20,
    });
    let sum = rows.answer(&asked).unwrap();
    let read = Resampled::read(&asked, &sum, vec![&groups]).unwrap();
    let [_, replicates, cells] = read.shape();
    let all: Vec<Vec<ResampledCell>> =
        (0..replicates).map(|at| read.cells(0, at).unwrap()).collect();
    let value = |at: usize, cell: usize, metric: &Metric| {
        let ResampledCell { scores, calls } = &all[at][cell];
        metric.of_called(scores, calls).unwrap_or(f64::NAN)
    };
    let of_cell = |cell: usize| {
        let of_metric = |metric: &&Metric| Drawn {
            as_is: value(0, cell, metric),
            draws: (1..replicates).map(|at| value(at, cell, metric)).collect(),
        };
        of.iter().map(of_metric).collect()
    };
    (0..cells).map(of_cell).collect()
}

fn of_cell(cell: &ScoreCell, metric: &Metric) -> f64 {
    let calls = Confusion::at(&cell.histogram, &threshold()).unwrap();
    metric.of_called(cell, &calls).unwrap()
}

/// The metrics of very many patients, by level, and of all in the last cell.
fn truth(shift: &[f64], of: &[&Metric]) -> Vec<Vec<f64>> {
    let mut random = Normal(99);
    let mut cells = vec![Vec::new(); shift.len() + 1];
    for _ in 0..600_000 {
        let positive = random.uniform() < PREVALENCE;
        let level = (shift.len() as f64 * random.uniform()) as usize;
        for logit in images(&mut random, positive, level, shift) {
            cells[level].push((logit, positive));
            cells[shift.len()].push((logit, positive));
        }
    }
    let metrics = |rows: &Vec<(f64, bool)>| {
        let cell = cell(rows);
        of.iter().map(|metric| of_cell(&cell, metric)).collect()
    };
    cells.iter().map(metrics).collect()
}

fn cell(rows: &[(f64, bool)]) -> ScoreCell {
    let mut cell = ScoreCell {
        histogram: wardround_learn::metrics::ScoreHistogram::empty(BINS),
        calibration: wardround_learn::metrics::CalibrationSums::empty(),
    };
    for &(logit, positive) in rows {
        cell.histogram.add(logit, positive);
        let (p, y) = (1.0 / (1.0 + (-logit).exp()), f64::from(u8::from(positive)));
        let bin = ((p * 15.0) as usize).min(14);
        cell.calibration.rows[bin][usize::from(positive)] += 1;
        cell.calibration.scores[bin] += p;
        cell.calibration.brier += (p - y).powi(2);
        cell.calibration.log_loss -= (y * p + (1.0 - y) * (1.0 - p)).ln();
    }
    cell
}

fn metrics(names: &[&str]) -> Vec<&'static Metric> {
    names.iter().map(|name| metric(name).unwrap()).collect()
}

fn holds(interval: &Interval, truth: f64) -> bool {
    matches!(interval, Interval::Between { low, high } if *low <= truth && truth <= *high)
}

#[test]
fn intervals_hold_the_truth_of_new_patients() {
    let of = metrics(&[
        "sensitivity",
        "specificity",
        "ppv",
        "npv",
        "accuracy_score",
        "balanced_accuracy_score",
        "f1_score",
        "matthews_corrcoef",
        "average_precision_score",
        "brier_score_loss",
        "log_loss",
        "calibration_slope",
        "calibration_in_the_large",
        "expected_calibration_error",
        "brier_reliability",
        "brier_resolution",
    ]);
    let truth = truth(&[0.0], &of).remove(1);
    let of_set = |set: u64| -> Vec<bool> {
        let rows = rows(1000 + set, &[0.0]);
        let all = &scores(&rows, &[])[0];
        let drawn = drawn(&rows, &[], Draws::Patients, DRAWS, &of);
        let covers = |(at, metric): (usize, &&Metric)| {
            let estimate = of_cell(all, metric);
            let interval = drawn[0][at].interval(metric.spread, estimate, metric.range, 100);
            holds(&interval, truth[at])
        };
        of.iter().enumerate().map(covers).collect()
    };
    let sets: Vec<Vec<bool>> = (0..SETS).into_par_iter().map(of_set).collect();
    let mut wrong = Vec::new();
    for (at, metric) in of.iter().enumerate() {
        let covered = sets.iter().filter(|set| set[at]).count() as f64 / SETS as f64;
        println!("{}: {covered} (truth {:.4})", metric.name, truth[at]);
        wrong.extend((!(0.92..=0.985).contains(&covered)).then_some((metric.name, covered)));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn gaps_between_subgroups_hold_and_are_rarely_found_where_there_are_none() {
    let of = metrics(&[
        "roc_auc_score",
        "sensitivity",
        "specificity",
        "selection_rate",
        "brier_score_loss",
        "expected_calibration_error",
    ]);
    for (shift, name) in [([0.0; 3], "no gap"), ([0.0, 0.0, 0.6], "a gap")] {
        let truth = truth(&shift, &of);
        let apart = |at: usize| {
            let values = truth[..3].iter().map(|level| level[at]);
            values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min)
        };
        // What is true of subgroups that are alike isn't left to chance.
        let expected: Vec<f64> =
            (0..of.len()).map(|at| if shift == [0.0; 3] { 0.0 } else { apart(at) }).collect();
        let of_set = |set: u64| -> Vec<[bool; 2]> {
            let rows = rows(90_000 + set, &shift);
            let split = [Column::Subgroup(0)];
            let levels = scores(&rows, &split);
            let drawn_ = drawn(&rows, &split, Draws::Patients, DRAWS, &of);
            let dealt = drawn(&rows, &split, Draws::Levels(0), DEALS, &of);
            let dealt: Vec<Vec<Vec<Option<f64>>>> = (0..3)
                .map(|level| {
                    let kept = |drawn: &Drawn| drawn.draws.iter().map(|x| Some(*x)).collect();
                    dealt[level].iter().map(kept).collect()
                })
                .collect();
            let of_metric = |(at, metric): (usize, &&Metric)| {
                let level = |level: usize| Level {
                    value: of_cell(&levels[level], metric),
                    error: drawn_[level][at].standard_error(),
                    dealt: &dealt[level][at],
                };
                let found = gap(&[level(0), level(1), level(2)]).unwrap();
                let chance = found.chance.unwrap();
                [holds(&found.interval, expected[at]), found.difference > chance.limit]
            };
            of.iter().enumerate().map(of_metric).collect()
        };
        let sets: Vec<Vec<[bool; 2]>> = (0..SETS / 2).into_par_iter().map(of_set).collect();
        for (at, metric) in of.iter().enumerate() {
            let share = |what: usize| {
                sets.iter().filter(|set| set[at][what]).count() as f64 / sets.len() as f64
            };
            let (held, found) = (share(0), share(1));
            println!(
                "{name}, {}: {held} held, {found} called a gap ({:.4})",
                metric.name, expected[at]
            );
            assert!(held >= 0.93, "{}: {held}", metric.name);
            if name == "no gap" {
                assert!(found <= 0.075, "{}: {found}", metric.name);
            }
        }
    }
}
