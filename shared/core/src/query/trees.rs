//! Trees as queries carry them: they act on a grid of 1,024 steps per column, so that a tree is the
//! same at every site, and their bins are unions of steps.
//!
//! The grid of a column covers its frame's center +- 8 scales; what lies beyond counts in the outer
//! steps. Which steps become cuts is decided from the training rows' counts alone.

use serde::{Deserialize, Serialize};

use super::{ClassWeights, Frame, RowSet};
use crate::seed::Seed;

/// Steps of a column's grid.
pub const GRID_STEPS: usize = 1024;

/// Where [`Frame::step`] puts a missing feature.
pub const MISSING: u16 = GRID_STEPS as u16;

/// Cuts of a column at most: 64 bins.
pub const MOST_CUTS: usize = 63;

/// Splits between the root and a leaf at most.
pub const MOST_DEPTH: usize = 32;

/// Binary places of a row's share of its patient.
pub const PATIENT_BITS: u8 = 12;

/// Steps per scale of the frame.
const STEPS_PER_SCALE: f64 = 64.0;

impl Frame {
    /// The step of a column's value, 0 to 1,023, or [`MISSING`] for a NaN: the last step whose edge isn't above the value.
    pub fn step(&self, column: usize, value: f64) -> u16 {
        if value.is_nan() {
            return MISSING;
        }
        let (center, scale) = (self.center[column], self.scale[column]);
        let last = GRID_STEPS as f64 - 1.0;
        let at = ((value - center) / scale * STEPS_PER_SCALE).floor() + GRID_STEPS as f64 / 2.0;
        let mut step = at.clamp(0.0, last) as u16;
        // Rounding may have put it one off; edges decide.
        while step > 0 && value < self.edge(column, step) {
            step -= 1;
        }
        while f64::from(step) < last && value >= self.edge(column, step + 1) {
            step += 1;
        }
        step
    }

    /// The lower edge of a step, in the column's own units.
    pub fn edge(&self, column: usize, step: u16) -> f64 {
        let from_center = (f64::from(step) - GRID_STEPS as f64 / 2.0) / STEPS_PER_SCALE;
        self.center[column] + self.scale[column] * from_center
    }
}

/// A binary tree, its root first; children come after their parents.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tree(pub Vec<Node>);

/// A node of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// Rows go left or right.
    Split {
        /// The feature.
        column: u32,
        /// Rows on a lower step go left, all others right; 0 to 1,023, and 0 parts rows that miss the
        /// feature from all others.
        below: u16,
        /// Where rows go that miss the feature.
        missing: Side,
        /// Index of the left child; the right one follows it.
        left: u32,
    },
    /// Rows end here.
    Leaf {
        /// What it says of them.
        value: f64,
    },
}

/// A child of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

impl Tree {
    /// A root without splits.
    pub fn leaf(value: f64) -> Self {
        Self(vec![Node::Leaf { value }])
    }

    /// Where a row ends, given its step in a column.
    pub fn leaf_of(&self, step: impl Fn(u32) -> u16) -> usize {
        let mut at = 0;
        while let Node::Split { column, below, missing, left } = self.0[at] {
            let step = step(column);
            let right = match step {
                MISSING => missing == Side::Right,
                _ => step >= below,
            };
            at = left as usize + usize::from(right);
        }
        at
    }

    /// Checks that it ends and that its leaves are finite.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, features: u32) -> Result<(), String> {
        let Tree(nodes) = self;
        check_shape(nodes.iter().map(|node| match node {
            Node::Split { left, .. } => Some(*left),
            Node::Leaf { .. } => None,
        }))?;
        for (at, node) in nodes.iter().enumerate() {
            match *node {
                Node::Leaf { value } if !value.is_finite() => {
                    return Err(format!("leaf {at} of a tree is {value}"));
                }
                Node::Split { column, below, .. }
                    if column >= features || usize::from(below) >= GRID_STEPS =>
                {
                    let what = format!("column {column} of {features} at step {below}");
                    return Err(format!("node {at} of a tree splits {what}"));
                }
                Node::Leaf { .. } | Node::Split { .. } => {}
            }
        }
        Ok(())
    }
}

/// Checks that a binary tree ends, given each node's left child (the right one follows it), `None` for
/// a leaf: every node but the root has one parent, which comes before it, and none is deeper than
/// [`MOST_DEPTH`] splits.
///
/// # Errors
/// The first node that doesn't fit.
pub fn check_shape(left: impl ExactSizeIterator<Item = Option<u32>>) -> Result<(), String> {
    let mut depth: Vec<Option<usize>> = vec![None; left.len()];
    *depth.first_mut().ok_or("a tree without a root")? = Some(0);
    for (at, left) in left.enumerate() {
        let own = depth[at].ok_or_else(|| format!("node {at} of a tree has no parent"))?;
        let Some(left) = left.map(|left| left as usize) else { continue };
        if own >= MOST_DEPTH {
            return Err(format!("a tree is deeper than {MOST_DEPTH} splits"));
        }
        for child in [left, left.saturating_add(1)] {
            match depth.get_mut(child).filter(|_| child > at) {
                Some(unset @ None) => *unset = Some(own + 1),
                _ => {
                    return Err(format!(
                        "node {at} of a tree has child {child}, which isn't its own"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// A model made of trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeModel {
    /// The class that counts as positive; all others are negative.
    pub class: u8,
    /// How the trees make a score.
    pub output: TreeOutput,
    /// What is added to the sum of the trees.
    pub start: f64,
    /// The trees.
    pub trees: Vec<Tree>,
}

/// How trees make a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreeOutput {
    /// The logit is the sum of start and leaves.
    Sum,
    /// The probability is the mean of the leaves, which lies in 0 to 1; the logit is its logit.
    Mean,
}

/// Nearest to 0 and 1 that a mean of leaves counts: beyond, logits leave the bins.
const NEAREST: f64 = 1e-6;

impl TreeModel {
    /// The logit of a row, given its step in a column.
    pub fn logit(&self, step: impl Fn(u32) -> u16) -> f64 {
        let mut sum = self.start;
        for tree in &self.trees {
            if let Node::Leaf { value } = tree.0[tree.leaf_of(&step)] {
                sum += value;
            }
        }
        self.output.logit(sum, self.trees.len())
    }
}

impl TreeOutput {
    /// The logit that a sum over so many trees means.
    pub fn logit(self, sum: f64, trees: usize) -> f64 {
        match self {
            Self::Sum => sum,
            Self::Mean => {
                let p = (sum / trees.max(1) as f64).clamp(NEAREST, 1.0 - NEAREST);
                libm::log(p / (1.0 - p))
            }
        }
    }
}

/// Bins of some columns, by ascending column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cuts(pub Vec<ColumnCuts>);

/// Bins of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnCuts {
    /// The feature.
    pub column: u32,
    /// Ascending steps, each the first of a bin; the bin before the first cut has none.
    pub steps: Vec<u16>,
    /// Whether training rows miss the feature; then they have a bin of their own, the last.
    pub missing: bool,
}

impl ColumnCuts {
    /// How many bins there are.
    pub fn bins(&self) -> usize {
        self.steps.len() + 1 + usize::from(self.missing)
    }
}

impl Cuts {
    /// A column's bins.
    pub fn of(&self, column: u32) -> Option<&ColumnCuts> {
        self.0.binary_search_by_key(&column, |cuts| cuts.column).ok().map(|at| &self.0[at])
    }
}

/// A growing tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeTerm {
    /// The training rows.
    pub rows: RowSet,
    /// The class that counts as positive.
    pub class: u8,
    /// How much rows count.
    pub weights: ClassWeights,
    /// Which of them this tree sees.
    pub sampling: Sampling,
    /// What gradients are of.
    pub gradients: Gradients,
    /// Index of its bins.
    pub cuts: u32,
    /// Its columns, ascending.
    pub columns: Vec<u32>,
    /// The tree so far.
    pub tree: Tree,
    /// Leaves whose histograms are wanted, ascending.
    pub nodes: Vec<u32>,
}

/// What gradients and Hessians are of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Gradients {
    /// Gradient: the row's weight if it is positive, else 0. Hessian: its weight. A leaf's ratio is its
    /// share of positives, and the gain of a split its decrease of the Gini impurity.
    Share,
    /// Of the logistic loss at the sum of `start` and finished trees: `y - p` and `p (1 - p)`, times the
    /// row's weight. (The negative gradient, so that a leaf's ratio is a Newton step.)
    Logistic {
        /// The logit before any tree.
        start: f64,
        /// The trees so far.
        trees: Vec<Tree>,
    },
}

/// Which training rows a tree sees; all rows of a patient together, by the patient's key.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Sampling {
    /// Every row once.
    Every,
    /// Each patient as often as a Poisson draw of mean 1 says: the bootstrap, without knowing how many
    /// patients there are.
    Bootstrap {
        /// The draws' seed.
        seed: Seed,
        /// Which draw.
        draw: u32,
    },
    /// Each patient with this probability, once.
    Share {
        /// The draws' seed.
        seed: Seed,
        /// Which draw.
        draw: u32,
        /// Above 0, up to 1.
        share: f64,
    },
}

impl TreeTerm {
    /// Numbers of each block for one of its leaves.
    pub fn numbers_per_node(&self, cuts: &[Cuts]) -> usize {
        let Some(cuts) = cuts.get(self.cuts as usize) else { return 0 };
        self.columns.iter().filter_map(|&column| cuts.of(column)).map(ColumnCuts::bins).sum()
    }

    /// Numbers of each block for all of its leaves.
    pub fn numbers(&self, cuts: &[Cuts]) -> usize {
        self.nodes.len() * self.numbers_per_node(cuts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(column: u32, left: u32) -> Node {
        Node::Split { column, below: 500, missing: Side::Right, left }
    }

    const LEAF: Node = Node::Leaf { value: 0.5 };

    #[test]
    fn steps_and_edges_agree() {
        let frame = Frame { center: vec![0.1, -3e7], scale: vec![0.3, 1.7] };
        for column in 0..2 {
            for step in 1..GRID_STEPS as u16 {
                let edge = frame.edge(column, step);
                assert_eq!(frame.step(column, edge), step);
                assert_eq!(frame.step(column, edge.next_down()), step - 1);
            }
            assert_eq!(frame.step(column, f64::NEG_INFINITY), 0);
            assert_eq!(frame.step(column, f64::INFINITY), 1023);
            assert_eq!(frame.step(column, f64::NAN), MISSING);
        }
    }

    #[test]
    fn rows_go_left_below_the_cut_and_where_missing_ones_go() {
        let tree = Tree(vec![split(0, 1), LEAF, split(1, 3), LEAF, LEAF]);
        assert_eq!(tree.check(2), Ok(()));
        assert_eq!(tree.leaf_of(|_| 499), 1);
        assert_eq!(tree.leaf_of(|column| if column == 0 { 500 } else { 0 }), 3);
        assert_eq!(tree.leaf_of(|_| MISSING), 4);
    }

    #[test]
    fn trees_that_dont_end_are_refused() {
        for (nodes, why) in [
            (vec![], "without a root"),
            (vec![split(0, 0)], "isn't its own"),
            (vec![split(0, 1), LEAF], "isn't its own"),
            (vec![split(0, 1), LEAF, split(0, 1), LEAF], "isn't its own"),
            (vec![LEAF, LEAF], "no parent"),
            (vec![split(2, 1), LEAF, LEAF], "column 2 of 2"),
            (vec![Node::Leaf { value: f64::NAN }], "NaN"),
            (vec![split(0, u32::MAX), LEAF, LEAF], "isn't its own"),
        ] {
            let error = Tree(nodes).check(2).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let mut chain = vec![split(0, 1)];
        for at in 0..MOST_DEPTH as u32 {
            chain.extend([LEAF, split(0, 2 * at + 3)]);
        }
        chain.extend([LEAF, LEAF]);
        assert!(Tree(chain).check(1).unwrap_err().contains("deeper"));
    }
}
