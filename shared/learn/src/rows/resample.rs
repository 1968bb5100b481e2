//! How often a training row counts: by its class's weight, a whole number of times that is drawn
//! (over-sampling), or once and further times as a point between it and a neighbour (SMOTE).
//!
//! Draws are keyed by patient and by the row's place among its patient's rows, whatever the training set:
//! a row that counts often in one counts often in others. A synthetic row goes wherever the row goes that
//! it was made for: it is drawn with that row's patient, adds nothing to the number of patients, and is
//! there in training questions alone. It is made of rows that are in the training set, at one site.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use wardround_core::query::{ClassWeights, Counting, FoldPlan, FoldSet, Frame, RowSet};
use wardround_core::seed::Seed;

use super::draws::uniform;
use super::gridded::Gridded;
use super::neighbours::Neighbours;
use super::site::{RowWeights, Seen, SitePatient, SiteRows, lock};
use crate::cohort::CohortError;

/// Neighbourhoods that are kept; a study has one per training set and class.
const KEPT_NEIGHBOURS: usize = 1024;

/// Bytes of synthetic rows on a grid that are kept: two per feature and row.
const KEPT_BYTES: usize = 512 << 20;

/// How much each row of a training set counts: as often as its class or a draw says, times its own weight.
#[derive(Debug)]
pub(super) struct Counts {
    weights: RowWeights,
    often: Often,
}

#[derive(Debug)]
enum Often {
    /// By its class.
    Weighted(ClassWeights),
    /// Drawn.
    Drawn(Drawn),
}

/// A training set as it was drawn.
#[derive(Debug)]
struct Drawn {
    /// Per row of the site, how often it counts itself; 0 outside the training set.
    times: Vec<f64>,
    /// Synthetic rows, each of which counts once, in the order of the rows that they were made for.
    made: Vec<Made>,
}

/// A synthetic row: `row + share (other - row)`; a feature that either misses is the row's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Made {
    pub(super) row: usize,
    pub(super) other: usize,
    /// In [0, 1).
    pub(super) share: f64,
}

/// Which neighbourhoods: folds of a deal, a class, and whether they are its rows' or all others'.
type Side = (FoldPlan, u8, FoldSet, u8, bool);

/// What draws need again and again, all of it made anew when it is gone.
#[derive(Debug, Default)]
pub(super) struct Cache {
    bits: Mutex<Option<(Seed, Arc<Vec<u64>>)>>,
    neighbours: Mutex<HashMap<Side, Arc<Neighbours>>>,
    /// The last used is the last.
    grids: Mutex<Vec<(Training, Arc<Gridded>)>>,
}

/// What synthetic rows are made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Training {
    plan: FoldPlan,
    repeat: u8,
    folds: FoldSet,
    class: u8,
    weights: ClassWeights,
}

impl Counts {
    /// How much a row counts.
    pub(super) fn of(&self, row: usize, positive: bool) -> f64 {
        let often = match &self.often {
            Often::Weighted(weights) => weights.of(positive),
            Often::Drawn(drawn) => drawn.times[row],
        };
        often * self.weights.of(row)
    }

    /// The synthetic rows.
    pub(super) fn made(&self) -> &[Made] {
        match &self.often {
            Often::Weighted(_) => &[],
            Often::Drawn(drawn) => &drawn.made,
        }
    }

    /// How much a synthetic row counts: as the row that it was made for.
    pub(super) fn of_made(&self, made_for: usize) -> f64 {
        self.weights.of(made_for)
    }
}

impl Made {
    /// A feature of it, given those of the rows.
    pub(super) fn between(&self, row: f64, other: f64) -> f64 {
        match row.is_nan() || other.is_nan() {
            true => row,
            false => row + self.share * (other - row),
        }
    }
}

impl Seen<'_> {
    /// How often each row of a training set counts for a model of a class.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: the file of features can't be read.
    pub(super) fn counts(
        &self,
        rows: &RowSet,
        class: u8,
        weights: ClassWeights,
    ) -> Result<Counts, CohortError> {
        let of = |often| Counts { weights: self.rows.weights.clone(), often };
        if !weights.is_drawn() {
            return Ok(of(Often::Weighted(weights)));
        }
        let bits = self.rows.bits_of_rows(self.query.folds.seed);
        let selected = self.selected(rows);
        let is_positive = |row: usize| self.classes[row].has(class);
        let neighbours = |positive: bool| {
            let wanted = weights.counting == Counting::Synthetic && weights.of(positive) > 1.0;
            let members = || selected.iter().copied().filter(|&row| is_positive(row) == positive);
            let key = (self.query.folds, rows.repeat, rows.folds, class, positive);
            wanted.then(|| self.neighbours(key, || members().collect())).transpose()
        };
        let neighbours = [neighbours(false)?, neighbours(true)?];
        let mut drawn = Drawn { times: vec![0.0; self.rows.len()], made: Vec::new() };
        for &row in &selected {
            let positive = is_positive(row);
            let weight = weights.of(positive);
            let once_more = uniform(bits[row], 0) < weight.fract();
            let times = weight.floor() + f64::from(u8::from(once_more));
            let near = neighbours[usize::from(positive)].as_ref().map_or(&[][..], |n| n.of(row));
            if near.is_empty() {
                drawn.times[row] = times;
                continue;
            }
            drawn.times[row] = 1.0;
            drawn.made.extend((1..times as u32).map(|further| {
                let (which, share) =
                    (uniform(bits[row], 2 * further - 1), uniform(bits[row], 2 * further));
                let other = near[(which * near.len() as f64) as usize] as usize;
                Made { row, other, share }
            }));
        }
        Ok(of(Often::Drawn(drawn)))
    }

    fn neighbours(
        &self,
        key: Side,
        members: impl FnOnce() -> Vec<usize>,
    ) -> Result<Arc<Neighbours>, CohortError> {
        let (_, repeat, folds, ..) = key;
        let mut kept = lock(&self.rows.resampling.neighbours);
        if let Some(known) = kept.get(&key) {
            return Ok(known.clone());
        }
        if kept.len() >= KEPT_NEIGHBOURS {
            kept.clear();
        }
        let found = Neighbours::search(self, repeat, folds, members());
        let found = Arc::new(found.map_err(|error| self.rows.failed(&error))?);
        Ok(kept.entry(key).or_insert(found).clone())
    }

    /// What a model's synthetic rows are made for; `None` where it has none.
    pub(super) fn training(
        &self,
        rows: &RowSet,
        class: u8,
        weights: ClassWeights,
    ) -> Option<Training> {
        let RowSet { repeat, folds, .. } = *rows;
        let synthetic = weights.counting == Counting::Synthetic;
        synthetic.then_some(Training { plan: self.query.folds, repeat, folds, class, weights })
    }

    /// Synthetic rows on a frame's grid; `None` where there are none.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: a file can't be read or written.
    pub(super) fn made_on_grid(
        &self,
        frame: &Frame,
        training: Training,
        made: &[Made],
    ) -> Result<Option<Arc<Gridded>>, CohortError> {
        if made.is_empty() {
            return Ok(None);
        }
        let mut kept = lock(&self.rows.resampling.grids);
        let known = |(of, grid): &(Training, Arc<Gridded>)| *of == training && grid.frame == *frame;
        let grid = match kept.iter().position(known) {
            Some(at) => kept.remove(at).1,
            None => {
                let d = self.features();
                let values = |range: Range<usize>, out: &mut [f64]| {
                    for (made, out) in made[range].iter().zip(out.chunks_exact_mut(d)) {
                        let (row, other) = (self.rows.row(made.row)?, self.rows.row(made.other)?);
                        let columns = row.iter().zip(other.iter());
                        out.iter_mut().zip(columns).for_each(|(out, (&row, &other))| {
                            *out = made.between(row, other);
                        });
                    }
                    Ok(())
                };
                let grid = Gridded::new(frame, made.len(), d, self.rows.storage(), values);
                Arc::new(grid.map_err(|error| self.rows.failed(&error))?)
            }
        };
        kept.push((training, grid.clone()));
        let mut bytes: usize = kept.iter().map(|(_, grid)| grid.bytes()).sum();
        while bytes > KEPT_BYTES && kept.len() > 1 {
            bytes -= kept.remove(0).1.bytes();
        }
        Ok(Some(grid))
    }
}

impl SiteRows {
    /// The bits by which a seed draws each row; the last seed's are kept.
    fn bits_of_rows(&self, seed: Seed) -> Arc<Vec<u64>> {
        let mut kept = lock(&self.resampling.bits);
        match &*kept {
            Some((of_seed, bits)) if *of_seed == seed => bits.clone(),
            _ => {
                let of_patient = |SitePatient { issuer, key, rows }: &SitePatient| {
                    let of_row = |at: usize| {
                        let at = (at as u64).to_le_bytes();
                        seed.bits("times of a row", &[issuer.as_bytes(), key.as_bytes(), &at])
                    };
                    (0..rows.len()).map(of_row).collect::<Vec<_>>()
                };
                let bits = Arc::new(self.patients.iter().flat_map(of_patient).collect());
                kept.insert((seed, bits)).1.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests;
