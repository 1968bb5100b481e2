//! One tree as a state machine: it names the leaves whose histograms it wants, takes them, and splits
//! what is worth it, level by level.

use std::sync::Arc;

use wardround_core::query::{ColumnCuts, Cuts, Node, PATIENT_BITS, Side, Tree};
use wardround_core::sum::unit;

/// Gains below this share of a leaf's own score are rounding.
const LEAST_GAIN: f64 = 1e-9;

/// When leaves split and what they say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// Splits between the root and a leaf at most.
    pub depth: u8,
    /// Leaves at most.
    pub leaves: u32,
    /// Patients per leaf at least.
    pub min_patients: u32,
    /// Sum of Hessians per leaf at least.
    pub min_weight: f64,
    /// The L2 penalty on a leaf.
    pub l2: f64,
    /// What a leaf's ratio is multiplied by.
    pub rate: f64,
    /// Binary places of gradients and Hessians.
    pub bits: u8,
}

/// Sums of gradients, Hessians and shares of patients.
pub(crate) type Sums = [i64; 3];

/// Sums by column and bin of one leaf, columns one after the other.
pub(crate) type Histogram = Vec<Sums>;

/// A growing tree.
#[derive(Debug, Clone)]
pub(crate) struct Grower {
    rules: Rules,
    cuts: Arc<Cuts>,
    tree: Tree,
    leaves: u32,
    /// Leaves that may split, by ascending node, once their histograms are known.
    open: Vec<Open>,
    /// Whether the root's sums are known.
    begun: bool,
}

/// A leaf that may split.
#[derive(Debug, Clone)]
struct Open {
    node: u32,
    depth: u8,
    source: Source,
}

/// Where a leaf's histogram comes from.
#[derive(Debug, Clone)]
enum Source {
    /// From the cohort.
    Asked,
    /// It is what the sibling leaves of their parent's.
    Rest { sibling: u32, parent: Arc<Histogram> },
}

/// A split that a leaf could make.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    gain: f64,
    column: u32,
    below: u16,
    missing: Side,
    left: Sums,
    right: Sums,
}

impl Grower {
    /// A root that may split by columns with these bins.
    pub fn new(rules: Rules, cuts: Arc<Cuts>) -> Self {
        let root = Open { node: 0, depth: 0, source: Source::Asked };
        Self { rules, cuts, tree: Tree::leaf(0.0), leaves: 1, open: vec![root], begun: false }
    }

    /// Leaves whose histograms are wanted, ascending; none once the tree is done.
    pub fn wanted(&self) -> Vec<u32> {
        let asked = self.open.iter().filter(|open| matches!(open.source, Source::Asked));
        asked.map(|open| open.node).collect()
    }

    /// Whether it has no leaf left that may split.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// The tree so far.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Columns that it may split by, ascending.
    pub fn columns(&self) -> impl Iterator<Item = u32> {
        self.cuts.0.iter().map(|cuts| cuts.column)
    }

    /// Numbers in a histogram.
    pub fn bins(&self) -> usize {
        self.cuts.0.iter().map(ColumnCuts::bins).sum()
    }

    /// Takes the histograms of [`Self::wanted`], in that order.
    pub fn take(&mut self, histograms: Vec<Histogram>) {
        let open = std::mem::take(&mut self.open);
        let asked: Vec<u32> = open
            .iter()
            .filter(|open| matches!(open.source, Source::Asked))
            .map(|open| open.node)
            .collect();
        let known: Vec<Arc<Histogram>> = histograms.into_iter().map(Arc::new).collect();
        let of = |node: &u32| known[asked.binary_search(node).expect("it was wanted")].clone();
        let level: Vec<(u32, u8, Arc<Histogram>)> = open
            .into_iter()
            .map(|Open { node, depth, source }| match source {
                Source::Asked => (node, depth, of(&node)),
                Source::Rest { sibling, parent } => {
                    let of_sibling = of(&sibling);
                    let rest = parent.iter().zip(of_sibling.iter()).map(|(a, b)| less(a, b));
                    (node, depth, Arc::new(rest.collect()))
                }
            })
            .collect();
        if !self.begun
            && let [(_, _, histogram)] = &level[..]
        {
            let first = self.cuts.0.first().map_or(0, ColumnCuts::bins);
            let root = histogram[..first].iter().fold([0; 3], |sum, bin| plus(&sum, bin));
            self.tree = Tree::leaf(self.value(&root));
            self.begun = true;
        }
        let mut splits: Vec<(usize, Candidate)> = level
            .iter()
            .enumerate()
            .filter_map(|(at, (_, _, histogram))| Some((at, self.best(histogram)?)))
            .collect();
        // The largest gains first while leaves are left; equal ones in order of nodes.
        splits.sort_by(|a, b| b.1.gain.total_cmp(&a.1.gain).then(a.0.cmp(&b.0)));
        splits.truncate(self.rules.leaves.saturating_sub(self.leaves) as usize);
        splits.sort_by_key(|(at, _)| *at);
        self.leaves += splits.len() as u32;
        for (at, candidate) in splits {
            let (node, depth, histogram) = &level[at];
            self.split(*node, *depth, histogram, &candidate);
        }
        if self.leaves >= self.rules.leaves {
            self.open.clear();
        }
    }

    fn split(&mut self, node: u32, depth: u8, histogram: &Arc<Histogram>, split: &Candidate) {
        let Candidate { column, below, missing, left, right, .. } = *split;
        let first = self.tree.0.len() as u32;
        self.tree.0[node as usize] = Node::Split { column, below, missing, left: first };
        for sums in [&left, &right] {
            let value = self.value(sums);
            self.tree.0.push(Node::Leaf { value });
        }
        let may = [&left, &right].map(|sums| self.may_split(sums, depth + 1));
        // The smaller child is asked for: its rows are fewer. The other is what it leaves.
        let smaller = usize::from(right[2] < left[2]);
        for (child, may) in may.iter().enumerate().filter(|(_, may)| **may) {
            let both =
                *may && child != smaller && self.may_split([&left, &right][smaller], depth + 1);
            let source = match both {
                true => Source::Rest { sibling: first + smaller as u32, parent: histogram.clone() },
                false => Source::Asked,
            };
            self.open.push(Open { node: first + child as u32, depth: depth + 1, source });
        }
    }

    /// Whether two leaves could come of it.
    fn may_split(&self, sums: &Sums, depth: u8) -> bool {
        let [gradient, hessian, patients] = *sums;
        let least = self.least_patients();
        let pure = self.rules.l2 == 0.0 && (gradient == 0 || gradient == hessian);
        depth < self.rules.depth && patients >= 2 * least && !pure
    }

    fn least_patients(&self) -> i64 {
        i64::from(self.rules.min_patients) << PATIENT_BITS
    }

    fn value(&self, sums: &Sums) -> f64 {
        let scale = unit(self.rules.bits);
        let [gradient, hessian] = [sums[0], sums[1]].map(|sum| sum as f64 * scale);
        let below = hessian + self.rules.l2;
        if below > 0.0 { self.rules.rate * gradient / below } else { 0.0 }
    }

    fn score(&self, sums: &Sums) -> f64 {
        let scale = unit(self.rules.bits);
        let [gradient, hessian] = [sums[0], sums[1]].map(|sum| sum as f64 * scale);
        let below = hessian + self.rules.l2;
        if below > 0.0 { gradient * gradient / below } else { 0.0 }
    }

    fn is_leaf(&self, [_, hessian, patients]: &Sums) -> bool {
        *patients >= self.least_patients()
            && *hessian > 0
            && *hessian as f64 * unit(self.rules.bits) >= self.rules.min_weight
    }

    /// The split with the largest gain; of equal ones the first column's, then the lowest.
    fn best(&self, histogram: &Histogram) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        let mut at = 0;
        for cuts in &self.cuts.0 {
            let bins = &histogram[at..at + cuts.bins()];
            at += bins.len();
            self.best_of_column(cuts, bins, &mut best);
        }
        best
    }

    fn best_of_column(&self, cuts: &ColumnCuts, bins: &[Sums], best: &mut Option<Candidate>) {
        let (present, missing) = bins.split_at(cuts.steps.len() + 1);
        let missing = missing.first().copied().unwrap_or([0; 3]);
        let all_present = present.iter().fold([0; 3], |sum, bin| plus(&sum, bin));
        let own = self.score(&plus(&all_present, &missing));
        let mut consider = |below: u16, left: Sums, right: Sums, missing: Side| {
            if !self.is_leaf(&left) || !self.is_leaf(&right) {
                return;
            }
            let gain = self.score(&left) + self.score(&right) - own;
            if gain > LEAST_GAIN * own.max(1e-6) && best.is_none_or(|best| gain > best.gain) {
                let column = cuts.column;
                *best = Some(Candidate { gain, column, below, missing, left, right });
            }
        };
        if missing != [0; 3] {
            consider(0, missing, all_present, Side::Left);
        }
        let mut below = [0; 3];
        for (bin, &step) in present.iter().zip(&cuts.steps) {
            if *bin == [0; 3] {
                continue;
            }
            below = plus(&below, bin);
            let above = less(&all_present, &below);
            if above == [0; 3] {
                break;
            }
            if missing == [0; 3] {
                // Nothing here says where missing values should go: to where most rows go.
                let side = if above[1] > below[1] { Side::Right } else { Side::Left };
                consider(step, below, above, side);
            } else {
                consider(step, plus(&below, &missing), above, Side::Left);
                consider(step, below, plus(&above, &missing), Side::Right);
            }
        }
    }
}

fn plus(a: &Sums, b: &Sums) -> Sums {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn less(a: &Sums, b: &Sums) -> Sums {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        depth: 3,
        leaves: 100,
        min_patients: 1,
        min_weight: 0.0,
        l2: 0.0,
        rate: 1.0,
        bits: 0,
    };

    fn cuts(steps: &[u16], missing: bool) -> Arc<Cuts> {
        Arc::new(Cuts(vec![ColumnCuts { column: 0, steps: steps.to_vec(), missing }]))
    }

    fn bin(positives: i64, rows: i64) -> Sums {
        [positives, rows, rows << PATIENT_BITS]
    }

    #[test]
    fn a_split_takes_the_largest_decrease_of_impurity() {
        let mut grower = Grower::new(RULES, cuts(&[100, 200], false));
        assert_eq!(grower.wanted(), [0]);
        grower.take(vec![vec![bin(0, 10), bin(1, 10), bin(9, 10)]]);
        let [Node::Split { below: 200, left: 1, .. }, Node::Leaf { value: low }, ..] =
            grower.tree().0[..]
        else {
            panic!("{:?}", grower.tree())
        };
        assert_eq!(low, 1.0 / 20.0);
        // The right child is the smaller one; the left one's histogram is what it leaves.
        assert_eq!(grower.wanted(), [2]);
        grower.take(vec![vec![bin(0, 0), bin(0, 0), bin(9, 10)]]);
        let Node::Split { below: 100, .. } = grower.tree().0[1] else {
            panic!("{:?}", grower.tree())
        };
        assert!(matches!(grower.tree().0[2], Node::Leaf { value } if value == 0.9));
        assert!(grower.tree().check(1).is_ok());
    }

    #[test]
    fn missing_values_go_where_they_fit() {
        for (positives, side) in [(5, Side::Right), (0, Side::Left)] {
            let mut grower = Grower::new(RULES, cuts(&[100], true));
            grower.take(vec![vec![bin(0, 10), bin(10, 10), bin(positives, 5)]]);
            let Node::Split { missing, .. } = grower.tree().0[0] else { panic!() };
            assert_eq!(missing, side);
        }
    }

    #[test]
    fn leaves_keep_their_patients_and_their_number() {
        let bins = vec![bin(0, 4), bin(9, 30)];
        let few = Rules { min_patients: 5, ..RULES };
        let mut grower = Grower::new(few, cuts(&[100], false));
        grower.take(vec![bins.clone()]);
        assert!(grower.is_done());
        assert_eq!(grower.tree(), &Tree::leaf(9.0 / 34.0));
        let mut grower = Grower::new(Rules { leaves: 2, ..RULES }, cuts(&[100], false));
        grower.take(vec![bins]);
        assert!(grower.is_done());
        assert_eq!(grower.tree().0.len(), 3);
    }
}
