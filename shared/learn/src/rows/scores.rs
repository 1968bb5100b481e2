//! Scores of lists of rows, as histograms and calibration sums, rounded per patient.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Ask, Bins, CALIBRATION_BINS, Column, FourierModel, Frame, MapScaler, Model, Query, Scaler,
    ScoreList, TreeModel,
};

use super::Rows;
use super::counts::by_cell;
use super::fourier;
use super::kernel::{Matrix, dot};
use super::linear::{Folded, Logit};
use super::site::{Seen, SitePatient};
use super::softmax;
use super::tally::Tally;
use crate::cohort::CohortError;

/// Rows scored together; keeps a block of rows in the cache while the models pass by.
const CHUNK: usize = 32;

/// Probabilities nearer to 0 or 1 than this count as this in the log loss (as scikit-learn did).
const CLIP: f64 = 1e-15;

/// The unbinned score of a row in a list; see [`Rows::scores`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowScore {
    /// The row, in the order of [`Rows::rows`].
    pub row: usize,
    /// Whether it is of the list's class.
    pub positive: bool,
    /// Its logit.
    pub logit: f64,
}

/// The rows of a site with the logits that some lists need.
#[derive(Debug)]
pub(super) struct Scored {
    /// Per list, its parts: which logits, of which rows.
    parts: Vec<Vec<(usize, Vec<usize>)>>,
    /// Per model that is needed, the logit of each row that needs one.
    logits: Vec<Vec<f64>>,
    /// The patient of each row.
    patient: Vec<usize>,
    patients: usize,
}

impl Scored {
    /// Scores the rows of every list.
    ///
    /// # Errors
    /// [`CohortError::Unfit`] for missing features that a model calls complete, or a score that
    /// isn't finite.
    pub(super) fn new(
        seen: &Seen<'_>,
        frame: &Frame,
        models: &[Model],
        lists: &[ScoreList],
    ) -> Result<Self, CohortError> {
        // A model with the site's own scaler is another one in every repeat.
        let mut index = BTreeMap::new();
        let mut of_all_classes: BTreeMap<_, Arc<Vec<Folded>>> = BTreeMap::new();
        let mut scorers: Vec<Scorer<'_>> = Vec::new();
        let mut needed: Vec<Vec<bool>> = Vec::new();
        let mut parts = vec![Vec::new(); lists.len()];
        for (parts, ScoreList { class, parts: of_list }) in parts.iter_mut().zip(lists) {
            for (set, model_at) in of_list {
                let rows = seen.selected(set);
                if rows.is_empty() {
                    continue;
                }
                let own_site = |model: &Model| match model {
                    Model::Linear(model) => matches!(model.scaler, Scaler::OwnSite(_)),
                    Model::Fourier(model) => matches!(model.map.scaler, MapScaler::OwnSite(_)),
                    Model::Softmax(model) => matches!(model.scaler, Scaler::OwnSite(_)),
                    Model::Trees(_) => false,
                };
                let of_repeat = own_site(&models[*model_at as usize]).then_some(set.repeat);
                // A model of all classes is another one of every class.
                let is_shared = matches!(models[*model_at as usize], Model::Softmax(_));
                let of_class = is_shared.then_some(*class);
                let next = scorers.len();
                let column = *index.entry((*model_at, of_repeat, of_class)).or_insert(next);
                if column == next {
                    scorers.push(match &models[*model_at as usize] {
                        Model::Trees(model) => Scorer::Trees(model),
                        Model::Fourier(model) => Scorer::Fourier(model, set.repeat),
                        Model::Softmax(model) => {
                            let framed = seen.rows.framed(frame);
                            let key = (*model_at, of_repeat);
                            let models = match of_all_classes.get(&key) {
                                Some(models) => Arc::clone(models),
                                None => {
                                    let new = softmax::folded(seen, &framed, model, set.repeat)?;
                                    of_all_classes.entry(key).or_insert(Arc::new(new)).clone()
                                }
                            };
                            Scorer::Softmax(models, usize::from(*class))
                        }
                        Model::Linear(model) => {
                            let framed = seen.rows.framed(frame);
                            Scorer::Linear(Folded::new(seen, &framed, model, set.repeat)?)
                        }
                    });
                    needed.push(vec![false; seen.rows.len()]);
                }
                rows.iter().for_each(|&row| needed[column][row] = true);
                parts.push((column, rows));
            }
        }
        let logits = logits(seen, frame, &scorers, &needed)?;
        let of_patient =
            |(at, patient): (usize, &SitePatient)| patient.rows.clone().map(move |_| at);
        let patient = seen.rows.patients.iter().enumerate().flat_map(of_patient).collect();
        Ok(Self { parts, logits, patient, patients: seen.rows.patients.len() })
    }

    /// Per patient, its rows in a list (once per part that holds them) with their logits.
    pub(super) fn list(&self, list: usize) -> Vec<Vec<(usize, f64)>> {
        let mut hits = vec![Vec::new(); self.patients];
        for (column, rows) in &self.parts[list] {
            for &row in rows {
                hits[self.patient[row]].push((row, self.logits[*column][row]));
            }
        }
        hits
    }
}

/// [`Ask::Scores`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    models: &[Model],
    lists: &[ScoreList],
    split: &[Column],
    bins: &Bins,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let scored = Scored::new(seen, frame, models, lists)?;
    let cells = seen.cells(split);
    let width = seen.query.cells(split);
    let [mut positives, mut negatives, mut brier, mut log_loss, mut rows, mut scores] =
        Tally::of(seen.query);
    for (list, ScoreList { class, .. }) in lists.iter().enumerate() {
        for hits in scored.list(list) {
            for (cell, of_cell) in by_cell(&cells, hits, |(row, _)| *row) {
                let at = list * width + cell;
                let (mut squares, mut losses) = (0.0, 0.0);
                let mut probabilities = [0.0; CALIBRATION_BINS];
                for (row, logit) in of_cell {
                    let positive = seen.rows.class[row] == *class;
                    let p = Logit::new(logit).probability;
                    let bin = (p * CALIBRATION_BINS as f64) as usize;
                    let bin = bin.min(CALIBRATION_BINS - 1);
                    let histogram = if positive { &mut positives } else { &mut negatives };
                    histogram.count(at * bins.count as usize + bins.index(logit), 1);
                    rows.count((at * CALIBRATION_BINS + bin) * 2 + usize::from(positive), 1);
                    probabilities[bin] += p;
                    let clipped = p.clamp(CLIP, 1.0 - CLIP);
                    let (error, right) =
                        if positive { (p - 1.0, clipped) } else { (p, 1.0 - clipped) };
                    squares += error * error;
                    losses -= libm::log(right);
                }
                brier.add(at, squares)?;
                log_loss.add(at, losses)?;
                for (bin, &sum) in probabilities.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
                    scores.add(at * CALIBRATION_BINS + bin, sum)?;
                }
            }
        }
    }
    Ok(Tally::values([positives, negatives, brier, log_loss, rows, scores]))
}

/// [`Rows::scores`].
pub(super) fn row_scores(rows: &Rows, query: &Query) -> Result<Vec<Vec<RowScore>>, CohortError> {
    let (Ask::Scores { frame, models, lists, .. }
    | Ask::Placements { frame, models, lists, .. }
    | Ask::Bootstrap { frame, models, lists, .. }) = &query.ask
    else {
        return Ok(Vec::new());
    };
    let mut out = vec![Vec::new(); lists.len()];
    let mut first = BTreeMap::new();
    let mut before = 0;
    for site in &rows.sites {
        first.insert(&site.id, before);
        before += site.len();
    }
    for (index, site) in rows.named(query) {
        let scored = Scored::new(&site.seen(query, index), frame, models, lists)?;
        for (list, out) in out.iter_mut().enumerate() {
            for (row, logit) in scored.list(list).into_iter().flatten() {
                let positive = site.class[row] == lists[list].class;
                out.push(RowScore { row: first[&site.id] + row, positive, logit });
            }
        }
    }
    Ok(out)
}

/// A model, ready to score.
enum Scorer<'a> {
    Linear(Folded),
    Trees(&'a TreeModel),
    /// With the repeat whose folds an own-site scaler's are.
    Fourier(&'a FourierModel, u8),
    /// All classes, and which one is meant.
    Softmax(Arc<Vec<Folded>>, usize),
}

/// Per model, the logit of each row that needs one (0 elsewhere).
fn logits(
    seen: &Seen<'_>,
    frame: &Frame,
    scorers: &[Scorer<'_>],
    needed: &[Vec<bool>],
) -> Result<Vec<Vec<f64>>, CohortError> {
    let mut logits = vec![Vec::new(); scorers.len()];
    let (mut places, mut linear, mut of_linear) = (Vec::new(), Vec::new(), Vec::new());
    let (mut on_maps, mut places_on_maps) = (Vec::new(), Vec::new());
    let mut softmax_of: Vec<(&Arc<Vec<Folded>>, Vec<(usize, usize)>)> = Vec::new();
    for (at, (scorer, needed)) in scorers.iter().zip(needed).enumerate() {
        match scorer {
            Scorer::Trees(model) => logits[at] = seen.rows.gridded(frame).scores(model, needed),
            Scorer::Fourier(model, repeat) => {
                places_on_maps.push(at);
                on_maps.push((*model, *repeat, needed.as_slice()));
            }
            Scorer::Linear(folded) => {
                places.push(at);
                linear.push(folded);
                of_linear.push(needed);
            }
            Scorer::Softmax(models, class) => {
                let shared = softmax_of.iter_mut().find(|(other, _)| Arc::ptr_eq(other, models));
                match shared {
                    Some((_, classes)) => classes.push((at, *class)),
                    None => softmax_of.push((models, vec![(at, *class)])),
                }
            }
        }
    }
    if !linear.is_empty() {
        let framed = seen.rows.framed(frame);
        let of_models = linear_logits(seen, &framed.z, &linear, &of_linear);
        places.into_iter().zip(of_models).for_each(|(at, values)| logits[at] = values);
    }
    for (models, classes) in softmax_of {
        let framed = seen.rows.framed(frame);
        let all: Vec<&Folded> = models.iter().collect();
        let any = |row: usize| classes.iter().any(|&(at, _)| needed[at][row]);
        let any: Vec<bool> = (0..seen.rows.len()).map(any).collect();
        let scores = linear_logits(seen, &framed.z, &all, &vec![&any; all.len()]);
        for (at, class) in classes {
            let of_row = |(row, &needed): (usize, &bool)| match needed {
                true => softmax::log_odds(class, |k| scores[k][row], all.len()),
                false => 0.0,
            };
            logits[at] = needed[at].iter().enumerate().map(of_row).collect();
        }
    }
    let of_models = fourier::logits(seen, frame, &on_maps);
    places_on_maps.into_iter().zip(of_models).for_each(|(at, values)| logits[at] = values);
    if let Some(bad) = logits.iter().flatten().find(|logit| !logit.is_finite()) {
        return Err(CohortError::Unfit(format!("a score at site {} is {bad}", seen.rows.id)));
    }
    Ok(logits)
}

fn linear_logits(
    seen: &Seen<'_>,
    z: &Matrix,
    models: &[&Folded],
    needed: &[&Vec<bool>],
) -> Vec<Vec<f64>> {
    let width = seen.features() + 1;
    let n = seen.rows.len();
    let starts: Vec<usize> = (0..n).step_by(CHUNK).collect();
    let of_chunk = |&start: &usize| {
        let mut out = Vec::new();
        for (model, needed) in models.iter().zip(needed) {
            let rows = start..n.min(start + CHUNK);
            out.extend(rows.map(|row| match needed[row] {
                true => dot(&z.row(row)[..width], &model.weights),
                false => 0.0,
            }));
        }
        out
    };
    let chunks: Vec<Vec<f64>> = starts.par_iter().map(of_chunk).collect();
    let mut logits = vec![Vec::with_capacity(n); models.len()];
    for chunk in chunks {
        let rows = chunk.len() / models.len().max(1);
        for (logits, values) in logits.iter_mut().zip(chunk.chunks_exact(rows.max(1))) {
            logits.extend_from_slice(values);
        }
    }
    for &(row, column) in seen.rows.missing_entries() {
        for (logits, model) in logits.iter_mut().zip(models) {
            logits[row] += model.weights[column] * model.fill[column];
        }
    }
    logits
}
