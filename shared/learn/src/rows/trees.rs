//! Growing trees at a site: which bin every row falls into, and sums by bin.
//!
//! Gradients, Hessians and shares of patients are rounded row by row and added as integers, so sums
//! are the same for every split of the patients into sites. (Histograms: Ke et al., "LightGBM", 2017,
//! section 2.1. There the rounding is another, of one machine's floats.)

use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::query::{
    Column, Cuts, Frame, GRID_STEPS, Gradients, MISSING, PATIENT_BITS, Sampling, TreeTerm,
};
use wardround_core::seed::Seed;
use wardround_core::sum::fix;

use super::draws::{poisson, uniform};
use super::gridded::Gridded;
use super::linear::Logit;
use super::resample::{Counts, Training};
use super::scratch::StorageError;
use super::site::{Seen, SitePatient, SiteRows};
use super::tally::Tally;
use crate::cohort::CohortError;

/// Columns of a leaf that are counted by one thread at a time.
const COLUMNS_AT_ONCE: usize = 16;

/// Bytes of leaves' rows that are held at once.
const LEAF_BYTES: usize = 256 << 20;

/// Gradient, Hessian and share of a patient, as integers.
type Sums = [i64; 3];

/// [`wardround_core::query::Ask::Grid`].
pub(super) fn grid(
    seen: &Seen<'_>,
    frame: &Frame,
    split: &[Column],
    [first, end]: [u32; 2],
) -> Result<Vec<Vec<i64>>, CohortError> {
    let gridded = seen.rows.gridded(frame)?;
    let cells = seen.cells(split);
    let classes = usize::from(seen.query.schema.classes);
    let mut tallies = Tally::all(seen.query);
    let [rows_by_class, rows @ .., steps] = tallies.as_mut_slice() else {
        unreachable!("counts of classes and of steps are asked for")
    };
    for (&cell, set) in cells.iter().zip(seen.classes.iter()) {
        set.iter().for_each(|class| rows_by_class.count(cell * classes + usize::from(class), 1));
        rows.iter_mut().for_each(|rows| rows.count(cell, 1));
    }
    let width = (end - first) as usize;
    for column in first..end {
        let of_column = gridded.column(column).map_err(|error| seen.rows.failed(&error))?;
        for (&step, &cell) in of_column.iter().zip(&cells) {
            if step != MISSING {
                let at = (cell * width + (column - first) as usize) * GRID_STEPS;
                steps.count(at + usize::from(step), 1);
            }
        }
    }
    Ok(Tally::values(tallies))
}

/// [`wardround_core::query::Ask::Trees`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    cuts: &[Cuts],
    terms: &[TreeTerm],
    bits: u8,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let gridded = seen.rows.gridded(frame)?;
    let luts: Vec<Vec<[u8; GRID_STEPS + 1]>> =
        cuts.par_iter().map(|Cuts(cuts)| cuts.iter().map(lut).collect()).collect();
    let total = terms.iter().map(|term| term.numbers(cuts)).sum();
    let [mut gradients, mut hessians, mut patients] = [0; 3].map(|_: i32| vec![0i64; total]);
    let mut rest = [&mut gradients[..], &mut hessians[..], &mut patients[..]];
    let at_once = (LEAF_BYTES / (seen.rows.len() * size_of::<(u32, Sums)>())).max(1);
    // One training set's synthetic rows after the other, so that not all are in memory.
    let of_training = terms.chunk_by(|a, b| training(seen, a) == training(seen, b));
    for terms in of_training.flat_map(|terms| terms.chunks(at_once)) {
        let leaves = leaves_of(seen, frame, &gridded, terms, bits)?;
        let mut tasks = Vec::new();
        for (at, (term, leaves)) in terms.iter().zip(&leaves).enumerate() {
            let Cuts(of_set) = &cuts[term.cuts as usize];
            for leaf in &leaves.leaves {
                for (chunk, columns) in term.columns.chunks(COLUMNS_AT_ONCE).enumerate() {
                    let places: Vec<usize> = columns
                        .iter()
                        .filter_map(|c| of_set.binary_search_by_key(c, |cuts| cuts.column).ok())
                        .collect();
                    let width = places.iter().map(|&at| of_set[at].bins()).sum();
                    let out = rest.map(|rest| rest.split_at_mut(width));
                    let [(a, first), (b, second), (c, third)] = out;
                    rest = [first, second, third];
                    let (set, made) = (term.cuts as usize, leaves.made.as_deref());
                    tasks.push(Task { of: (at, chunk), set, places, leaf, made, out: [a, b, c] });
                }
            }
        }
        // A column that has to be read is read once for all leaves of a tree.
        tasks.sort_by_key(|task| task.of);
        let together = |a: &Task<'_>, b: &Task<'_>| a.of == b.of && !gridded.is_in_memory();
        tasks
            .chunk_by_mut(together)
            .collect::<Vec<_>>()
            .into_par_iter()
            .try_for_each(|tasks| fill(tasks, &gridded, cuts, &luts))
            .map_err(|error| seen.rows.failed(&error))?;
    }
    Ok(vec![gradients, hessians, patients])
}

/// Some columns of a leaf.
struct Task<'a> {
    /// Whose columns and which.
    of: (usize, usize),
    /// The columns' cuts.
    set: usize,
    /// The columns' places among them.
    places: Vec<usize>,
    leaf: &'a Leaf,
    made: Option<&'a Gridded>,
    /// Gradients, Hessians and patients, column by column and bin by bin.
    out: [&'a mut [i64]; 3],
}

/// Adds up the leaves of tasks with the same columns.
fn fill(
    tasks: &mut [Task<'_>],
    gridded: &Gridded,
    cuts: &[Cuts],
    luts: &[Vec<[u8; GRID_STEPS + 1]>],
) -> Result<(), StorageError> {
    let (set, places) = (tasks[0].set, tasks[0].places.clone());
    let mut bins: Vec<Sums> = Vec::new();
    let mut at = 0;
    for place in places {
        let (of_column, lut) = (&cuts[set].0[place], &luts[set][place]);
        let steps = gridded.column(of_column.column)?;
        let made = tasks[0].made.map(|made| made.column(of_column.column)).transpose()?;
        for Task { leaf, out, .. } in &mut *tasks {
            bins.clear();
            bins.resize(of_column.bins(), [0; 3]);
            count(&steps, lut, &leaf.rows, &mut bins);
            if let Some(made) = &made {
                count(made, lut, &leaf.made, &mut bins);
            }
            for (bin, sums) in bins.iter().enumerate() {
                out.iter_mut().zip(sums).for_each(|(out, sum)| out[at + bin] = *sum);
            }
        }
        at += of_column.bins();
    }
    Ok(())
}

fn training(seen: &Seen<'_>, term: &TreeTerm) -> Option<Training> {
    seen.training(&term.rows, term.class, term.weights)
}

/// A growing tree's leaves with their training rows.
struct Leaves {
    leaves: Vec<Leaf>,
    /// The synthetic rows, if there are any.
    made: Option<Arc<Gridded>>,
}

/// Rows of a leaf.
struct Leaf {
    rows: Summed,
    /// Synthetic ones.
    made: Summed,
}

/// Some rows with what they add.
#[derive(Default)]
struct Summed {
    rows: Vec<u32>,
    sums: Vec<Sums>,
}

/// The training rows in each wanted leaf of some terms that have the same synthetic rows.
fn leaves_of(
    seen: &Seen<'_>,
    frame: &Frame,
    gridded: &Gridded,
    terms: &[TreeTerm],
    bits: u8,
) -> Result<Vec<Leaves>, CohortError> {
    // Trees of one model come one after the other and have the same counts and synthetic rows.
    let mut counts: Vec<Arc<Counts>> = Vec::with_capacity(terms.len());
    let mut grids: Vec<Option<Arc<Gridded>>> = Vec::with_capacity(terms.len());
    for (at, term) in terms.iter().enumerate() {
        let is_same = |other: &TreeTerm| {
            (other.rows, other.class, other.weights) == (term.rows, term.class, term.weights)
        };
        if at > 0 && is_same(&terms[at - 1]) {
            counts.push(counts[at - 1].clone());
            grids.push(grids[at - 1].clone());
            continue;
        }
        let of_term = Arc::new(seen.counts(&term.rows, term.class, term.weights)?);
        grids.push(match training(seen, term) {
            Some(training) => seen.made_on_grid(frame, training, of_term.made())?,
            None => None,
        });
        counts.push(of_term);
    }
    // Logits first: they are kept one model after the other.
    let logits = |gridded: &Gridded, term: &TreeTerm| match &term.gradients {
        Gradients::Share => Ok(None),
        Gradients::Logistic { start, trees } => gridded.logits_after(*start, trees).map(Some),
    };
    type Logits = Option<Arc<Vec<f64>>>;
    let both = |(term, made): (&TreeTerm, &Option<Arc<Gridded>>)| {
        let of_made = made.as_ref().map(|made| logits(made, term)).transpose()?;
        Ok([logits(gridded, term)?, of_made.flatten()])
    };
    let known = terms.iter().zip(&grids).map(both).collect::<Result<Vec<[Logits; 2]>, _>>();
    let known = known.map_err(|error| seen.rows.failed(&error))?;
    let of_term = |at: usize| {
        let (term, made, [of_own, of_made]) = (&terms[at], grids[at].clone(), &known[at]);
        let own = (gridded, of_own.as_deref());
        let of_made = made.as_deref().map(|made| (made, of_made.as_deref()));
        let leaves = leaves(seen, own, of_made, term, &counts[at], bits)?;
        Ok(Leaves { leaves, made })
    };
    (0..terms.len()).into_par_iter().map(of_term).collect()
}

/// Adds up a leaf's rows by bin.
fn count(steps: &[u16], lut: &[u8; GRID_STEPS + 1], of: &Summed, bins: &mut [Sums]) {
    for (&row, sums) in of.rows.iter().zip(&of.sums) {
        let step = usize::from(steps[row as usize]).min(GRID_STEPS);
        let bin = &mut bins[usize::from(lut[step])];
        bin.iter_mut().zip(sums).for_each(|(bin, more)| *bin += more);
    }
}

/// The bin of each step of a column. A missing value where the training rows have none can't be
/// among them; it would count in the first bin.
fn lut(cuts: &wardround_core::query::ColumnCuts) -> [u8; GRID_STEPS + 1] {
    let mut lut = [0u8; GRID_STEPS + 1];
    for (bin, &cut) in cuts.steps.iter().enumerate() {
        let end = cuts.steps.get(bin + 1).map_or(GRID_STEPS, |&next| usize::from(next));
        lut[usize::from(cut)..end].fill(bin as u8 + 1);
    }
    if cuts.missing {
        lut[GRID_STEPS] = cuts.steps.len() as u8 + 1;
    }
    lut
}

/// Rows on a grid with what the trees so far say of them.
type Known<'a> = (&'a Gridded, Option<&'a Vec<f64>>);

/// The training rows in each of a term's wanted leaves, and the synthetic rows that were made for them. Those
/// are there as often as the row that they were made for, and are no patient's.
fn leaves(
    seen: &Seen<'_>,
    own: Known<'_>,
    of_made: Option<Known<'_>>,
    term: &TreeTerm,
    counts: &Counts,
    bits: u8,
) -> Result<Vec<Leaf>, CohortError> {
    let none = |_| Leaf { rows: Summed::default(), made: Summed::default() };
    let mut leaves: Vec<Leaf> = term.nodes.iter().map(none).collect();
    let times = times(seen.rows, term.sampling);
    let sums = |weight: f64, positive: bool, logit: Option<f64>, patient: i64| {
        let (gradient, hessian) = match logit {
            None => (if positive { weight } else { 0.0 }, weight),
            Some(logit) => {
                let Logit { probability, variance, .. } = Logit::new(logit);
                (weight * (f64::from(u8::from(positive)) - probability), weight * variance)
            }
        };
        let (gradient, hessian) =
            (fix(gradient, bits, "gradients")?, fix(hessian, bits, "hessians")?);
        Ok::<Sums, CohortError>([gradient, hessian, patient])
    };
    let logit = |(_, logits): Known<'_>, row: usize| logits.map(|logits| logits[row]);
    let failed = |error| seen.rows.failed(&error);
    let selected = seen.selected(&term.rows);
    own.0.for_each(
        std::slice::from_ref(&term.tree),
        |window| {
            for &row in window.of(&selected) {
                let drawn = f64::from(times[row]);
                if drawn == 0.0 {
                    continue;
                }
                let leaf = term.tree.leaf_of(window.step(row)) as u32;
                let Ok(at) = term.nodes.binary_search(&leaf) else { continue };
                let positive = seen.classes[row].has(term.class);
                let weight = drawn * counts.of(row, positive);
                let share = seen.rows.share_of_patient(row);
                leaves[at].rows.push(row, sums(weight, positive, logit(own, row), share)?);
            }
            Ok(())
        },
        failed,
    )?;
    let Some(of_made) = of_made else { return Ok(leaves) };
    of_made.0.for_each(
        std::slice::from_ref(&term.tree),
        |window| {
            for at_made in window.rows() {
                let made = &counts.made()[at_made];
                let drawn = f64::from(times[made.row]);
                if drawn == 0.0 {
                    continue;
                }
                let leaf = term.tree.leaf_of(window.step(at_made)) as u32;
                let Ok(at) = term.nodes.binary_search(&leaf) else { continue };
                let positive = seen.classes[made.row].has(term.class);
                let weight = drawn * counts.of_made(made.row);
                let of_row = sums(weight, positive, logit(of_made, at_made), 0)?;
                leaves[at].made.push(at_made, of_row);
            }
            Ok(())
        },
        failed,
    )?;
    Ok(leaves)
}

impl Summed {
    fn push(&mut self, row: usize, sums: Sums) {
        self.rows.push(row as u32);
        self.sums.push(sums);
    }
}

/// How often each row counts in a tree.
fn times(rows: &SiteRows, sampling: Sampling) -> Vec<u8> {
    let draw = |seed: Seed, draw: u32, of: &dyn Fn(f64) -> u8| {
        let bits = rows.patient_bits(seed);
        let of_patient = |(patient, bits): (&SitePatient, &u64)| {
            std::iter::repeat_n(of(uniform(*bits, draw)), patient.rows.len())
        };
        rows.patients.iter().zip(bits.iter()).flat_map(of_patient).collect()
    };
    match sampling {
        Sampling::Every => vec![1; rows.len()],
        Sampling::Bootstrap { seed, draw: at } => draw(seed, at, &poisson),
        Sampling::Share { seed, draw: at, share } => draw(seed, at, &|u| u8::from(u < share)),
    }
}

impl SiteRows {
    /// One row's part of its patient, with [`PATIENT_BITS`] binary places, rounded down: rows of one
    /// patient never count as more than one.
    fn share_of_patient(&self, row: usize) -> i64 {
        let at = self.patients.partition_point(|patient| patient.rows.end <= row);
        (1i64 << PATIENT_BITS) / self.patients[at].rows.len() as i64
    }
}
