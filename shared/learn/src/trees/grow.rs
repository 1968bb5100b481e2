//! One tree as a state machine: it names the leaves whose histograms it wants, takes them, and splits
//! what is worth it, level by level. With a record of an earlier run it goes the same way, naming the
//! same leaves, without histograms.

use std::sync::Arc;

use wardround_core::query::{ColumnCuts, Cuts, Node, PATIENT_BITS, Side, Tree};
use wardround_core::sum::{LIMIT, unit};

use super::gains::Gain;
use super::record::{Grown, Split};

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
    /// What it is made of so far.
    grown: Grown,
    /// What each of its splits gained, in order.
    gains: Vec<Gain>,
    guide: Guide,
}

/// What a tree's splits are chosen by.
#[derive(Debug, Clone)]
enum Guide {
    Histograms,
    /// The whole tree as an earlier run grew it.
    Record(Arc<Grown>),
}

/// A leaf that may split.
#[derive(Debug, Clone)]
struct Open {
    node: u32,
    depth: u8,
    /// Its sums; unknown, and zeros, for the root.
    sums: Sums,
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
}

impl Grower {
    /// A root that may split by columns with these bins.
    pub fn new(rules: Rules, cuts: Arc<Cuts>) -> Self {
        let root = Open { node: 0, depth: 0, sums: [0; 3], source: Source::Asked };
        Self {
            rules,
            cuts,
            tree: Tree::leaf(0.0),
            leaves: 1,
            open: vec![root],
            begun: false,
            grown: Grown::default(),
            gains: Vec::new(),
            guide: Guide::Histograms,
        }
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

    /// Whether it grows by a record.
    pub fn is_recorded(&self) -> bool {
        matches!(self.guide, Guide::Record(_))
    }

    /// The tree, what its splits gained and what it is made of, once it is done.
    pub fn finish(&mut self) -> (Tree, Vec<Gain>, Grown) {
        let Self { tree, gains, grown, .. } = self;
        (std::mem::take(tree), std::mem::take(gains), std::mem::take(grown))
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
        let histogram = |open: &Open| match &open.source {
            Source::Asked => of(&open.node),
            Source::Rest { sibling, parent } => {
                let of_sibling = of(sibling);
                let rest = parent.iter().zip(of_sibling.iter()).map(|(a, b)| less(a, b));
                Arc::new(rest.collect())
            }
        };
        let mut level: Vec<(Open, Arc<Histogram>)> = open
            .into_iter()
            .map(|open| {
                let histogram = histogram(&open);
                (open, histogram)
            })
            .collect();
        if !self.begun
            && let [(root, histogram)] = &mut level[..]
        {
            let first = self.cuts.0.first().map_or(0, ColumnCuts::bins);
            root.sums = histogram[..first].iter().fold([0; 3], |sum, bin| plus(&sum, bin));
            self.begin(root.sums);
        }
        let mut splits: Vec<(usize, Candidate)> = level
            .iter()
            .enumerate()
            .filter_map(|(at, (_, histogram))| Some((at, self.best(histogram)?)))
            .collect();
        // The largest gains first while leaves are left; equal ones in order of nodes.
        splits.sort_by(|a, b| b.1.gain.total_cmp(&a.1.gain).then(a.0.cmp(&b.0)));
        splits.truncate(self.rules.leaves.saturating_sub(self.leaves) as usize);
        splits.sort_by_key(|(at, _)| *at);
        for (at, Candidate { column, below, missing, left, .. }) in splits {
            let (open, histogram) = &level[at];
            let split = Split { node: open.node, column, below, missing, left };
            self.split(open, split, histogram);
        }
        self.close();
    }

    /// Has it become the tree of a record, whatever histograms come.
    ///
    /// # Errors
    /// It has begun otherwise.
    pub fn follow(&mut self, record: Grown) -> Result<(), String> {
        let same_root = !self.begun || record.root == self.grown.root;
        if !same_root || !record.splits.starts_with(&self.grown.splits) {
            return Err("a recorded tree begins otherwise than its sums say".into());
        }
        self.guide = Guide::Record(Arc::new(record));
        Ok(())
    }

    /// Grows a level by the record.
    ///
    /// # Errors
    /// A split that the tree's rules and bins don't allow.
    pub fn take_recorded(&mut self) -> Result<(), String> {
        let Guide::Record(record) = self.guide.clone() else {
            return Err("a tree without a record".into());
        };
        let mut open = std::mem::take(&mut self.open);
        if !self.begun
            && let [root] = &mut open[..]
        {
            root.sums = record.root;
            check_range(&record.root)?;
            self.begin(record.root);
        }
        let mut rest = record.splits.iter().skip(self.grown.splits.len()).peekable();
        for open in &open {
            if let Some(split) = rest.next_if(|split| split.node == open.node) {
                self.check(open, split)?;
                // The levels below come from the record as well, so nobody subtracts from this one.
                self.split(open, *split, &Arc::default());
            }
        }
        if self.leaves > self.rules.leaves {
            return Err(format!("a recorded tree of more than {} leaves", self.rules.leaves));
        }
        self.close();
        match rest.next() {
            Some(split) if self.is_done() => Err(format!(
                "a recorded split of node {}, which is none that may split",
                split.node
            )),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, root: Sums) {
        self.tree = Tree::leaf(self.value(&root));
        self.grown.root = root;
        self.begun = true;
    }

    fn close(&mut self) {
        if self.leaves >= self.rules.leaves {
            self.open.clear();
        }
    }

    fn split(&mut self, open: &Open, split: Split, histogram: &Arc<Histogram>) {
        let Split { column, below, missing, left, .. } = split;
        let right = less(&open.sums, &left);
        let (first, depth) = (self.tree.0.len() as u32, open.depth + 1);
        self.tree.0[open.node as usize] = Node::Split { column, below, missing, left: first };
        self.grown.splits.push(split);
        let gain = self.score(&left) + self.score(&right) - self.score(&open.sums);
        self.gains.push(Gain { column, gain });
        self.leaves += 1;
        for sums in [&left, &right] {
            let value = self.value(sums);
            self.tree.0.push(Node::Leaf { value });
        }
        let children = [left, right];
        let may = children.map(|sums| self.may_split(&sums, depth));
        // The smaller child is asked for: its rows are fewer. The other is what it leaves.
        let smaller = usize::from(right[2] < left[2]);
        for child in (0..2).filter(|&child| may[child]) {
            let source = match child != smaller && may[smaller] {
                true => Source::Rest { sibling: first + smaller as u32, parent: histogram.clone() },
                false => Source::Asked,
            };
            let (node, sums) = (first + child as u32, children[child]);
            self.open.push(Open { node, depth, sums, source });
        }
    }

    /// Whether a recorded split could be one of this tree. That no other was better, only the histograms
    /// could show.
    fn check(&self, open: &Open, split: &Split) -> Result<(), String> {
        let left = split.left;
        check_range(&left)?;
        let right = less(&open.sums, &left);
        check_range(&right)?;
        let is_cut = self.cuts.of(split.column).is_some_and(|cuts| match split.below {
            0 => cuts.missing && split.missing == Side::Left,
            below => cuts.steps.binary_search(&below).is_ok(),
        });
        if is_cut && self.gain(self.score(&open.sums), &left, &right).is_some() {
            return Ok(());
        }
        let Split { node, column, below, .. } = split;
        Err(format!(
            "a recorded split of node {node} by column {column} at step {below}, which can't be"
        ))
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

    /// What a split is worth to a leaf with a score of `own`, if it may be made.
    fn gain(&self, own: f64, left: &Sums, right: &Sums) -> Option<f64> {
        let gain = self.score(left) + self.score(right) - own;
        let may = self.is_leaf(left) && self.is_leaf(right) && gain > LEAST_GAIN * own.max(1e-6);
        may.then_some(gain)
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
            let Some(gain) = self.gain(own, &left, &right) else { return };
            if best.is_none_or(|best| gain > best.gain) {
                *best = Some(Candidate { gain, column: cuts.column, below, missing, left });
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

/// Sums and their differences stay in the range of `i64`.
fn check_range(sums: &Sums) -> Result<(), String> {
    match sums.iter().find(|sum| !(-LIMIT..LIMIT).contains(*sum)) {
        Some(sum) => Err(format!("a recorded sum of {sum}, which is out of range")),
        None => Ok(()),
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

    const SHALLOW: Rules = Rules { depth: 2, ..RULES };

    /// A tree of two levels, with what it asked for, and its record.
    fn grown() -> (Grower, Vec<Vec<u32>>, Grown) {
        let mut grower = Grower::new(SHALLOW, cuts(&[100, 200], false));
        let mut wanted = vec![grower.wanted()];
        grower.take(vec![vec![bin(0, 10), bin(1, 10), bin(9, 10)]]);
        wanted.push(grower.wanted());
        grower.take(vec![vec![bin(0, 0), bin(0, 0), bin(9, 10)]]);
        assert!(grower.is_done());
        let record = grower.grown.clone();
        let gains: Vec<f64> = grower.gains.iter().map(|one| one.gain).collect();
        // Half of what the Gini impurity falls by, times the rows: of 10 of 30 positives, of 1 of 20.
        let expected = [0.05 + 8.1 - 100.0 / 30.0, 0.1 - 0.05];
        assert!(gains.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{gains:?}");
        assert_eq!(gains.len(), 2);
        (grower, wanted, record)
    }

    #[test]
    fn a_record_gives_the_same_tree_and_the_same_questions() {
        let (grown, wanted, record) = grown();
        // From its start, and when it has begun by histograms.
        for begun in [false, true] {
            let mut again = Grower::new(SHALLOW, grown.cuts.clone());
            let mut levels = wanted.as_slice();
            if begun {
                again.take(vec![vec![bin(0, 10), bin(1, 10), bin(9, 10)]]);
                levels = &levels[1..];
            }
            again.follow(record.clone()).unwrap();
            for level in levels {
                assert!(again.is_recorded() && !again.is_done());
                assert_eq!(again.wanted(), *level);
                again.take_recorded().unwrap();
            }
            assert!(again.is_done());
            assert_eq!((again.tree(), &again.grown), (grown.tree(), &record));
            assert_eq!(again.gains, grown.gains);
        }
    }

    #[test]
    fn records_that_no_histograms_give_are_refused() {
        let (grown, _, record) = grown();
        let follow = |record: Grown, rules: Rules| {
            let mut again = Grower::new(rules, grown.cuts.clone());
            again.follow(record)?;
            while !again.is_done() {
                again.take_recorded()?;
            }
            Ok(again.tree().clone())
        };
        assert_eq!(follow(record.clone(), SHALLOW).as_ref(), Ok(grown.tree()));
        let refused = |change: &dyn Fn(&mut Grown), rules: Rules, why: &str| {
            let mut changed = record.clone();
            change(&mut changed);
            let error: String = follow(changed, rules).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused(&|r| r.root[0] = i64::MAX, SHALLOW, "out of range");
        refused(&|r| r.splits[0].left[1] = i64::MIN, SHALLOW, "out of range");
        refused(&|r| r.splits[0].column = 1, SHALLOW, "column 1");
        refused(&|r| r.splits[0].below = 150, SHALLOW, "step 150");
        refused(&|r| r.splits[0].below = 0, SHALLOW, "step 0");
        // Sums that no rows have: more on the left than there is, or nothing gained.
        refused(&|r| r.splits[0].left = [1, 40, 40 << PATIENT_BITS], SHALLOW, "can't be");
        refused(&|r| r.splits[0].left = [5, 15, 15 << PATIENT_BITS], SHALLOW, "can't be");
        refused(&|r| r.splits[1].node = 0, SHALLOW, "node 0");
        refused(&|r| r.splits[1].node = u32::MAX, SHALLOW, "which is none");
        refused(&|r| r.splits.push(r.splits[1]), SHALLOW, "which is none");
        refused(&|_| (), Rules { leaves: 2, ..SHALLOW }, "which is none");
        refused(&|_| (), Rules { depth: 1, ..SHALLOW }, "which is none");
        refused(&|_| (), Rules { min_patients: 11, ..SHALLOW }, "can't be");
        // Sums that came say otherwise.
        let mut begun = Grower::new(SHALLOW, grown.cuts.clone());
        begun.take(vec![vec![bin(0, 10), bin(5, 10), bin(9, 10)]]);
        assert!(begun.follow(record).unwrap_err().contains("begins otherwise"));
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
