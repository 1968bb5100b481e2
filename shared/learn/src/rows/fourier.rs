//! Models on random Fourier features as one site evaluates them. Rows are mapped chunk by chunk, anew
//! for every question: all mapped rows of all training sets wouldn't fit into memory.
//!
//! Chunks are of the site's rows, whatever models are asked about, and a row that isn't in a model's
//! training set adds nothing: so a model's numbers are the same bits alone and in company.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{FourierMap, FourierModel, FourierTerm, Frame, MapScaler};
use wardround_core::study::Loss;

use super::framed::{Framed, Views};
use super::kernel::{Matrix, Panels, add_cross, dot, product};
use super::loss;
use super::resample::{Counts, Made};
use super::scale::SiteScale;
use super::site::{Seen, gaps};
use super::tally::Tally;
use crate::cohort::CohortError;
use crate::fourier::Fourier;

/// Rows that are mapped together: with 4,096 components they take 17 MB.
const CHUNK: usize = 512;

/// Rows that one thread scores.
const SCORED_CHUNK: usize = 32;

/// A map with the rows it maps.
struct Mapper<'a> {
    seen: &'a Seen<'a>,
    views: Views<'a>,
    fourier: Fourier,
    mean: Cow<'a, [f64]>,
    inverse: Cow<'a, [f64]>,
}

/// A term of a map.
struct Active<'a> {
    /// Its index in the query.
    at: usize,
    /// Where its gradient begins.
    first: usize,
    term: &'a FourierTerm,
    counts: Counts,
}

/// What a term adds up to.
struct Part {
    loss: f64,
    /// By weights and constant.
    gradient: Vec<f64>,
}

/// [`wardround_core::query::Ask::FourierHinge`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    maps: &[Arc<FourierMap>],
    terms: &[FourierTerm],
) -> Result<Vec<Vec<i64>>, CohortError> {
    // A map with the site's own scaler is another one in every repeat.
    let mut groups: BTreeMap<(u32, Option<u8>), Vec<Active<'_>>> = BTreeMap::new();
    let mut first = 0;
    for (at, term) in terms.iter().enumerate() {
        if term.rows.sites.contains(seen.site) {
            let own_site = maps[term.map as usize].scaler.is_own();
            let of_repeat = own_site.then_some(term.rows.repeat);
            let group = groups.entry((term.map, of_repeat)).or_default();
            let counts = seen.counts(&term.rows, term.class, term.class_weights)?;
            group.push(Active { at, first, term, counts });
        }
        first += term.weights.len() + 1;
    }
    let framed = seen.rows.framed(frame)?;
    let [mut loss, mut gradient] = Tally::of(seen.query);
    for ((map, repeat), active) in &groups {
        let mapper = Mapper::new(seen, &framed, &maps[*map as usize], repeat.unwrap_or(0))?;
        for (Active { at, first, .. }, part) in active.iter().zip(parts(&mapper, active)?) {
            loss.add(*at, part.loss)?;
            for (k, value) in part.gradient.into_iter().enumerate() {
                gradient.add(first + k, value)?;
            }
        }
    }
    Ok(Tally::values([loss, gradient]))
}

/// Per model, with the repeat whose folds an own-site scaler's are and the rows to score: the logit of
/// each row that needs one, 0 elsewhere.
///
/// # Errors
/// [`CohortError::SiteFailed`]: the file of features can't be read.
pub(super) fn logits(
    seen: &Seen<'_>,
    frame: &Frame,
    models: &[(&FourierModel, u8, &[bool])],
) -> Result<Vec<Vec<f64>>, CohortError> {
    let n = seen.rows.len();
    let mut logits = vec![vec![0.0; n]; models.len()];
    if models.is_empty() {
        return Ok(logits);
    }
    let framed = seen.rows.framed(frame)?;
    for group in by_map(models) {
        let (model, repeat, _) = models[group[0]];
        let mapper = Mapper::new(seen, &framed, &model.map, repeat)?;
        let needs = |row: usize| group.iter().any(|&at| models[at].2[row]);
        let score = |row: usize, z: &[f64], mapped: &mut [f64]| -> Vec<f64> {
            mapper.map(row, z, mapped);
            let of_model = |&at: &usize| match models[at] {
                (model, _, needed) if needed[row] => dot(mapped, &model.weights) + model.intercept,
                _ => 0.0,
            };
            group.iter().map(of_model).collect()
        };
        let starts: Vec<usize> = (0..n).step_by(SCORED_CHUNK).collect();
        let of_chunk = |&start: &usize| {
            let mut mapped = vec![0.0; mapper.fourier.components()];
            let rows = start..n.min(start + SCORED_CHUNK);
            let mut scores = Vec::new();
            if rows.clone().any(needs) {
                let block = mapper.views.block(rows.clone())?;
                for row in rows.filter(|&row| needs(row)) {
                    scores.push((row, score(row, block.row(row), &mut mapped)));
                }
            }
            Ok(scores)
        };
        let scored = starts.par_iter().map(of_chunk).collect::<Result<Vec<_>, CohortError>>()?;
        for (row, scores) in scored.into_iter().flatten() {
            group.iter().zip(scores).for_each(|(&at, score)| logits[at][row] = score);
        }
    }
    Ok(logits)
}

/// Indices of models that share a map, in the order of the first of each.
fn by_map(models: &[(&FourierModel, u8, &[bool])]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, (model, repeat, _)) in models.iter().enumerate() {
        let own_site = model.map.scaler.is_own();
        let shared = groups.iter_mut().find(|group| {
            let (other, of_repeat, _) = models[group[0]];
            let same = Arc::ptr_eq(&other.map, &model.map) || other.map == model.map;
            same && (!own_site || of_repeat == *repeat)
        });
        match shared {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

impl<'a> Mapper<'a> {
    /// `repeat` is the deal that an own-site scaler's folds are of.
    fn new(
        seen: &'a Seen<'a>,
        framed: &'a Framed,
        map: &'a FourierMap,
        repeat: u8,
    ) -> Result<Self, CohortError> {
        let FourierMap { seed, components, gamma, scaler } = map;
        let fourier = Fourier::new(*seed, seen.features(), *components as usize, *gamma);
        let own = |scale: Arc<SiteScale>| {
            (Cow::Owned(scale.mean.clone()), Cow::Owned(scale.inverse.clone()))
        };
        let (mean, inverse) = match scaler {
            MapScaler::Given { mean, inverse } => {
                (Cow::Borrowed(mean.as_slice()), Cow::Borrowed(inverse.as_slice()))
            }
            MapScaler::OwnSite(folds) => own(seen.own_scale(framed, repeat, *folds)?),
            MapScaler::Combat(combat) => own(seen.adjusted(framed, repeat, combat)?),
        };
        Ok(Self { seen, views: seen.rows.plain(framed), fourier, mean, inverse })
    }

    /// Maps a row of the frame's `z`.
    fn map(&self, row: usize, z: &[f64], out: &mut [f64]) {
        self.fourier.map(&self.standardised(row, z), out);
    }

    /// Maps a synthetic row.
    fn map_made(&self, made: &Made, out: &mut [f64]) -> Result<(), CohortError> {
        let of = |row: usize| Ok::<_, CohortError>(self.standardised(row, &self.views.row(row)?));
        let (mut x, other) = (of(made.row)?, of(made.other)?);
        let missing = self.seen.rows.missing_entries();
        let of_row = x.clone();
        x.iter_mut().zip(&other).for_each(|(x, &other)| *x = made.between(*x, other));
        for &(_, k) in gaps(missing, made.row).iter().chain(gaps(missing, made.other)) {
            x[k] = of_row[k];
        }
        self.fourier.map(&x, out);
        Ok(())
    }

    /// A row in the units that are mapped; a missing feature is 0.
    fn standardised(&self, row: usize, z: &[f64]) -> Vec<f64> {
        let z = &z[..self.seen.features()];
        let columns = z.iter().zip(&*self.mean).zip(&*self.inverse);
        let mut x: Vec<f64> = columns.map(|((z, mean), inverse)| (z - mean) * inverse).collect();
        gaps(self.seen.rows.missing_entries(), row).iter().for_each(|&(_, k)| x[k] = 0.0);
        x
    }

    /// `(mapped row, 1)` of some rows.
    fn rows<T: Sync>(
        &self,
        rows: &[T],
        map: impl Fn(&T, &mut [f64]) -> Result<(), CohortError> + Sync,
    ) -> Result<Matrix, CohortError> {
        let components = self.fourier.components();
        let mut z = Matrix::zero(rows.len(), components + 1);
        let columns = z.columns;
        z.data.par_chunks_exact_mut(columns).zip(rows).try_for_each(|(out, row)| {
            out[components] = 1.0;
            map(row, &mut out[..components])
        })?;
        Ok(z)
    }
}

impl Active<'_> {
    fn has(&self, seen: &Seen<'_>, row: usize) -> bool {
        let rows = &self.term.rows;
        rows.folds.contains(seen.folds(rows.repeat)[row])
    }
}

/// What the terms of one map add up to, chunk by chunk in the order of rows.
fn parts(mapper: &Mapper<'_>, active: &[Active<'_>]) -> Result<Vec<Part>, CohortError> {
    let (n, columns) = (mapper.seen.rows.len(), mapper.fourier.components() + 1);
    let mut weights = Panels::zero(Matrix::zero(0, columns).columns, active.len());
    for (slot, Active { term, .. }) in active.iter().enumerate() {
        let values = term.weights.iter().chain([&term.intercept]).enumerate();
        values.for_each(|(k, &weight)| *weights.get_mut(k, slot) = weight);
    }
    let none = || Part { loss: 0.0, gradient: vec![0.0; columns] };
    let mut parts: Vec<Part> = active.iter().map(|_| none()).collect();
    for first in (0..n).step_by(CHUNK) {
        add_chunk(mapper, active, &weights, first..n.min(first + CHUNK), &mut parts)?;
    }
    for slot in 0..active.len() {
        // Models of one training set have the same synthetic rows, which are mapped once.
        let made = active[slot].counts.made();
        let is_same = |other: &usize| active[*other].counts.made() == made;
        if made.is_empty() || (0..slot).any(|before| is_same(&before)) {
            continue;
        }
        let slots: Vec<usize> = (slot..active.len()).filter(is_same).collect();
        for chunk in made.chunks(CHUNK) {
            add_made(mapper, active, &weights, chunk, &slots, &mut parts)?;
        }
    }
    Ok(parts)
}

/// Adds synthetic rows to the models in some slots.
fn add_made(
    mapper: &Mapper<'_>,
    active: &[Active<'_>],
    weights: &Panels,
    made: &[Made],
    slots: &[usize],
    parts: &mut [Part],
) -> Result<(), CohortError> {
    let z = mapper.rows(made, |made, out| mapper.map_made(made, out))?;
    let mut residuals = product(&z, weights);
    for (slot, Active { term, counts, .. }) in active.iter().enumerate() {
        for (at, made) in made.iter().enumerate() {
            let residual = residuals.get_mut(at, slot);
            let positive = mapper.seen.classes[made.row].has(term.class);
            let (value, slope) = loss::of(Loss::SquaredHinge, *residual, positive);
            let is_own = slots.contains(&slot);
            let weight = if is_own { counts.of_made(made.row) } else { 0.0 };
            parts[slot].loss += weight * value;
            *residual = weight * slope;
        }
    }
    add_gradients(&z, &residuals, parts);
    Ok(())
}

fn add_chunk(
    mapper: &Mapper<'_>,
    active: &[Active<'_>],
    weights: &Panels,
    chunk: Range<usize>,
    parts: &mut [Part],
) -> Result<(), CohortError> {
    let seen = mapper.seen;
    let in_any = |row: &usize| active.iter().any(|term| term.has(seen, *row));
    let rows: Vec<usize> = chunk.clone().filter(in_any).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let block = mapper.views.block(chunk)?;
    let map = |&row: &usize, out: &mut [f64]| {
        mapper.map(row, block.row(row), out);
        Ok(())
    };
    let z = mapper.rows(&rows, map)?;
    let mut residuals = product(&z, weights);
    for (slot, (term, part)) in active.iter().zip(&mut *parts).enumerate() {
        let class = &term.term.class;
        for (at, &row) in rows.iter().enumerate() {
            let residual = residuals.get_mut(at, slot);
            if !term.has(seen, row) {
                *residual = 0.0;
                continue;
            }
            let positive = seen.classes[row].has(*class);
            let (value, slope) = loss::of(Loss::SquaredHinge, *residual, positive);
            let weight = term.counts.of(row, positive);
            part.loss += weight * value;
            *residual = weight * slope;
        }
    }
    add_gradients(&z, &residuals, parts);
    Ok(())
}

/// Rows of padding are zeros, so whatever their residuals are adds nothing.
fn add_gradients(z: &Matrix, residuals: &Panels, parts: &mut [Part]) {
    let mut gradients = Panels::zero(z.columns, parts.len());
    add_cross(&mut gradients, z, residuals);
    for (slot, part) in parts.iter_mut().enumerate() {
        let sums = part.gradient.iter_mut().enumerate();
        sums.for_each(|(k, sum)| *sum += gradients.get(k, slot));
    }
}
