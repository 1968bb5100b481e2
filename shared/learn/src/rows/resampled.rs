//! What figures of cells are made of under draws of the patients, or of their subgroup levels.
//!
//! Patients are drawn by a Poisson bootstrap (Hanley and MacGibbon, Comput. Methods Programs Biomed. 2006;83:57), as in
//! [`super::bootstrap`]. Levels are dealt anew among patients of one site who have rows of the same sides of the class: a
//! permutation within strata, under which subgroups differ by chance alone (Good, *Permutation, Parametric and Bootstrap Tests of
//! Hypotheses*, 2005, chapter 3), while sites and prevalences stay as they are. The permutation is within a site, so that its
//! answer, unlike others, depends on how patients are split into sites.

use rayon::prelude::*;
use wardround_core::query::{
    Ask, Bins, CALIBRATION_BINS, Column, Draws, ListCuts, RESAMPLED_GROUPS, RESAMPLED_NUMBERS,
    ScoreList,
};
use wardround_core::seed::Seed;
use wardround_core::sum::{LIMIT, SumError, fix};

use super::draws::{poisson, uniform};
use super::linear::Logit;
use super::scores::{CLIP, Scored, together};
use super::site::Seen;
use crate::cohort::CohortError;

/// Where a cell's numbers stand beside each other; blocks in the order of the answer.
const CALLED: usize = 2 * RESAMPLED_GROUPS;
const BRIER: usize = CALLED + 2;
const LOG_LOSS: usize = BRIER + 1;
const ROWS: usize = LOG_LOSS + 1;
const SCORES: usize = ROWS + 2 * CALIBRATION_BINS;

/// How many numbers of a cell each block has.
const WIDTHS: [usize; 7] =
    [RESAMPLED_GROUPS, RESAMPLED_GROUPS, 2, 1, 1, 2 * CALIBRATION_BINS, CALIBRATION_BINS];

/// No patient is drawn more often.
const MOST_DRAWS: f64 = 20.0;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    split: &'a [Column],
    bins: &'a Bins,
    draws: Draws,
    seed: Seed,
    bits: u8,
}

/// [`Ask::Resampled`].
pub(super) fn answer(seen: &Seen<'_>) -> Result<Vec<Vec<i64>>, CohortError> {
    let Ask::Resampled { frame, models, lists, cuts, split, bins, draws, seed, replicates, bits } =
        &seen.query.ask
    else {
        return Ok(Vec::new());
    };
    let asked = &Asked { split, bins, draws: *draws, seed: *seed, bits: *bits };
    let mut blocks = vec![Vec::new(); WIDTHS.len()];
    for (first, lists) in together(seen, lists) {
        let scored = Scored::new(seen, frame, models, lists)?;
        for (at, list) in lists.iter().enumerate() {
            let rows = rows(seen, asked, &scored, at, (list, &cuts[first + at]))?;
            let cells = Cells::new(seen, asked, &rows);
            let [from, end] = replicates.map(u32::from);
            let replicates: Vec<Vec<i64>> = (from..end)
                .into_par_iter()
                .map(|replicate| cells.replicate(&rows, asked.draws, replicate))
                .collect();
            for cell in replicates.iter().flat_map(|all| all.chunks_exact(RESAMPLED_NUMBERS)) {
                let mut rest = cell;
                for (block, width) in blocks.iter_mut().zip(WIDTHS) {
                    let (here, after) = rest.split_at(width);
                    block.extend_from_slice(here);
                    rest = after;
                }
            }
        }
    }
    Ok(blocks)
}

/// What a row of a list, or an exam or patient that is judged in its place, adds to its cell.
struct Row {
    patient: usize,
    unit: usize,
    positive: bool,
    called: bool,
    /// Its group among those of its class.
    group: usize,
    /// Its bin of probability.
    bin: usize,
    brier: i64,
    log_loss: i64,
    score: i64,
}

/// The rows of a list, by patient.
fn rows(
    seen: &Seen<'_>,
    asked: &Asked<'_>,
    scored: &Scored,
    at: usize,
    (list, cuts): (&ScoreList, &ListCuts),
) -> Result<Vec<Row>, CohortError> {
    let mut rows = Vec::new();
    for (patient, hits) in scored.list_by_part(at).into_iter().enumerate() {
        for (unit, logit, part) in hits {
            let positive = seen.units().classes[unit].has(list.class);
            let p = Logit::new(logit).probability;
            let clipped = p.clamp(CLIP, 1.0 - CLIP);
            let (error, right) = if positive { (p - 1.0, clipped) } else { (p, 1.0 - clipped) };
            let bin = asked.bins.index(logit);
            rows.push(Row {
                patient,
                unit,
                positive,
                called: bin >= usize::from(cuts.thresholds[part]),
                group: cuts.group(bin),
                bin: ((p * CALIBRATION_BINS as f64) as usize).min(CALIBRATION_BINS - 1),
                brier: fix(error * error, asked.bits, "brier")?,
                log_loss: fix(-libm::log(right), asked.bits, "log_loss")?,
                score: fix(p, asked.bits, "calibration_scores")?,
            });
        }
    }
    in_range(&rows, asked.bits)?;
    Ok(rows)
}

/// Whether no draw can leave the range.
fn in_range(rows: &[Row], bits: u8) -> Result<(), SumError> {
    let of = |block, term: fn(&Row) -> i64| {
        let most = rows.iter().map(|row| term(row) as f64).sum::<f64>() * MOST_DRAWS;
        if most < LIMIT as f64 { Ok(()) } else { Err(SumError::OutOfRange { block, bits }) }
    };
    of("brier", |row| row.brier)?;
    of("log_loss", |row| row.log_loss)?;
    of("calibration_scores", |row| row.score)
}

/// The cells of a list's rows, and how patients are drawn.
struct Cells {
    count: usize,
    /// Per patient, the bits that draws are keyed by.
    bits: std::sync::Arc<Vec<u64>>,
    /// Per row of the list, its cell; where levels are dealt anew, as if its level were the first.
    cell: Vec<usize>,
    /// Per row of the list, how far from there its own cell is.
    dealt: Vec<usize>,
    /// Per patient, its rows of the list.
    of_patient: Vec<std::ops::Range<usize>>,
    /// Patients by site and sides of the class, in an order of the seed's.
    strata: Vec<Vec<usize>>,
}

impl Cells {
    fn new(seen: &Seen<'_>, asked: &Asked<'_>, rows: &[Row]) -> Self {
        let of_unit = seen.cells_of_units(asked.split);
        let bits = seen.rows.patient_bits(asked.seed);
        let count = seen.query.cells(asked.split);
        let cell: Vec<usize> = rows.iter().map(|row| of_unit[row.unit]).collect();
        let mut of_patient = vec![0..0; bits.len()];
        for (at, row) in rows.iter().enumerate() {
            let range = &mut of_patient[row.patient];
            *range = if range.start == range.end { at..at + 1 } else { range.start..at + 1 };
        }
        let mut cells =
            Self { count, bits, dealt: vec![0; cell.len()], cell, of_patient, strata: Vec::new() };
        match asked.draws {
            Draws::Patients => {}
            Draws::Levels(column) => {
                cells.deal_levels(seen, asked.split, rows, |one| one == Column::Subgroup(column));
            }
            Draws::Cells => {
                let is_dealt = |one| matches!(one, Column::Subgroup(_));
                cells.deal_levels(seen, asked.split, rows, is_dealt);
            }
        }
        cells
    }

    /// Prepares for levels of some columns that are dealt anew.
    fn deal_levels(
        &mut self,
        seen: &Seen<'_>,
        split: &[Column],
        rows: &[Row],
        is_dealt: impl Fn(Column) -> bool,
    ) {
        for (at, &column) in split.iter().enumerate().filter(|(_, column)| is_dealt(**column)) {
            // Between cells of neighbouring levels.
            let stride = seen.query.cells(&split[at + 1..]);
            let levels = seen.cells_of_units(&[column]);
            for (dealt, row) in self.dealt.iter_mut().zip(rows) {
                *dealt += levels[row.unit] * stride;
            }
        }
        for (cell, dealt) in self.cell.iter_mut().zip(&self.dealt) {
            *cell -= dealt;
        }
        self.strata = vec![Vec::new(); 3];
        for (patient, range) in self.of_patient.iter().enumerate() {
            let rows = &rows[range.clone()];
            let (some, all) =
                (rows.iter().any(|row| row.positive), rows.iter().all(|row| row.positive));
            if !rows.is_empty() {
                self.strata[usize::from(some) + usize::from(all)].push(patient);
            }
        }
        for stratum in &mut self.strata {
            stratum.sort_by_key(|&patient| self.bits[patient]);
        }
    }

    /// The numbers of all cells in a replicate.
    fn replicate(&self, rows: &[Row], draws: Draws, replicate: u32) -> Vec<i64> {
        let mut sums = vec![0i64; self.count * RESAMPLED_NUMBERS];
        match draws {
            Draws::Patients => {
                for (bits, range) in self.bits.iter().zip(&self.of_patient) {
                    let times = match replicate {
                        0 => 1,
                        _ => i64::from(poisson(uniform(*bits, replicate))),
                    };
                    if times > 0 {
                        let here = range.clone();
                        here.for_each(|at| rows[at].add(&mut sums, self.cell[at], times));
                    }
                }
            }
            Draws::Levels(_) | Draws::Cells => {
                for stratum in &self.strata {
                    let mut from = stratum.clone();
                    if replicate > 0 {
                        let draw = |patient: usize| uniform(self.bits[patient], replicate);
                        // Their order in the stratum decides between equal draws.
                        from.sort_by(|&a, &b| draw(a).total_cmp(&draw(b)));
                    }
                    for (&patient, &other) in stratum.iter().zip(&from) {
                        let theirs = &self.dealt[self.of_patient[other].clone()];
                        for (k, at) in self.of_patient[patient].clone().enumerate() {
                            let cell = self.cell[at] + theirs[k % theirs.len()];
                            rows[at].add(&mut sums, cell, 1);
                        }
                    }
                }
            }
        }
        sums
    }
}

impl Row {
    fn add(&self, sums: &mut [i64], cell: usize, times: i64) {
        let cell = &mut sums[cell * RESAMPLED_NUMBERS..][..RESAMPLED_NUMBERS];
        let side = usize::from(self.positive);
        // Positives come first.
        cell[(1 - side) * RESAMPLED_GROUPS + self.group] += times;
        cell[CALLED + side] += if self.called { times } else { 0 };
        cell[BRIER] += times * self.brier;
        cell[LOG_LOSS] += times * self.log_loss;
        cell[ROWS + 2 * self.bin + side] += times;
        cell[SCORES + self.bin] += times * self.score;
    }
}
