//! Growing trees at a site: which bin every row falls into, and sums by bin.
//!
//! Gradients, Hessians and shares of patients are rounded row by row and added as integers, so sums
//! are the same for every split of the patients into sites. (Histograms: Ke et al., "LightGBM", 2017,
//! section 2.1. There the rounding is another, of one machine's floats.)

use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use wardround_core::digest::Digest;
use wardround_core::query::{
    Column, Cuts, Frame, GRID_STEPS, Gradients, MISSING, Node, PATIENT_BITS, Sampling, Tree,
    TreeModel, TreeTerm,
};
use wardround_core::seed::Seed;
use wardround_core::sum::fix;

use super::draws::{poisson, uniform};
use super::linear::Logit;
use super::resample::{Counts, Training};
use super::site::{Seen, SitePatient, SiteRows, lock};
use super::tally::Tally;
use crate::cohort::CohortError;

/// Columns of a leaf that are counted by one thread at a time.
const COLUMNS_AT_ONCE: usize = 16;

/// Bytes of logits of finished trees that are kept.
const KEPT_BYTES: usize = 256 << 20;

/// Gradient, Hessian and share of a patient, as integers.
type Sums = [i64; 3];

/// The features on a frame's grid.
#[derive(Debug)]
pub(super) struct Gridded {
    pub(super) frame: Frame,
    /// Column by column, the step of each row.
    steps: Vec<u16>,
    rows: usize,
    /// Logits of boosted models so far, by what they are the sum of; the last used is the last.
    logits: Mutex<Vec<(Digest, Arc<Vec<f64>>)>>,
}

impl Gridded {
    /// Puts rows of `d` features on a frame's grid, at least one; `value` tells a row's feature.
    pub(super) fn new(
        frame: &Frame,
        rows: usize,
        d: usize,
        value: impl Fn(usize, usize) -> f64 + Sync,
    ) -> Self {
        let mut steps = vec![0; rows * d];
        steps.par_chunks_exact_mut(rows).enumerate().for_each(|(column, steps)| {
            for (row, step) in steps.iter_mut().enumerate() {
                *step = frame.step(column, value(row, column));
            }
        });
        Self { frame: frame.clone(), steps, rows, logits: Mutex::default() }
    }

    /// What it takes in memory, but for logits.
    pub(super) fn bytes(&self) -> usize {
        self.steps.len() * size_of::<u16>()
    }

    fn column(&self, column: u32) -> &[u16] {
        &self.steps[column as usize * self.rows..][..self.rows]
    }

    fn step(&self, row: usize) -> impl Fn(u32) -> u16 {
        move |column| self.steps[column as usize * self.rows + row]
    }

    /// The logit of each row by a model.
    pub(super) fn scores(&self, model: &TreeModel, needed: &[bool]) -> Vec<f64> {
        let score = |(row, needed): (usize, &bool)| match needed {
            true => model.logit(self.step(row)),
            false => 0.0,
        };
        needed.par_iter().enumerate().map(score).collect()
    }

    /// The logit of each row after some trees. Trees are added one after the other, so that it doesn't
    /// matter how many of them were known before.
    fn logits_after(&self, start: f64, trees: &[Tree]) -> Arc<Vec<f64>> {
        let mut names = vec![Digest::of(&start.to_le_bytes())];
        for tree in trees {
            let mut bytes = names[names.len() - 1].as_bytes().to_vec();
            tree.0.iter().for_each(|node| push(node, &mut bytes));
            names.push(Digest::of(&bytes));
        }
        let mut kept = lock(&self.logits);
        let found = names.iter().enumerate().rev().find_map(|(count, name)| {
            let at = kept.iter().position(|(of, _)| of == name)?;
            Some((count, kept.remove(at).1))
        });
        let (known, mut logits) = found.unwrap_or_else(|| (0, Arc::new(vec![start; self.rows])));
        if known < trees.len() {
            let mut now = (*logits).clone();
            for tree in &trees[known..] {
                now.par_iter_mut().enumerate().for_each(|(row, logit)| {
                    if let Node::Leaf { value } = tree.0[tree.leaf_of(self.step(row))] {
                        *logit += value;
                    }
                });
            }
            logits = Arc::new(now);
        }
        kept.push((names[trees.len()], logits.clone()));
        let most = (KEPT_BYTES / (8 * self.rows)).max(1);
        if kept.len() > most {
            kept.remove(0);
        }
        logits
    }
}

fn push(node: &Node, bytes: &mut Vec<u8>) {
    match *node {
        Node::Leaf { value } => {
            bytes.push(0);
            bytes.extend(value.to_le_bytes());
        }
        Node::Split { column, below, missing, left } => {
            bytes.push(1 + missing as u8);
            bytes.extend(column.to_le_bytes());
            bytes.extend(below.to_le_bytes());
            bytes.extend(left.to_le_bytes());
        }
    }
}

/// [`wardround_core::query::Ask::Grid`].
pub(super) fn grid(
    seen: &Seen<'_>,
    frame: &Frame,
    split: &[Column],
    [first, end]: [u32; 2],
) -> Vec<Vec<i64>> {
    let gridded = seen.rows.gridded(frame);
    let cells = seen.cells(split);
    let classes = usize::from(seen.query.schema.classes);
    let mut tallies = Tally::all(seen.query);
    let [rows_by_class, rows @ .., steps] = tallies.as_mut_slice() else {
        unreachable!("counts of classes and of steps are asked for")
    };
    for (&cell, set) in cells.iter().zip(&seen.rows.classes) {
        set.iter().for_each(|class| rows_by_class.count(cell * classes + usize::from(class), 1));
        rows.iter_mut().for_each(|rows| rows.count(cell, 1));
    }
    let width = (end - first) as usize;
    for column in first..end {
        for (&step, &cell) in gridded.column(column).iter().zip(&cells) {
            if step != MISSING {
                let at = (cell * width + (column - first) as usize) * GRID_STEPS;
                steps.count(at + usize::from(step), 1);
            }
        }
    }
    Tally::values(tallies)
}

/// [`wardround_core::query::Ask::Trees`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    cuts: &[Cuts],
    terms: &[TreeTerm],
    bits: u8,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let gridded = seen.rows.gridded(frame);
    let luts: Vec<Vec<[u8; GRID_STEPS + 1]>> =
        cuts.par_iter().map(|Cuts(cuts)| cuts.iter().map(lut).collect()).collect();
    let total = terms.iter().map(|term| term.numbers(cuts)).sum();
    let [mut gradients, mut hessians, mut patients] = [0; 3].map(|_: i32| vec![0i64; total]);
    let mut rest = [&mut gradients[..], &mut hessians[..], &mut patients[..]];
    // One training set's synthetic rows after the other, so that not all are in memory.
    for terms in terms.chunk_by(|a, b| training(seen, a) == training(seen, b)) {
        let leaves = leaves_of(seen, frame, &gridded, terms, bits)?;
        let mut tasks = Vec::new();
        for (term, leaves) in terms.iter().zip(&leaves) {
            let Cuts(of_set) = &cuts[term.cuts as usize];
            for leaf in &leaves.leaves {
                for columns in term.columns.chunks(COLUMNS_AT_ONCE) {
                    let places: Vec<usize> = columns
                        .iter()
                        .filter_map(|c| of_set.binary_search_by_key(c, |cuts| cuts.column).ok())
                        .collect();
                    let width = places.iter().map(|&at| of_set[at].bins()).sum();
                    let out = rest.map(|rest| rest.split_at_mut(width));
                    let [(a, first), (b, second), (c, third)] = out;
                    rest = [first, second, third];
                    tasks.push((term.cuts as usize, leaf, &leaves.made, places, [a, b, c]));
                }
            }
        }
        tasks.into_par_iter().for_each(
            |(set, leaf, made, places, [gradients, hessians, patients])| {
                let mut bins: Vec<Sums> = Vec::new();
                let mut at = 0;
                for place in places {
                    let of_column = &cuts[set].0[place];
                    bins.clear();
                    bins.resize(of_column.bins(), [0; 3]);
                    let lut = &luts[set][place];
                    count(gridded.column(of_column.column), lut, &leaf.rows, &mut bins);
                    if let Some(made) = made {
                        count(made.column(of_column.column), lut, &leaf.made, &mut bins);
                    }
                    for [gradient, hessian, patient] in &bins {
                        gradients[at] = *gradient;
                        hessians[at] = *hessian;
                        patients[at] = *patient;
                        at += 1;
                    }
                }
            },
        );
    }
    Ok(vec![gradients, hessians, patients])
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
        let of_term = Arc::new(seen.counts(&term.rows, term.class, term.weights));
        grids.push(
            training(seen, term)
                .and_then(|training| seen.made_on_grid(frame, training, of_term.made())),
        );
        counts.push(of_term);
    }
    // Logits first: they are kept one model after the other.
    let logits = |gridded: &Gridded, term: &TreeTerm| match &term.gradients {
        Gradients::Share => None,
        Gradients::Logistic { start, trees } => Some(gridded.logits_after(*start, trees)),
    };
    type Logits = Option<Arc<Vec<f64>>>;
    let known: Vec<[Logits; 2]> = terms
        .iter()
        .zip(&grids)
        .map(|(term, made)| {
            [logits(gridded, term), made.as_ref().and_then(|made| logits(made, term))]
        })
        .collect();
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
    let leaf = |(gridded, _): Known<'_>, row: usize| {
        term.nodes.binary_search(&(term.tree.leaf_of(gridded.step(row)) as u32)).ok()
    };
    let logit = |(_, logits): Known<'_>, row: usize| logits.map(|logits| logits[row]);
    for row in seen.selected(&term.rows) {
        let drawn = f64::from(times[row]);
        if drawn == 0.0 {
            continue;
        }
        let Some(at) = leaf(own, row) else { continue };
        let positive = seen.rows.classes[row].has(term.class);
        let weight = drawn * counts.of(row, positive);
        let share = seen.rows.share_of_patient(row);
        leaves[at].rows.push(row, sums(weight, positive, logit(own, row), share)?);
    }
    for (at_made, made) in counts.made().iter().enumerate() {
        let Some(of_made) = of_made else { continue };
        let drawn = f64::from(times[made.row]);
        if drawn == 0.0 {
            continue;
        }
        let Some(at) = leaf(of_made, at_made) else { continue };
        let positive = seen.rows.classes[made.row].has(term.class);
        let weight = drawn * counts.of_made(made);
        let of_row = sums(weight, positive, logit(of_made, at_made), 0)?;
        leaves[at].made.push(at_made, of_row);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_the_same_bits_whatever_was_known() {
        let frame = Frame::identity(1);
        let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 10.0 - 2.0).collect();
        let tree = |below, value: f64| {
            let split = Node::Split {
                column: 0,
                below,
                missing: wardround_core::query::Side::Left,
                left: 1,
            };
            Tree(vec![split, Node::Leaf { value }, Node::Leaf { value: -value / 3.0 }])
        };
        let trees = [tree(500, 0.1), tree(512, 0.7), tree(530, 1e-9)];
        let gridded = || Gridded::new(&frame, x.len(), 1, |row, _| x[row]);
        let (step_by_step, at_once) = (gridded(), gridded());
        for count in 0..=3 {
            step_by_step.logits_after(0.3, &trees[..count]);
        }
        let all = at_once.logits_after(0.3, &trees);
        assert_eq!(step_by_step.logits_after(0.3, &trees), all);
        assert_eq!(
            at_once.logits_after(0.3, &trees[..1]),
            step_by_step.logits_after(0.3, &trees[..1])
        );
        let model = TreeModel {
            class: 1,
            output: wardround_core::query::TreeOutput::Sum,
            start: 0.3,
            trees: trees.to_vec(),
        };
        assert_eq!(at_once.scores(&model, &[true; 40]), *all);
    }
}
