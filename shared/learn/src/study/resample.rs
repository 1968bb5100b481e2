//! How sure figures are, and how far apart subgroups would be by chance: the chosen model's nested lists, and left-out sites'
//! lists, under draws of the patients and under subgroup levels that are dealt anew ([`Ask::Resampled`]).
//!
//! Repeats of the folds see the same draws, and a replicate's value is the mean over repeats, as the figure is: so repeats never
//! count as more patients. Models, choices and thresholds stay as they are: intervals are those of these fitted models on such
//! patients.

use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Ask, Column, Draws, Frame, ListCuts, Model, RESAMPLED_NUMBERS, ScoreList,
};
use wardround_core::seed::Seed;
use wardround_core::study::Bootstrap;

use super::asker::{Asker, finest_bits};
use super::crossed;
use super::error::StudyError;
use super::judging::{Choices, Judging};
use super::scores::{BINS, LOSS_RESERVE, Lists, with_their_models};
use crate::cohort::Cohort;
use crate::findings::{
    ClassMean, ClassMeans, ColumnSpread, CrossedRows, Figure, Figures, Interval, MetricSpread,
    TargetFindings,
};
use crate::metrics::classes::{self, AVERAGED, DrawnClass};
use crate::metrics::registry::{CROSSED, FAIRNESS, METRICS, Metric, Place, Spread};
use crate::metrics::resampled::{Drawn, Groups, Resampled, ResampledCell};
use crate::metrics::{CellError, ScoreCell, Threshold};

/// Binary places of sums: finer ones would say nothing of a spread and cost more to send.
const BITS: u8 = 20;

/// Binary places kept free for a patient that is drawn often.
const DRAWS_RESERVE: u8 = 5;

/// Numbers of an answer above which a question is asked in slices.
pub(crate) const SLICE_NUMBERS: usize = 8 << 20;

/// Cells of two columns above which nothing is drawn of them.
pub(crate) const MOST_CELLS_DRAWN: usize = 128;

/// Draws of the patients for standard errors of cells, at most: as many as those need (Efron and Tibshirani 1993, section 6.4).
pub(crate) const DRAWS_OF_CELLS: u16 = 200;

/// Of what is kept of a draw: five decimals.
const KEPT: f64 = 1e5;

/// What is resampled of a classifier.
pub(crate) struct Resampling {
    /// Per modelled class and repeat.
    nested: CutLists,
    /// Per modelled class and left-out site.
    left_out: CutLists,
    /// Rows of all sites.
    rows: u64,
}

/// Lists as a question carries them, with what says where they are cut.
struct CutLists {
    frame: Arc<Frame>,
    models: Vec<Model>,
    lists: Vec<ScoreList>,
    cuts: Vec<ListCuts>,
    groups: Vec<Groups>,
}

impl Resampling {
    /// Of a classifier's choices.
    pub fn new(judging: &Judging<'_>, choices: &[Choices]) -> Result<Self, StudyError> {
        let (nested, left_out) = (judging.nested_lists(choices), judging.left_out_lists(choices));
        let thresholds = judging.nested_thresholds(choices);
        let scores = judging.nested_scores(choices)?;
        Ok(Self {
            nested: CutLists::new(judging, &nested, &thresholds, &scores),
            left_out: CutLists::new(
                judging,
                &left_out.lists,
                &left_out.thresholds,
                &left_out.scores,
            ),
            rows: judging.scoring.rows,
        })
    }

    /// Of lists that aren't from choices, one per modelled class, with the thresholds of their parts and all their scores.
    pub fn of_lists(
        frame: Arc<Frame>,
        lists: (Vec<Model>, Vec<ScoreList>),
        thresholds: &[Vec<Threshold>],
        scores: &[ScoreCell],
        rows: u64,
    ) -> Self {
        let none = (Vec::new(), Vec::new());
        Self {
            nested: CutLists::cut(frame.clone(), lists, thresholds, scores),
            left_out: CutLists::cut(frame, none, &[], &[]),
            rows,
        }
    }
}

impl CutLists {
    /// Lists with the thresholds of their parts and all their scores.
    fn new(
        judging: &Judging<'_>,
        lists: &Lists,
        thresholds: &[Vec<Threshold>],
        scores: &[ScoreCell],
    ) -> Self {
        let lists = lists.slice(0..lists.len(), &judging.scoring);
        Self::cut(judging.scoring.frame.clone(), lists, thresholds, scores)
    }

    fn cut(
        frame: Arc<Frame>,
        (models, lists): (Vec<Model>, Vec<ScoreList>),
        thresholds: &[Vec<Threshold>],
        scores: &[ScoreCell],
    ) -> Self {
        let groups: Vec<Groups> = scores.iter().map(|cell| Groups::of(&cell.histogram)).collect();
        let cuts = groups.iter().zip(thresholds).map(|(groups, thresholds)| ListCuts {
            groups: groups.firsts.clone(),
            // There are 1,024 bins.
            thresholds: thresholds.iter().map(|at| at.bin() as u16).collect(),
        });
        Self { frame, models, lists, cuts: cuts.collect(), groups }
    }

    /// Some of the lists, with the models that they need.
    fn some(&self, slice: std::ops::Range<usize>) -> (Vec<Model>, Vec<ScoreList>) {
        with_their_models(&self.models, &self.lists, slice)
    }
}

/// Asks how sure a classifier's figures are and puts it into them.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    (bootstrap, seed): (Bootstrap, Seed),
    Resampling { nested, left_out, rows }: &Resampling,
    targets: &mut [TargetFindings],
    means: &mut ClassMeans,
) -> Result<(), StudyError> {
    let patients = Replicates {
        draws: Draws::Patients,
        seed: patients_seed(seed),
        count: bootstrap.draws(),
        rows: *rows,
    };
    let lists = patients.ask(asker, nested, &[Column::Site], With::TheirSum).await?;
    if let ClassMeans::Several(means) = means {
        let cells = means.by_site.iter_mut().chain([&mut means.one_list]);
        put_means(cells, &lists, repeats(asker));
    }
    for (target, lists) in targets.iter_mut().zip(lists.chunks_exact(repeats(asker))) {
        let judged = &mut target.nested.judged;
        let all = judged.by_site.iter_mut().chain([&mut judged.one_list]);
        all.zip(mean(lists)).for_each(|(figures, drawn)| put(figures, &drawn));
    }
    if !left_out.lists.is_empty() {
        let lists = patients.ask(asker, left_out, &[], With::Nothing).await?;
        let sites = targets.iter_mut().flat_map(|target| &mut target.left_out);
        sites.zip(&lists).for_each(|(out, cells)| put(&mut out.figures, &cells[0]));
    }
    for column in 0..asker.schema.levels.len() as u8 {
        let split = [Column::Subgroup(column)];
        let drawn = patients.ask(asker, nested, &split, With::Nothing).await?;
        let levels = Replicates {
            draws: Draws::Levels(column),
            seed: Seed(seed.bits("levels dealt anew", &[&[column]])),
            count: bootstrap.deals(),
            rows: *rows,
        };
        let dealt = levels.ask(asker, nested, &split, With::Nothing).await?;
        let each = repeats(asker);
        if let ClassMeans::Several(means) = means {
            put_means(means.by_subgroup[usize::from(column)].iter_mut(), &drawn, each);
        }
        let both = drawn.chunks_exact(each).zip(dealt.chunks_exact(each));
        for (target, (drawn, dealt)) in targets.iter_mut().zip(both) {
            let (drawn, judged) = (mean(drawn), &mut target.nested.judged);
            let levels = judged.by_subgroup[usize::from(column)].iter_mut();
            levels.zip(&drawn).for_each(|(figures, drawn)| put(figures, drawn));
            judged.fairness.push(spread(&drawn, &mean(dealt), FAIRNESS));
        }
    }
    let tables = targets.first().map_or(0, |target| target.nested.judged.crossed.len());
    for table in 0..tables {
        let of = &targets[0].nested.judged.crossed[table];
        let (rows_of, column) = (of.rows, of.column);
        let split = crossed::split((rows_of, column));
        if asker.cells(&split) > MOST_CELLS_DRAWN {
            continue;
        }
        let errors = Replicates { count: patients.count.min(DRAWS_OF_CELLS), ..patients };
        let drawn = errors.ask(asker, nested, &split, With::Nothing).await?;
        let key = match rows_of {
            // At each site as for all sites in one list.
            CrossedRows::Sites => vec![column],
            CrossedRows::Subgroup(row) => vec![row, column],
        };
        let cells = Replicates {
            draws: Draws::Cells,
            seed: Seed(seed.bits("levels dealt anew", &[&key])),
            count: bootstrap.deals(),
            rows: *rows,
        };
        let dealt = cells.ask(asker, nested, &split, With::Nothing).await?;
        let each = repeats(asker);
        let both = drawn.chunks_exact(each).zip(dealt.chunks_exact(each));
        for (target, (drawn, dealt)) in targets.iter_mut().zip(both) {
            target.nested.judged.crossed[table].spread =
                spread(&mean(drawn), &mean(dealt), CROSSED);
        }
    }
    Ok(())
}

/// What draws of the patients are keyed by.
pub(crate) fn patients_seed(seed: Seed) -> Seed {
    Seed(seed.bits("patients drawn for intervals", &[]))
}

/// Gives means over classes their intervals, cell by cell. `lists` go by class and repeat.
fn put_means<'a>(
    cells: impl Iterator<Item = &'a mut Vec<ClassMean>>,
    lists: &[Cells],
    repeats: usize,
) {
    let classes: Vec<Cells> = lists.chunks_exact(repeats).map(mean).collect();
    let places: Vec<usize> = AVERAGED
        .iter()
        .filter_map(|name| resampled().position(|metric| metric.name == *name))
        .collect();
    let calls = resampled().count();
    for (at, means) in cells.enumerate() {
        let figures: Vec<Vec<&Drawn>> = classes
            .iter()
            .map(|cells| places.iter().map(|&place| &cells[at][place]).collect())
            .collect();
        let drawn: Vec<DrawnClass<'_>> = classes
            .iter()
            .zip(&figures)
            .map(|(cells, figures)| DrawnClass {
                figures,
                calls: std::array::from_fn(|call| &cells[at][calls + call]),
            })
            .collect();
        classes::put(means, &drawn);
    }
}

fn repeats<C>(asker: &Asker<'_, C>) -> usize {
    usize::from(asker.folds.repeats)
}

/// What is drawn, and how often.
struct Replicates {
    draws: Draws,
    seed: Seed,
    count: u16,
    rows: u64,
}

/// Whether cells' sum is wanted beside them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    Nothing,
    /// As the last cell.
    TheirSum,
}

/// Calls that stand behind a cell's metrics: true positives, false positives, false negatives.
const CALLS: usize = 3;

/// Per cell, per metric of [`resampled`], and then its calls.
type Cells = Vec<Vec<Drawn>>;

impl Replicates {
    /// The metrics of all lists.
    async fn ask<C: Cohort>(
        &self,
        asker: &mut Asker<'_, C>,
        of: &CutLists,
        split: &[Column],
        with: With,
    ) -> Result<Vec<Cells>, StudyError> {
        let cells = asker.cells(split);
        let metrics = resampled().count() + CALLS;
        let bits = BITS.min(finest_bits(self.rows as f64, LOSS_RESERVE + DRAWS_RESERVE));
        let shown = cells + usize::from(with == With::TheirSum);
        let mut lists = vec![vec![vec![Drawn::default(); metrics]; shown]; of.lists.len()];
        let all = self.count + 1;
        let at_once = (SLICE_NUMBERS / (RESAMPLED_NUMBERS * cells.max(1))).max(1);
        let per_slice = (at_once / usize::from(all)).max(1);
        for first in (0..of.lists.len()).step_by(per_slice) {
            let slice = first..(first + per_slice).min(of.lists.len());
            let (models, asked) = of.some(slice.clone());
            for from in (0..all).step_by(at_once.min(usize::from(all))) {
                let to = all.min(from.saturating_add(u16::try_from(at_once).unwrap_or(all)));
                let answer = asker
                    .ask_at(bits, 0, |bits| Ask::Resampled {
                        frame: of.frame.clone(),
                        models: models.clone(),
                        lists: asked.clone(),
                        cuts: of.cuts[slice.clone()].to_vec(),
                        split: split.to_vec(),
                        bins: BINS,
                        draws: self.draws,
                        seed: self.seed,
                        replicates: [from, to],
                        bits,
                    })
                    .await?;
                let groups = of.groups[slice.clone()].iter().collect();
                let read = Resampled::read(&answer.query, &answer.sum, groups)?;
                for (list, cells) in lists[slice.clone()].iter_mut().enumerate() {
                    let values = values(&read, list, with)?;
                    for (replicate, of_cells) in (from..).zip(values) {
                        for (drawn, value) in cells.iter_mut().flatten().zip(of_cells) {
                            match replicate {
                                0 => drawn.as_is = value,
                                _ => drawn.draws.push(value),
                            }
                        }
                    }
                }
            }
        }
        Ok(lists)
    }
}

/// Per replicate of a list, cell by cell, the metrics; NaN where one is undefined.
fn values(read: &Resampled<'_>, list: usize, with: With) -> Result<Vec<Vec<f64>>, CellError> {
    let [_, replicates, _] = read.shape();
    let of_replicate = |replicate: usize| -> Result<Vec<f64>, CellError> {
        let mut cells = read.cells(list, replicate)?;
        if with == With::TheirSum {
            let mut cells_of_sites = cells.iter();
            let mut all = cells_of_sites.next().ok_or(CellError::NoCells)?.clone();
            cells_of_sites.try_for_each(|cell| all.merge(cell))?;
            cells.push(all);
        }
        let of_cell = |ResampledCell { scores, calls }: &ResampledCell| {
            resampled()
                .map(|metric| metric.of_called(scores, calls).unwrap_or(f64::NAN))
                .chain([calls.tp, calls.fp, calls.fn_].map(|count| count as f64))
                .collect::<Vec<f64>>()
        };
        Ok(cells.iter().flat_map(of_cell).collect())
    };
    // Replicates in their order, whichever thread takes which.
    (0..replicates).into_par_iter().map(of_replicate).collect()
}

/// The metrics whose draws are looked at.
fn resampled() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().filter(|metric| {
        let has_interval = metric.spread != Spread::Nothing && metric.place != Place::Nowhere;
        has_interval || FAIRNESS.contains(&metric.name)
    })
}

/// The mean over the lists of all repeats.
fn mean(lists: &[Cells]) -> Cells {
    let mut all = lists[0].clone();
    let n = lists.len() as f64;
    for (cell, metrics) in all.iter_mut().enumerate() {
        for (metric, drawn) in metrics.iter_mut().enumerate() {
            let of = |list: &Cells| list[cell][metric].as_is;
            drawn.as_is = lists.iter().map(of).sum::<f64>() / n;
            for (at, draw) in drawn.draws.iter_mut().enumerate() {
                let of = |list: &Cells| list[cell][metric].draws[at];
                *draw = lists.iter().map(of).sum::<f64>() / n;
            }
        }
    }
    all
}

/// Gives a cell's figures their intervals.
fn put(figures: &mut Figures, drawn: &[Drawn]) {
    let ([negative, positive], [tp, fp, tn, fn_]) = (figures.patients, figures.confusion);
    for (metric, drawn) in resampled().zip(drawn) {
        // Images of one patient may all be alike, so that no more is known than of so many patients.
        let independent = match metric.name {
            "sensitivity" => positive,
            "specificity" => negative,
            "ppv" => (tp + fp).min(negative + positive),
            "npv" => (tn + fn_).min(negative + positive),
            _ => negative.max(positive),
        };
        let figure = match metric.name {
            "sensitivity" => Some(&mut figures.sensitivity),
            "specificity" => Some(&mut figures.specificity),
            "brier_score_loss" => Some(&mut figures.brier),
            "expected_calibration_error" => Some(&mut figures.ece),
            name => {
                let named = figures.more.iter_mut().find(|named| named.name == name);
                named.map(|named| &mut named.figure)
            }
        };
        if let Some(Figure::Known { value, interval }) = figure {
            let new = drawn.interval(metric.spread, *value, metric.range, independent);
            if new != Interval::NotComputed {
                *interval = new;
            }
        }
    }
}

/// How far apart cells would be by chance, in these metrics.
fn spread(drawn: &Cells, dealt: &Cells, names: &[&str]) -> ColumnSpread {
    let kept = |value: f64| value.is_finite().then(|| (value * KEPT).round() / KEPT);
    let compared = resampled().enumerate().filter(|(_, metric)| names.contains(&metric.name));
    let metrics = compared.map(|(at, metric)| MetricSpread {
        name: metric.name.to_owned(),
        errors: drawn.iter().map(|level| level[at].standard_error()).collect(),
        dealt: (dealt.iter())
            .map(|level| level[at].draws.iter().map(|&value| kept(value)).collect())
            .collect(),
    });
    ColumnSpread { metrics: metrics.collect() }
}
