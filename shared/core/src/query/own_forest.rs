//! Forests of single sites as answers carry them: each tree a complete binary tree of whole numbers, so that
//! the answer's shape is known before and answers of several sites add up, each in its own slots.

use serde::{Deserialize, Serialize};

use super::trees::{Cuts, GRID_STEPS, Node, Side, Tree};
use super::{ClassWeights, DecodeError, Query, RowSet};
use crate::seed::Seed;

/// Splits between root and leaf of a single site's tree at most: a complete tree has twice the numbers with
/// each.
pub const MOST_OWN_DEPTH: u8 = 10;

/// Trees of a single site's forest at most.
pub const MOST_OWN_TREES: u32 = 2000;

/// A forest that each site grows of its own rows alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnForestTerm {
    /// The training rows; each site's own ones of them.
    pub rows: RowSet,
    /// The class that counts as positive.
    pub class: u8,
    /// How much rows count.
    pub weights: ClassWeights,
    /// Index into the query's tables of cuts: the bins of all columns.
    pub cuts: u32,
    /// Columns that each tree may split by at most, drawn by the seed.
    pub columns: u32,
    /// Draws columns and patients. The first tree of the site at index i is number i times `trees`.
    pub seed: Seed,
    /// Trees of each site.
    pub trees: u32,
    /// Splits between the root and a leaf at most.
    pub depth: u8,
    /// Leaves of a tree at most.
    pub leaves: u32,
    /// Patients per leaf at least.
    pub min_patients: u32,
}

impl OwnForestTerm {
    /// Numbers of a complete tree.
    pub fn numbers_per_tree(&self) -> usize {
        (2 << self.depth.min(MOST_OWN_DEPTH)) - 1
    }

    /// Numbers of one site's slots.
    pub fn numbers_per_site(&self) -> usize {
        self.trees as usize * self.numbers_per_tree()
    }
}

impl Query {
    pub(super) fn check_own_forest(
        &self,
        term: &OwnForestTerm,
        cuts: &[Cuts],
    ) -> Result<(), DecodeError> {
        self.check_rows(&term.rows)?;
        self.check_class(term.class)?;
        term.weights.check()?;
        let OwnForestTerm { columns, trees, depth, leaves, .. } = *term;
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        match cuts.get(term.cuts as usize) {
            Some(Cuts(cuts)) if cuts.len() == self.schema.features as usize => {}
            Some(Cuts(cuts)) => return wrong(format!("cuts of {} columns", cuts.len())),
            None => return wrong(format!("cuts {} of {}", term.cuts, cuts.len())),
        }
        if !(1..=MOST_OWN_TREES).contains(&trees) || !(1..=MOST_OWN_DEPTH).contains(&depth) {
            return wrong(format!("{trees} trees of depth {depth} from each site"));
        }
        if columns == 0 || leaves < 2 {
            return wrong(format!("trees of {columns} columns and {leaves} leaves"));
        }
        Ok(())
    }
}

impl Tree {
    /// The tree as a complete one of so many numbers, level by level from the root: the children of place i stand
    /// at 2 i + 1 and 2 i + 2. A leaf is the bits of its value, which lies in 0 to 1; a split is negative; places
    /// that the tree doesn't reach are 0.
    ///
    /// # Errors
    /// It is deeper, or a leaf lies outside of 0 to 1.
    pub fn complete(&self, numbers: usize) -> Result<Vec<i64>, String> {
        let mut places = vec![0; numbers];
        let mut open = vec![(0, 0)];
        while let Some((node, place)) = open.pop() {
            let out: &mut i64 = places.get_mut(place).ok_or("a tree deeper than asked for")?;
            *out = match self.0[node] {
                Node::Leaf { value } if (0.0..=1.0).contains(&value) => {
                    value.abs().to_bits() as i64
                }
                Node::Leaf { value } => return Err(format!("a leaf of {value}, not in 0 to 1")),
                Node::Split { column, below, missing, left } => {
                    open.push((left as usize, 2 * place + 1));
                    open.push((left as usize + 1, 2 * place + 2));
                    let step = i64::from(column) * GRID_STEPS as i64 + i64::from(below);
                    -1 - (2 * step + i64::from(missing == Side::Right))
                }
            };
        }
        Ok(places)
    }

    /// The tree of a complete one's numbers; nodes stand level by level, as trees grow.
    ///
    /// # Errors
    /// Numbers that [`Tree::complete`] doesn't make.
    pub fn of_complete(places: &[i64]) -> Result<Self, String> {
        let mut nodes = Vec::new();
        // Place by node.
        let mut order = vec![0];
        let mut used = 0;
        while let Some(&place) = order.get(nodes.len()) {
            let number = *places.get(place).ok_or("a split without room for its children")?;
            used += usize::from(number != 0);
            nodes.push(if number < 0 {
                let code = -1 - number;
                let (step, right) = (code / 2, code % 2 == 1);
                let column = u32::try_from(step / GRID_STEPS as i64);
                let left = order.len() as u32;
                order.extend([2 * place + 1, 2 * place + 2]);
                Node::Split {
                    column: column.map_err(|_| format!("a split of {number}"))?,
                    below: (step % GRID_STEPS as i64) as u16,
                    missing: if right { Side::Right } else { Side::Left },
                    left,
                }
            } else {
                let value = f64::from_bits(number as u64);
                if !(0.0..=1.0).contains(&value) {
                    return Err(format!("a leaf of {value}, not in 0 to 1"));
                }
                Node::Leaf { value }
            });
        }
        if used != places.iter().filter(|&&number| number != 0).count() {
            return Err("numbers beyond a tree's leaves".into());
        }
        Ok(Self(nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_trees_read_back() {
        let split = |column, below, missing, left| Node::Split { column, below, missing, left };
        let leaf = |value| Node::Leaf { value };
        let tree = Tree(vec![
            split(1279, 1023, Side::Right, 1),
            split(0, 0, Side::Left, 3),
            leaf(1.0 / 3.0),
            leaf(0.0),
            leaf(1.0),
        ]);
        let places = tree.complete(7).unwrap();
        assert_eq!(places[5..], [0, 0]);
        assert_eq!(Tree::of_complete(&places), Ok(tree.clone()));
        assert!(tree.complete(3).unwrap_err().contains("deeper"));
        assert_eq!(Tree::of_complete(&[0; 7]), Ok(Tree::leaf(0.0)));
        assert!(Tree(vec![leaf(1.5)]).complete(1).is_err());
        // Two sites in one slot, or one that counts beyond its leaves.
        for hostile in [[1.0f64.to_bits() as i64 + 1, 0, 0], [0, 5, 0], [-1, -1, 0]] {
            assert!(Tree::of_complete(&hostile).is_err(), "{hostile:?}");
        }
        assert!(Tree::of_complete(&[i64::MIN + 1, 0, 0]).is_err());
    }
}
