//! One loop for all trees of all fits: every round asks for the leaves of as many growing trees as memory
//! holds. A forest's trees grow side by side, a boosted model's one after the other.
//!
//! What a tree becomes depends only on its own answers, so company changes nothing.
//!
//! A journal keeps trees in place of their histograms ([`super::record`]). A question is settled once all
//! its trees are done, questions in the order of asking, and its decision holds each of its trees that no
//! decision before it holds. So the settled questions of a run that is cut are its first ones, and every
//! tree in one of them is known whole: it grows again without histograms. Trees that begin later get all
//! of theirs, since the questions about them are asked anew; nothing depends on a histogram of a settled
//! question.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rayon::prelude::*;
use wardround_core::digest::Digest;
use wardround_core::query::{
    Ask, ClassWeights, Cuts, Frame, Gradients, MOST_CUTS, RowSet, Sampling, Tree, TreeModel,
    TreeOutput, TreeTerm,
};
use wardround_core::seed::Seed;
use wardround_core::study::ColumnSample;

use super::cuts::Binned;
use super::gains::{self, Gain};
use super::grow::{Grower, Histogram, Rules};
use super::record::{self, Grown};
use crate::cohort::{Cohort, CohortError, Purpose};
use crate::study::StudyError;
use crate::study::asker::{Answer, Asker, Recalled, SLICE_BYTES};
use crate::study::event::StudyEvent;

/// Bytes of histograms of growing trees.
pub(crate) const GROWING_BYTES: usize = 1 << 30;

/// Bytes of one bin's sums.
const BIN_BYTES: usize = 24;

/// A model on its way.
#[derive(Debug)]
pub(crate) struct TreeFit {
    /// The training rows.
    pub rows: RowSet,
    /// The class that counts as positive.
    pub class: u8,
    /// How much rows count.
    pub weights: ClassWeights,
    /// When leaves split and what they say.
    pub rules: Rules,
    /// The training rows' bins.
    pub binned: Arc<Binned>,
    /// Columns that its trees' are drawn from, ascending.
    pub candidates: Arc<Vec<u32>>,
    /// Columns of each tree.
    pub columns: ColumnSample,
    /// Draws columns and patients.
    pub seed: Seed,
    /// Forest or boosting.
    pub kind: Kind,
    /// The number of its first tree among those that the seed draws columns and patients for.
    pub first: u32,
    /// How many trees it shall have.
    pub count: u32,
    /// Its trees, in order; at most one of a boosted model grows.
    pub trees: Vec<Slot>,
    /// Rounds it took part in.
    pub rounds: u32,
}

/// What kind of model it becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Trees on bootstrap samples.
    Forest,
    /// Trees that each mend the ones before.
    Boosting {
        /// The logit before any tree.
        start: f64,
        /// The share of the patients that each tree sees.
        share: f64,
    },
}

/// A tree of a model.
#[derive(Debug)]
pub(crate) enum Slot {
    Growing(Grower),
    /// With what its splits gained.
    Done(Tree, Vec<Gain>, Record),
}

/// What a journal is yet to be told of a tree that is done.
#[derive(Debug)]
pub(crate) enum Record {
    /// All of it, if it wants to know.
    Unsettled(Grown),
    /// It holds the tree already.
    Settled,
}

impl TreeFit {
    /// The model of the first `count` trees.
    pub fn model(&self, count: usize) -> TreeModel {
        let trees = self.trees.iter().take(count).map(|slot| match slot {
            Slot::Done(tree, ..) => tree.clone(),
            Slot::Growing(grower) => grower.tree().clone(),
        });
        let start = match self.kind {
            Kind::Forest => 0.0,
            Kind::Boosting { start, .. } => start,
        };
        TreeModel { class: self.class, output: self.output(), start, trees: trees.collect() }
    }

    /// Each of `columns`' shares of what the first `count` trees gained.
    pub fn gains(&self, count: usize, columns: usize) -> Vec<f64> {
        let done = self.trees.iter().take(count).filter_map(|slot| match slot {
            Slot::Done(_, gains, _) => Some(gains),
            Slot::Growing(_) => None,
        });
        gains::shares(self.output(), columns, done)
    }

    fn output(&self) -> TreeOutput {
        match self.kind {
            Kind::Forest => TreeOutput::Mean,
            Kind::Boosting { .. } => TreeOutput::Sum,
        }
    }

    /// Bytes that one more growing tree may take.
    fn reserve(&self) -> usize {
        let bins = (MOST_CUTS + 2) * self.columns_per_tree();
        (bins * BIN_BYTES) << self.rules.depth.saturating_sub(1).min(20)
    }

    fn columns_per_tree(&self) -> usize {
        match self.columns {
            ColumnSample::All => self.candidates.len(),
            ColumnSample::AtMost(most) => self.candidates.len().min(most as usize),
        }
    }

    fn growing(&self) -> usize {
        self.trees.iter().filter(|slot| matches!(slot, Slot::Growing(_))).count()
    }

    /// Whether another tree may begin.
    fn may_begin(&self) -> bool {
        let left = (self.trees.len() as u32) < self.count;
        match self.kind {
            Kind::Forest => left,
            Kind::Boosting { .. } => left && self.growing() == 0,
        }
    }

    fn begin(&mut self) {
        let at = self.trees.len() as u32;
        let drawn =
            draw(self.seed, self.first + at, self.candidates.len(), self.columns_per_tree());
        let columns: Vec<u32> =
            drawn.into_iter().map(|place| self.candidates[place as usize]).collect();
        let cuts = Arc::new(self.binned.of(&columns));
        self.trees.push(Slot::Growing(Grower::new(self.rules, cuts)));
    }

    fn unfinished(&self) -> usize {
        self.count as usize - self.trees.len() + self.growing()
    }

    /// The question about one growing tree, but for its cuts.
    fn term(&self, tree: usize, nodes: Vec<u32>) -> Option<TreeTerm> {
        let Slot::Growing(grower) = &self.trees[tree] else { return None };
        let (seed, draw) = (self.seed, self.first + tree as u32);
        let (sampling, gradients) = match self.kind {
            Kind::Forest => (Sampling::Bootstrap { seed, draw }, Gradients::Share),
            Kind::Boosting { start, share } => {
                let sampling = if share < 1.0 {
                    Sampling::Share { seed, draw, share }
                } else {
                    Sampling::Every
                };
                (sampling, Gradients::Logistic { start, trees: self.model(tree).trees })
            }
        };
        Some(TreeTerm {
            rows: self.rows,
            class: self.class,
            weights: self.weights,
            sampling,
            gradients,
            cuts: 0,
            columns: grower.columns().collect(),
            tree: grower.tree().clone(),
            nodes,
        })
    }
}

/// Some leaves of a growing tree.
struct Part {
    fit: usize,
    tree: usize,
    nodes: Vec<u32>,
    /// Numbers per leaf.
    bins: usize,
}

/// A question that a journal keeps no sum of.
struct Passing {
    query: Digest,
    purpose: Purpose,
    /// Its trees, by fit and tree.
    trees: Vec<(usize, usize)>,
}

/// Grows all trees of all fits after `rounds` earlier rounds and returns the number of rounds with those;
/// `classifier` is the number of theirs in the study. Fits may be given a larger count afterwards, and grow on.
pub(crate) async fn fit_all<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    classifier: u32,
    fits: &mut [TreeFit],
    mut rounds: u64,
) -> Result<u64, StudyError> {
    let trees: usize = fits.iter().map(|fit| fit.count as usize).sum();
    let mut passing = VecDeque::new();
    loop {
        let mut bytes: usize = fits.iter().map(|fit| fit.growing() * fit.reserve()).sum();
        for fit in fits.iter_mut() {
            while fit.may_begin() && (bytes == 0 || bytes + fit.reserve() <= GROWING_BYTES) {
                bytes += fit.reserve();
                fit.begin();
            }
        }
        let parts = parts(fits);
        if parts.is_empty() {
            return Ok(rounds);
        }
        rounds += 1;
        let answers = ask(asker, frame, classifier, fits, &parts, &mut passing).await?;
        take(fits, &parts, answers).map_err(disagrees)?;
        settle(asker, fits, &mut passing)?;
        let unfinished = fits.iter().map(TreeFit::unfinished).sum();
        asker.observer.event(&StudyEvent::Trees { round: rounds, unfinished, trees });
    }
}

/// The leaves of all growing trees, in pieces that fit an answer.
fn parts(fits: &[TreeFit]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (fit, TreeFit { trees, .. }) in fits.iter().enumerate() {
        for (tree, slot) in trees.iter().enumerate() {
            let Slot::Growing(grower) = slot else { continue };
            let bins = grower.bins();
            let per_part = (SLICE_BYTES as usize / (BIN_BYTES * bins.max(1))).max(1);
            for nodes in grower.wanted().chunks(per_part) {
                parts.push(Part { fit, tree, nodes: nodes.to_vec(), bins });
            }
        }
    }
    parts
}

/// Per part, the histogram of each of its leaves; none where its tree is recorded.
async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    classifier: u32,
    fits: &mut [TreeFit],
    parts: &[Part],
    passing: &mut VecDeque<Passing>,
) -> Result<Vec<Vec<Histogram>>, StudyError> {
    let mut answers = Vec::with_capacity(parts.len());
    let mut rest = parts;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = |part: &&Part| {
            bytes += part.nodes.len() * part.bins * BIN_BYTES;
            bytes <= SLICE_BYTES as usize
        };
        let count = rest.iter().take_while(fitting).count().max(1);
        let (now, later) = rest.split_at(count);
        rest = later;
        let mut terms: Vec<TreeTerm> = now
            .iter()
            .filter_map(|part| fits[part.fit].term(part.tree, part.nodes.clone()))
            .collect();
        let cuts = tables(fits, now, &mut terms);
        let bits = fits[now[0].fit].rules.bits;
        let question = Ask::Trees { frame: frame.clone(), cuts, terms, bits };
        let purpose = purpose(classifier, now);
        match asker.ask_or_recall(question, &purpose).await? {
            Recalled::Kept(answer) => answers.extend(histograms(&answer, now)),
            Recalled::Passing(answer) => {
                answers.extend(histograms(&answer, now));
                let trees = now.iter().map(|part| (part.fit, part.tree)).collect();
                passing.push_back(Passing { query: answer.sum.query, purpose, trees });
            }
            Recalled::Decided(decision) => {
                follow(fits, now, &decision).map_err(disagrees)?;
                answers.extend(now.iter().map(|_| Vec::new()));
            }
        }
    }
    Ok(answers)
}

/// Who asks a question: fits that differ in their rules alone may ask the same one, at once or one after
/// the other, and decide otherwise. None asks the same question twice, since its trees grow in between.
fn purpose(classifier: u32, parts: &[Part]) -> Purpose {
    let fits = parts.iter().map(|part| part.fit as u32);
    let bytes: Vec<[u8; 4]> = [classifier].into_iter().chain(fits).map(u32::to_le_bytes).collect();
    Purpose(Digest::of(bytes.as_flattened()))
}

/// Takes the trees of a decision: those of the question's that no decision before it held.
fn follow(fits: &mut [TreeFit], parts: &[Part], decision: &[u8]) -> Result<(), String> {
    let mut recorded = record::decode(decision)?.into_iter();
    for part in parts {
        if let Slot::Growing(grower) = &mut fits[part.fit].trees[part.tree]
            && !grower.is_recorded()
        {
            let missing = || "it lacks a tree that was asked for".to_owned();
            grower.follow(recorded.next().ok_or_else(missing)?)?;
        }
    }
    match recorded.next() {
        None => Ok(()),
        Some(_) => Err("it holds a tree that wasn't asked for".into()),
    }
}

/// Settles questions whose trees are done, up to the first that has one still growing.
fn settle<C: Cohort>(
    asker: &Asker<'_, C>,
    fits: &mut [TreeFit],
    passing: &mut VecDeque<Passing>,
) -> Result<(), StudyError> {
    let is_done = |fits: &[TreeFit], &(fit, tree): &(usize, usize)| {
        matches!(fits[fit].trees[tree], Slot::Done(..))
    };
    while passing.front().is_some_and(|first| first.trees.iter().all(|at| is_done(fits, at)))
        && let Some(Passing { query, purpose, trees }) = passing.pop_front()
    {
        let mut decided = Vec::new();
        for (fit, tree) in trees {
            if let Slot::Done(_, _, record) = &mut fits[fit].trees[tree]
                && let Record::Unsettled(grown) = std::mem::replace(record, Record::Settled)
            {
                decided.push(grown);
            }
        }
        asker.settle(&query, &purpose, &record::encode(&decided))?;
    }
    Ok(())
}

fn disagrees(what: String) -> StudyError {
    let what = format!("a decision about trees doesn't fit its question: {what}");
    StudyError::Cohort(CohortError::Journal(what))
}

/// One table of cuts per training set, of the columns that are asked for.
fn tables(fits: &[TreeFit], parts: &[Part], terms: &mut [TreeTerm]) -> Vec<Cuts> {
    let mut sets: Vec<&Arc<Binned>> = Vec::new();
    let mut columns: Vec<BTreeMap<u32, ()>> = Vec::new();
    for (part, term) in parts.iter().zip(terms) {
        let binned = &fits[part.fit].binned;
        let at = sets.iter().position(|set| Arc::ptr_eq(set, binned)).unwrap_or_else(|| {
            sets.push(binned);
            columns.push(BTreeMap::new());
            sets.len() - 1
        });
        term.cuts = at as u32;
        columns[at].extend(term.columns.iter().map(|&column| (column, ())));
    }
    let of = |(set, columns): (&Arc<Binned>, BTreeMap<u32, ()>)| {
        set.of(&columns.into_keys().collect::<Vec<_>>())
    };
    sets.into_iter().zip(columns).map(of).collect()
}

fn histograms(answer: &Answer, parts: &[Part]) -> Vec<Vec<Histogram>> {
    let [gradients, hessians, patients] =
        ["gradients", "hessians", "patients"].map(|block| answer.counts(block));
    let mut at = 0;
    let starts: Vec<usize> = parts
        .iter()
        .map(|part| {
            let start = at;
            at += part.nodes.len() * part.bins;
            start
        })
        .collect();
    let of_part = |(part, start): (&Part, usize)| {
        let leaf = |leaf: usize| {
            let range = start + leaf * part.bins..start + (leaf + 1) * part.bins;
            range.map(|i| [gradients[i], hessians[i], patients[i]]).collect()
        };
        (0..part.nodes.len()).map(leaf).collect()
    };
    parts.par_iter().zip(starts).map(of_part).collect()
}

/// Every tree takes its own histograms, or goes by its record; no number crosses between trees, so threads
/// change nothing.
fn take(fits: &mut [TreeFit], parts: &[Part], answers: Vec<Vec<Histogram>>) -> Result<(), String> {
    let mut by_tree: BTreeMap<(usize, usize), Vec<Histogram>> = BTreeMap::new();
    for (part, histograms) in parts.iter().zip(answers) {
        by_tree.entry((part.fit, part.tree)).or_default().extend(histograms);
    }
    let mut waiting = Vec::with_capacity(by_tree.len());
    for (at, fit) in fits.iter_mut().enumerate() {
        let before = waiting.len();
        for (tree, slot) in fit.trees.iter_mut().enumerate() {
            if let Some(histograms) = by_tree.remove(&(at, tree)) {
                waiting.push((slot, histograms));
            }
        }
        fit.rounds += u32::from(waiting.len() > before);
    }
    waiting.into_par_iter().try_for_each(|(slot, histograms)| {
        let Slot::Growing(grower) = slot else { return Ok(()) };
        let recorded = grower.is_recorded();
        match recorded {
            true => grower.take_recorded()?,
            false => grower.take(histograms),
        }
        if grower.is_done() {
            let (tree, gains, grown) = grower.finish();
            let record = if recorded { Record::Settled } else { Record::Unsettled(grown) };
            *slot = Slot::Done(tree, gains, record);
        }
        Ok(())
    })
}

/// Draws `count` of `all` columns for a tree, ascending (Fisher and Yates).
fn draw(seed: Seed, tree: u32, all: usize, count: usize) -> Vec<u32> {
    let mut columns: Vec<u32> = (0..all as u32).collect();
    if count < all {
        for at in 0..count {
            let parts = [&tree.to_le_bytes()[..], &(at as u32).to_le_bytes()[..]];
            let left = (all - at) as f64;
            let to = (seed.uniform("columns of a tree", &parts) * left) as usize;
            columns.swap(at, at + to);
        }
        columns.truncate(count);
        columns.sort_unstable();
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_drawn_evenly_and_once() {
        let mut seen = [0; 20];
        for tree in 0..400 {
            let columns = draw(Seed(3), tree, 20, 5);
            assert!(columns.len() == 5 && columns.is_sorted_by(|a, b| a < b));
            columns.iter().for_each(|&column| seen[column as usize] += 1);
        }
        assert!(seen.iter().all(|&n| (70..=130).contains(&n)), "{seen:?}");
        assert_eq!(draw(Seed(3), 0, 4, 4), [0, 1, 2, 3]);
    }
}
