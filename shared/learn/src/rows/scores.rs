//! Scores of lists of rows, as histograms and calibration sums, rounded per patient.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Ask, Bins, CALIBRATION_BINS, Column, Combine, EnsembleModel, FourierModel, Frame, GivenScores,
    Model, Query, ScoreList, ScoreOf, SoftmaxModel, TreeModel,
};

use super::counts::by_cell;
use super::framed::Views;
use super::kernel::dot;
use super::linear::{Folded, Logit};
use super::site::{Seen, SitePatient};
use super::tally::Tally;
use super::units::Units;
use super::{Rows, fourier, softmax};
use crate::cohort::CohortError;

/// Rows scored together; keeps a block of rows in the cache while the models pass by.
const CHUNK: usize = 32;

/// Such blocks whose scores are held beside all others'.
const CHUNKS_AT_ONCE: usize = 512;

/// Bytes of scores that are held at once, about.
const SCORED_BYTES: usize = 256 << 20;

/// Probabilities nearer to 0 or 1 than this count as this in the log loss (as scikit-learn did).
pub(super) const CLIP: f64 = 1e-15;

/// The unbinned score of a row, or of what is judged in its place, in a list; see [`Rows::scores`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowScore {
    /// The row, in the order of [`Rows::rows`]; of a unit of several its first.
    pub row: usize,
    /// Whether it is of the list's class.
    pub positive: bool,
    /// Its logit.
    pub logit: f64,
}

/// The rows of a site with the logits that some lists need.
#[derive(Debug)]
pub(super) struct Scored {
    /// Per list, those of its parts that have rows.
    parts: Vec<Vec<ScoredPart>>,
    /// Per model that is needed, the logit of each row that needs one.
    logits: Vec<Vec<f64>>,
    /// The patient of each row.
    patient: Vec<usize>,
    patients: usize,
    of: Of,
}

/// What a list has scores of.
#[derive(Debug)]
enum Of {
    /// Rows, whatever is judged.
    Rows,
    /// What is judged.
    Units(Arc<Units>),
}

/// The rows of a part of a list.
#[derive(Debug, Clone)]
struct ScoredPart {
    /// Its place among the list's parts.
    part: usize,
    /// Which logits are theirs.
    column: usize,
    rows: Vec<usize>,
}

impl Scored {
    /// Scores what is judged of every list.
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
        Self::on(seen, Of::Units(seen.units.clone()), [frame, frame], models, lists)
    }

    /// The rows themselves with models that are members of an ensemble: trees act on the grid of the others' frame.
    ///
    /// # Errors
    /// As [`Scored::new`].
    pub(super) fn of_members(
        seen: &Seen<'_>,
        frame: &Frame,
        models: &[Model],
        lists: &[ScoreList],
    ) -> Result<Self, CohortError> {
        Self::on(seen, Of::Rows, [frame, &frame.grid()], models, lists)
    }

    fn on(
        seen: &Seen<'_>,
        of: Of,
        [frame, of_trees]: [&Frame; 2],
        models: &[Model],
        lists: &[ScoreList],
    ) -> Result<Self, CohortError> {
        let grid = frame.grid();
        let mut columns = Columns::new(seen, frame);
        let mut parts = vec![Vec::new(); lists.len()];
        for (parts, ScoreList { class, parts: of_list }) in parts.iter_mut().zip(lists) {
            let class = match seen.scores {
                ScoreOf::Mark => *class,
                ScoreOf::Class(class) => class,
            };
            for (part, (set, at)) in of_list.iter().enumerate() {
                let rows = seen.selected(set);
                if rows.is_empty() {
                    continue;
                }
                let at = *at as usize;
                let column = match &models[at] {
                    Model::Ensemble(EnsembleModel { members, combine, .. }) => {
                        let mut of = Vec::with_capacity(members.len());
                        for (m, model) in members.iter().enumerate() {
                            let key = (at, Some(m));
                            of.push(columns.single(key, model, &grid, set.repeat, &rows)?);
                        }
                        columns.ensemble(at, combine, of, &rows)
                    }
                    Model::Softmax(model) => {
                        columns.softmax((at, class), model, set.repeat, &rows)?
                    }
                    model => columns.single((at, None), model, of_trees, set.repeat, &rows)?,
                };
                parts.push(ScoredPart { part, column, rows });
            }
        }
        let logits = columns.logits()?;
        let of_patient =
            |(at, patient): (usize, &SitePatient)| patient.rows.clone().map(move |_| at);
        let patient = seen.rows.patients.iter().enumerate().flat_map(of_patient).collect();
        Ok(Self { parts, logits, patient, patients: seen.rows.patients.len(), of })
    }

    /// Per patient, what is judged of it in a list (once per part that holds it) with its logits.
    pub(super) fn list(&self, list: usize) -> Vec<Vec<(usize, f64)>> {
        self.by_patient(list, |at, logit, _| (at, logit))
    }

    /// The same with the part that holds it.
    pub(super) fn list_by_part(&self, list: usize) -> Vec<Vec<(usize, f64, usize)>> {
        self.by_patient(list, |at, logit, part| (at, logit, part))
    }

    fn by_patient<T: Clone>(
        &self,
        list: usize,
        hit: impl Fn(usize, f64, usize) -> T,
    ) -> Vec<Vec<T>> {
        let mut hits = vec![Vec::new(); self.patients];
        for ScoredPart { part, column, rows } in &self.parts[list] {
            let logits = &self.logits[*column];
            match &self.of {
                Of::Rows => {
                    for &row in rows {
                        hits[self.patient[row]].push(hit(row, logits[row], *part));
                    }
                }
                Of::Units(units) => {
                    for (unit, logit) in units.scores(rows, logits) {
                        let patient = self.patient[units.first_row[unit]];
                        hits[patient].push(hit(unit, logit, *part));
                    }
                }
            }
        }
        hits
    }
}

/// Lists that are scored together, with the index of the first: all of them unless rows are many.
pub(super) fn together<'a>(
    seen: &Seen<'_>,
    lists: &'a [ScoreList],
) -> impl Iterator<Item = (usize, &'a [ScoreList])> {
    // Each row has a score by each part's model, whether it is needed, and its place in a part.
    let of_part = size_of::<f64>() + size_of::<bool>();
    let most = lists.iter().map(|list| list.parts.len()).max().unwrap_or(0);
    let of_list = seen.rows.len() * (most * of_part + size_of::<usize>());
    let at_once = (SCORED_BYTES / of_list.max(1)).max(1);
    lists.chunks(at_once).enumerate().map(move |(at, lists)| (at * at_once, lists))
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
    let cells = seen.cells_of_units(split);
    let width = seen.query.cells(split);
    let [mut positives, mut negatives, mut brier, mut log_loss, mut rows, mut scores] =
        Tally::of(seen.query);
    for (first, lists) in together(seen, lists) {
        let scored = Scored::new(seen, frame, models, lists)?;
        for (at_list, ScoreList { class, .. }) in lists.iter().enumerate() {
            for hits in scored.list(at_list) {
                for (cell, of_cell) in by_cell(hits.into_iter().map(|hit| (cells[hit.0], hit))) {
                    let at = (first + at_list) * width + cell;
                    let (mut squares, mut losses) = (0.0, 0.0);
                    let mut probabilities = [0.0; CALIBRATION_BINS];
                    for (unit, logit) in of_cell {
                        let positive = seen.units().classes[unit].has(*class);
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
                    for (bin, &sum) in
                        probabilities.iter().enumerate().filter(|(_, sum)| **sum > 0.0)
                    {
                        scores.add(at * CALIBRATION_BINS + bin, sum)?;
                    }
                }
            }
        }
    }
    Ok(Tally::values([positives, negatives, brier, log_loss, rows, scores]))
}

/// [`Rows::scores`].
pub(super) fn row_scores(rows: &Rows, query: &Query) -> Result<Vec<Vec<RowScore>>, CohortError> {
    let question = query.stands_for();
    let (Ask::Scores { frame, models, lists, .. }
    | Ask::Placements { frame, models, lists, .. }
    | Ask::Resampled { frame, models, lists, .. }
    | Ask::Calls { frame, models, lists, .. }
    | Ask::Bootstrap { frame, models, lists, .. }) = &question.ask
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
        let seen = match &query.ask {
            Ask::Marked(marked) => site.marked(&question, marked, index),
            _ => site.seen(query, index),
        };
        let scored = Scored::new(&seen, frame, models, lists)?;
        for (list, out) in out.iter_mut().enumerate() {
            for (unit, logit) in scored.list(list).into_iter().flatten() {
                let units = seen.units();
                let positive = units.classes[unit].has(lists[list].class);
                let row = first[&site.id] + units.first_row[unit];
                out.push(RowScore { row, positive, logit });
            }
        }
    }
    Ok(out)
}

/// Scores of rows by models: a column each, of members of ensembles too.
struct Columns<'a> {
    seen: &'a Seen<'a>,
    frame: &'a Frame,
    /// By model and member. A model with the site's own scaler is another one in every repeat.
    singles: BTreeMap<(usize, Option<usize>, Option<u8>), usize>,
    /// By model of all classes, its own-site scaler's repeat and class; the columns of all classes' own scores are in between.
    softmax: BTreeMap<(usize, Option<u8>, u8), usize>,
    /// By model of all classes and repeat, the columns of all classes' own scores.
    classes: BTreeMap<(usize, Option<u8>), Vec<usize>>,
    /// By model and its members' columns.
    ensembles: BTreeMap<(usize, Vec<usize>), usize>,
    scorers: Vec<Scorer<'a>>,
    /// Per column, the rows that need it.
    needed: Vec<Vec<bool>>,
}

/// A model, ready to score.
enum Scorer<'a> {
    Linear(Folded),
    /// On this frame's grid.
    Trees(&'a TreeModel, &'a Frame),
    /// With the repeat whose folds an own-site scaler's are.
    Fourier(&'a FourierModel, u8),
    /// Of the scores in other columns, which come before.
    Ensemble(&'a Combine, Vec<usize>),
    /// What somebody else scored the rows with.
    Given(&'a [f64]),
    /// Of a class, by number, among the scores of all classes in other columns, which come before.
    LogOdds(usize, Vec<usize>),
}

impl<'a> Columns<'a> {
    fn new(seen: &'a Seen<'a>, frame: &'a Frame) -> Self {
        let (singles, ensembles) = (BTreeMap::new(), BTreeMap::new());
        let (softmax, classes) = (BTreeMap::new(), BTreeMap::new());
        let (scorers, needed) = (Vec::new(), Vec::new());
        Self { seen, frame, singles, softmax, classes, ensembles, scorers, needed }
    }

    /// The column of a model that is no ensemble, which these rows need; trees act on `grid`'s.
    fn single(
        &mut self,
        (at, member): (usize, Option<usize>),
        model: &'a Model,
        grid: &'a Frame,
        repeat: u8,
        rows: &[usize],
    ) -> Result<usize, CohortError> {
        let own_site = match model {
            Model::Linear(model) => model.scaler.is_own(),
            Model::Fourier(model) => model.map.scaler.is_own(),
            Model::Trees(_) | Model::Ensemble(_) | Model::Softmax(_) | Model::Given(_) => false,
        };
        let next = self.scorers.len();
        let key = (at, member, own_site.then_some(repeat));
        let column = *self.singles.entry(key).or_insert(next);
        if column == next {
            let scorer = match model {
                Model::Trees(model) => Scorer::Trees(model, grid),
                Model::Fourier(model) => Scorer::Fourier(model, repeat),
                Model::Linear(model) => {
                    let framed = self.seen.rows.framed(self.frame)?;
                    Scorer::Linear(Folded::new(self.seen, &framed, model, repeat)?)
                }
                Model::Given(model) => Scorer::Given(given(self.seen, model)?),
                Model::Ensemble(_) | Model::Softmax(_) => {
                    let what = "an ensemble of ensembles, or of models of all classes";
                    return Err(CohortError::Unfit(what.into()));
                }
            };
            self.push(scorer);
        }
        self.need(column, rows);
        Ok(column)
    }

    /// The column of a class's log-odds by a model of all classes, which these rows need.
    fn softmax(
        &mut self,
        (at, class): (usize, u8),
        model: &SoftmaxModel,
        repeat: u8,
        rows: &[usize],
    ) -> Result<usize, CohortError> {
        let repeat_of = model.scaler.is_own().then_some(repeat);
        let classes = match self.classes.get(&(at, repeat_of)) {
            Some(columns) => columns.clone(),
            None => {
                let framed = self.seen.rows.framed(self.frame)?;
                let first = self.scorers.len();
                for folded in softmax::folded(self.seen, &framed, model, repeat)? {
                    self.push(Scorer::Linear(folded));
                }
                let columns: Vec<usize> = (first..self.scorers.len()).collect();
                self.classes.insert((at, repeat_of), columns.clone());
                columns
            }
        };
        classes.iter().for_each(|&column| self.need(column, rows));
        let next = self.scorers.len();
        let column = *self.softmax.entry((at, repeat_of, class)).or_insert(next);
        if column == next {
            self.push(Scorer::LogOdds(usize::from(class), classes));
        }
        self.need(column, rows);
        Ok(column)
    }

    /// The column of an ensemble whose members have these.
    fn ensemble(
        &mut self,
        at: usize,
        combine: &'a Combine,
        members: Vec<usize>,
        rows: &[usize],
    ) -> usize {
        let next = self.scorers.len();
        let column = *self.ensembles.entry((at, members.clone())).or_insert(next);
        if column == next {
            self.push(Scorer::Ensemble(combine, members));
        }
        self.need(column, rows);
        column
    }

    fn push(&mut self, scorer: Scorer<'a>) {
        self.scorers.push(scorer);
        self.needed.push(vec![false; self.seen.rows.len()]);
    }

    fn need(&mut self, column: usize, rows: &[usize]) {
        rows.iter().for_each(|&row| self.needed[column][row] = true);
    }

    /// Per column, the logit of each row that needs one (0 elsewhere).
    fn logits(&self) -> Result<Vec<Vec<f64>>, CohortError> {
        let Self { seen, frame, scorers, needed, .. } = self;
        let mut logits = vec![Vec::new(); scorers.len()];
        let (mut places, mut linear, mut of_linear) = (Vec::new(), Vec::new(), Vec::new());
        let (mut on_maps, mut places_on_maps) = (Vec::new(), Vec::new());
        for (at, (scorer, needed)) in scorers.iter().zip(needed).enumerate() {
            match scorer {
                Scorer::Trees(model, grid) => {
                    let gridded = seen.rows.gridded(grid)?;
                    let scores = gridded.scores(model, needed);
                    logits[at] = scores.map_err(|error| seen.rows.failed(&error))?;
                }
                Scorer::Fourier(model, repeat) => {
                    places_on_maps.push(at);
                    on_maps.push((*model, *repeat, needed.as_slice()));
                }
                Scorer::Linear(folded) => {
                    places.push(at);
                    linear.push(folded);
                    of_linear.push(needed);
                }
                Scorer::Given(scores) => logits[at] = scores.to_vec(),
                Scorer::Ensemble(..) | Scorer::LogOdds(..) => {}
            }
        }
        if !linear.is_empty() {
            let framed = seen.rows.framed(frame)?;
            let of_models = linear_logits(seen, &seen.rows.plain(&framed), &linear, &of_linear)?;
            places.into_iter().zip(of_models).for_each(|(at, values)| logits[at] = values);
        }
        let of_models = fourier::logits(seen, frame, &on_maps)?;
        places_on_maps.into_iter().zip(of_models).for_each(|(at, values)| logits[at] = values);
        for (at, (scorer, needed)) in scorers.iter().zip(needed).enumerate() {
            if let Scorer::LogOdds(class, classes) = scorer {
                let of_row = |(row, needed): (usize, &bool)| match needed {
                    true => softmax::log_odds(*class, |k| logits[classes[k]][row], classes.len()),
                    false => 0.0,
                };
                logits[at] = needed.iter().enumerate().map(of_row).collect();
            }
            if let Scorer::Ensemble(combine, members) = scorer {
                let of_row = |(row, needed): (usize, &bool)| match needed {
                    true => combine.logit(members.iter().map(|&member| logits[member][row])),
                    false => 0.0,
                };
                logits[at] = needed.iter().enumerate().map(of_row).collect();
            }
        }
        if let Some(bad) = logits.iter().flatten().find(|logit| !logit.is_finite()) {
            return Err(CohortError::Unfit(format!("a score at site {} is {bad}", seen.rows.id)));
        }
        Ok(logits)
    }
}

/// A score for each of the site's rows.
fn given<'a>(seen: &Seen<'_>, model: &'a GivenScores) -> Result<&'a [f64], CohortError> {
    let scores = model.by_site.get(&seen.rows.id).map_or(&[][..], Vec::as_slice);
    let (expected, got) = (seen.rows.len(), scores.len());
    if got == expected {
        return Ok(scores);
    }
    let site = &seen.rows.id;
    Err(CohortError::Unfit(format!("{got} scores are given for {expected} rows of site {site}")))
}

fn linear_logits(
    seen: &Seen<'_>,
    views: &Views<'_>,
    models: &[&Folded],
    needed: &[&Vec<bool>],
) -> Result<Vec<Vec<f64>>, CohortError> {
    let width = seen.features() + 1;
    let n = seen.rows.len();
    let starts: Vec<usize> = (0..n).step_by(CHUNK).collect();
    let of_chunk = |&start: &usize| {
        let rows = start..n.min(start + CHUNK);
        if !needed.iter().any(|needed| needed[rows.clone()].contains(&true)) {
            return Ok(vec![0.0; rows.len() * models.len()]);
        }
        let block = views.block(rows.clone())?;
        let mut out = Vec::with_capacity(rows.len() * models.len());
        for (model, needed) in models.iter().zip(needed) {
            out.extend(rows.clone().map(|row| match needed[row] {
                true => dot(&block.row(row)[..width], &model.weights),
                false => 0.0,
            }));
        }
        Ok(out)
    };
    let mut logits = vec![Vec::with_capacity(n); models.len()];
    for starts in starts.chunks(CHUNKS_AT_ONCE) {
        let chunks: Vec<Vec<f64>> =
            starts.par_iter().map(of_chunk).collect::<Result<_, CohortError>>()?;
        for chunk in chunks {
            let rows = chunk.len() / models.len().max(1);
            for (logits, values) in logits.iter_mut().zip(chunk.chunks_exact(rows.max(1))) {
                logits.extend_from_slice(values);
            }
        }
    }
    for &(row, column) in seen.rows.missing_entries() {
        for (logits, model) in logits.iter_mut().zip(models) {
            logits[row] += model.weights[column] * model.fill[column];
        }
    }
    Ok(logits)
}
