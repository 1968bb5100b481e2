//! Which cells of two columns are judged: levels at each site, or intersections of subgroup columns.
//!
//! Rows and columns of the table are themselves judged (all sites in one list, or all levels at one site), so a cell that isn't
//! shown is all of its row less the cells that are. It is kept back with others: some rows and some columns are hidden whole, and
//! the cells where a shown row meets a shown column are the judged ones.
//!
//! # What follows of the hidden cells
//!
//! An attacker knows every shown cell and every row and column that is shown as a margin, and any combination of them: of the
//! hidden cells at `(i, j)` the sums with weights `r_i + c_j`. Where all weights are at least 0 such a sum is itself a figure of
//! patients, so it must hold the minimum of each class. It does, if
//!
//! 1. the hidden cells of each shown column do, and those of each shown row;
//! 2. where both rows and columns are hidden, the cells where they meet do;
//! 3. hidden rows that are margins do by themselves, and others together: that is [`super::slices`]'s rule of the margins.
//!
//! *Proof.* Only columns hidden is like only rows hidden: let some rows be hidden whole, and no column. Adding a number to
//! all `r` and taking it from all `c` changes nothing, so let the smallest `r` of a hidden row be 0. That row meets every
//! column, so every `c` is at least 0: the sum is one of whole rows and of columns' hidden cells, each counted 0 or more times. With
//! hidden columns too all `c` are at least 0 by the same step; let `n` be the smallest of a hidden column. A shown row `i` meets
//! that column, so `r_i + n` is at least 0. The sum is then `r_i` times hidden row `i`, `c_j` times the hidden cells of shown column
//! `j`, `c_j - n` times hidden column `j`, `r_i + n` times the hidden cells of shown row `i`, and `n` times the cells where hidden
//! rows and hidden columns meet: all numbers are at least 0, and each sum holds the minimum. ∎ Rows that aren't margins
//! themselves have one `r`, since only their sum is known; nothing changes.
//!
//! Combinations with negative weights aren't figures, but bound counts. Where the cells' counts aren't published elsewhere (then
//! [`super::cohort()`] keeps them), each hidden cell's must keep an interval at least the minimum wide, even if the shown
//! ones were known to the patient: they aren't, but an interval tells about how many there are. That is a maximum
//! flow and exact for one table. Three tables of the same patients by two of three columns bound each other by a little more
//! (no network says by how much), which is why counts of intersections aren't published at all.
//!
//! Dominance rules ((n, k) and p %) follow from the minimum where each patient counts once: one of at least 10 is a tenth.
//! Figures of images may be of one patient with many of them, which sums of a cell don't tell.

use super::choose::hide_until;
use super::network::Network;
use super::{Reason, Shown, Slice};
use crate::policy::MinimumPatients;

/// A table of cells, each with the patients of one row and one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossedTable {
    /// Whether each row is judged by itself, over all columns.
    pub rows: Vec<Shown<()>>,
    /// Whether each column is, over all rows.
    pub columns: Vec<Shown<()>>,
    /// Row by row.
    pub cells: Vec<Vec<Slice>>,
    /// What is published of the cells' counts.
    pub counts: CrossedCounts,
}

/// What is published of the counts of such a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossedCounts {
    /// As much as [`super::cohort()`] lets; a cell whose counts it hides isn't given.
    Elsewhere,
    /// Nothing.
    Nowhere,
}

/// Tables with at most so many rows and columns together are tried in all ways.
const MOST_TRIED: usize = 12;

/// Which cells are judged, row by row. Of all ways that protect, the one that shows most patients; in large tables rows and columns
/// are hidden until they are protected, the smallest first. `per_class` is what a judged cell must hold of each class, `cell` how
/// wide a hidden count's interval must be.
pub fn crossed(
    table: &CrossedTable,
    per_class: MinimumPatients,
    cell: MinimumPatients,
) -> Vec<Vec<Shown<()>>> {
    let Some(held) = Held::of(table) else {
        let empty = Shown::Suppressed(Reason::Empty);
        return table.cells.iter().map(|row| vec![empty; row.len()]).collect();
    };
    let hidden = held.choose(per_class.get(), cell.get());
    let place = |list: &[usize], at: usize| list.iter().position(|&held| held == at);
    let judge = |row: usize, column: usize| {
        let (Some(i), Some(j)) = (place(&held.rows, row), place(&held.columns, column)) else {
            return Shown::Suppressed(Reason::Empty);
        };
        let refused = Shown::Suppressed(Reason::RefusedBySite);
        match hidden[i] || hidden[held.rows.len() + j] {
            false => Shown::Value(()),
            true if table.rows[row] == refused => refused,
            true => Shown::Suppressed(Reason::SmallSlice),
        }
    };
    let row = |(at, cells): (usize, &Vec<Slice>)| -> Vec<Shown<()>> {
        (0..cells.len()).map(|column| judge(at, column)).collect()
    };
    table.cells.iter().enumerate().map(row).collect()
}

/// A table without the rows and columns that nobody is in.
struct Held<'a> {
    table: &'a CrossedTable,
    rows: Vec<usize>,
    columns: Vec<usize>,
    classes: usize,
}

impl<'a> Held<'a> {
    /// None where nobody is in any cell.
    fn of(table: &'a CrossedTable) -> Option<Self> {
        let somebody = |slice: &Slice| slice.by_class.iter().any(|&n| n > 0);
        let rows: Vec<usize> =
            (0..table.cells.len()).filter(|&row| table.cells[row].iter().any(somebody)).collect();
        let columns: Vec<usize> = (0..table.columns.len())
            .filter(|&column| table.cells.iter().any(|row| somebody(&row[column])))
            .collect();
        let first = *rows.first()?;
        let classes = table.cells[first].first()?.by_class.len();
        Some(Self { table, rows, columns, classes })
    }

    fn slice(&self, i: usize, j: usize) -> &Slice {
        &self.table.cells[self.rows[i]][self.columns[j]]
    }

    fn patients(&self, i: usize, j: usize) -> u64 {
        self.slice(i, j).by_class.iter().sum()
    }

    /// Whether each row, then each column, is hidden.
    fn choose(&self, per_class: u64, cell: u64) -> Vec<bool> {
        let (m, n) = (self.rows.len(), self.columns.len());
        let margins = (self.rows.iter().map(|&at| self.table.rows[at]))
            .chain(self.columns.iter().map(|&at| self.table.columns[at]));
        let needed: Vec<bool> = margins.map(|margin| margin != Shown::Value(())).collect();
        if m + n > MOST_TRIED {
            let of_row = |i: usize| (0..n).map(|j| self.patients(i, j)).sum();
            let of_column = |j: usize| (0..m).map(|i| self.patients(i, j)).sum();
            let costs: Vec<u64> = (0..m).map(of_row).chain((0..n).map(of_column)).collect();
            let mut hidden = needed;
            // Without success all are hidden, which is safe.
            hide_until(&mut hidden, &costs, |hidden| self.is_safe(hidden, per_class, cell));
            return hidden;
        }
        let mut best = (0, vec![true; m + n]);
        for way in 0..1usize << (m + n) {
            let hidden: Vec<bool> = (0..m + n).map(|at| way >> at & 1 == 1).collect();
            if needed.iter().zip(&hidden).any(|(needed, hidden)| *needed && !hidden) {
                continue;
            }
            let cells = (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
            let shown: u64 = (cells.filter(|&(i, j)| !hidden[i] && !hidden[m + j]))
                .map(|(i, j)| self.patients(i, j))
                .sum();
            if shown > best.0 && self.is_safe(&hidden, per_class, cell) {
                best = (shown, hidden);
            }
        }
        best.1
    }

    fn is_safe(&self, hidden: &[bool], per_class: u64, cell: u64) -> bool {
        let (rows, columns) = hidden.split_at(self.rows.len());
        let pick = |list: &[bool], want: bool| -> Vec<usize> {
            (0..list.len()).filter(|&at| list[at] == want).collect()
        };
        let [shown_rows, hidden_rows] = [false, true].map(|want| pick(rows, want));
        let [shown_columns, hidden_columns] = [false, true].map(|want| pick(columns, want));
        if shown_rows.is_empty() || shown_columns.is_empty() {
            // Nothing is shown.
            return true;
        }
        let enough = |rows: &[usize], columns: &[usize]| self.hold(rows, columns, per_class);
        let judged = |&i: &usize| {
            shown_columns.iter().all(|&j| {
                self.slice(i, j).given == Shown::Value(()) && self.hold(&[i], &[j], per_class)
            })
        };
        shown_rows.iter().all(judged)
            && hidden_rows.len() != 1
            && hidden_columns.len() != 1
            && (hidden_rows.is_empty() || shown_columns.iter().all(|&j| enough(&hidden_rows, &[j])))
            && (hidden_columns.is_empty()
                || shown_rows.iter().all(|&i| enough(&[i], &hidden_columns)))
            && (hidden_rows.is_empty()
                || hidden_columns.is_empty()
                || enough(&hidden_rows, &hidden_columns))
            && (self.table.counts == CrossedCounts::Elsewhere || self.are_wide(hidden, cell))
    }

    /// Whether some cells together hold the minimum of each class, without any one row whose owner refuses too: the rest hides it.
    fn hold(&self, rows: &[usize], columns: &[usize], minimum: u64) -> bool {
        let refused = Shown::Suppressed(Reason::RefusedBySite);
        let holds = |without: Option<usize>| {
            (0..self.classes).all(|class| {
                let cells = rows.iter().filter(|&&i| Some(i) != without);
                let of_row = |&i: &usize| -> u64 {
                    columns.iter().map(|&j| self.slice(i, j).by_class[class]).sum()
                };
                cells.map(of_row).sum::<u64>() >= minimum
            })
        };
        let mut refusals = rows.iter().filter(|&&i| self.table.rows[self.rows[i]] == refused);
        holds(None) && refusals.all(|&i| holds(Some(i)))
    }

    /// Whether each hidden count has an interval that is wide enough, class by class.
    fn are_wide(&self, hidden: &[bool], enough: u64) -> bool {
        let (m, n) = (self.rows.len(), self.columns.len());
        let is_hidden = |i: usize, j: usize| hidden[i] || hidden[m + j];
        (0..self.classes).all(|class| {
            let count = |i: usize, j: usize| self.slice(i, j).by_class[class];
            // Margins are one more row and one more column, with their signs turned.
            let mut table = Network::new(m + 1, n + 1);
            for i in 0..m {
                for j in (0..n).filter(|&j| is_hidden(i, j)) {
                    table.hide((i, j), u64::MAX, count(i, j));
                }
                if self.table.rows[self.rows[i]] != Shown::Value(()) {
                    table.hide((i, n), (0..n).map(|j| count(i, j)).sum(), u64::MAX);
                }
            }
            for j in 0..n {
                if self.table.columns[self.columns[j]] != Shown::Value(()) {
                    table.hide((m, j), (0..m).map(|i| count(i, j)).sum(), u64::MAX);
                }
            }
            (0..m)
                .all(|i| (0..n).all(|j| !is_hidden(i, j) || table.width((i, j), enough) >= enough))
        })
    }
}

#[cfg(test)]
mod tests;
