//! Which cells of a table must be hidden so that no hidden one is known to within the minimum.
//!
//! A table is extended by its margins: row `rows` holds the column totals, column `columns` the row
//! totals. An attacker knows every cell that is shown, that rows and columns add up to their
//! totals, and that nothing is negative; of a hidden cell there remains an interval. Writing totals
//! with a minus sign makes every row and column of the extended table add up to 0, so that the
//! hidden cells form a bipartite network and the interval's ends are two maximum flows: exact, and
//! cheap since they may stop at the minimum.
//!
//! Where the interval is narrower than the minimum, one more rectangle of cells is hidden (the
//! hypercube method: Repsilber 1994, Giessing 2003): the cheapest one that widens it enough, totals
//! last. If none does, nothing of the table is shown.

use std::collections::VecDeque;

/// The extended table: counts with their totals, row by row.
#[derive(Debug, Clone)]
pub(super) struct Extended {
    /// Inner rows.
    pub rows: usize,
    /// Inner columns.
    pub columns: usize,
    values: Vec<u64>,
}

/// A cell of an extended table.
pub(super) type Cell = (usize, usize);

impl Extended {
    /// Adds the totals to inner counts; every row must have `columns` counts.
    pub fn new(counts: &[Vec<u64>], columns: usize) -> Self {
        let rows = counts.len();
        let mut table = Self { rows, columns, values: vec![0; (rows + 1) * (columns + 1)] };
        let width = columns + 1;
        for (r, row) in counts.iter().enumerate() {
            for (c, &count) in row.iter().enumerate() {
                for at in [r * width + c, r * width + columns, rows * width + c] {
                    table.values[at] += count;
                }
                table.values[rows * width + columns] += count;
            }
        }
        table
    }

    pub fn value(&self, (row, column): Cell) -> u64 {
        self.values[self.index((row, column))]
    }

    pub fn index(&self, (row, column): Cell) -> usize {
        row * (self.columns + 1) + column
    }

    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<> {
        let columns = self.columns;
        (0..=self.rows).flat_map(move |row| (0..=columns).map(move |column| (row, column)))
    }

    /// Whether a cell is the total of a row or of a column; the grand total is neither, since its
    /// two minus signs cancel.
    fn is_margin(&self, (row, column): Cell) -> bool {
        (row == self.rows) != (column == self.columns)
    }

    /// How far a cell's signed value can rise or fall while its count stays at 0 or above, at most
    /// `enough`.
    fn room(&self, cell: Cell, rising: bool, enough: u64) -> u64 {
        if self.is_margin(cell) == rising { self.value(cell).min(enough) } else { enough }
    }

    /// Whether the feasible interval of a hidden cell is at least `enough` wide.
    pub fn protected(&self, hidden: &[bool], cell: Cell, enough: u64) -> bool {
        let rise = self.reach(hidden, cell, true, enough);
        rise >= enough || rise + self.reach(hidden, cell, false, enough) >= enough
    }

    /// How far a hidden cell's signed value can rise (or fall) while the other hidden cells make up
    /// for it: a maximum flow from its row to its column, by shortest augmenting paths.
    fn reach(&self, hidden: &[bool], cell: Cell, rising: bool, enough: u64) -> u64 {
        let limit = self.room(cell, rising, enough);
        // Signed change of each cell so far, in the direction that answers a rise.
        let mut change = vec![0i64; self.values.len()];
        let mut flow = 0;
        while flow < limit {
            let Some(path) = self.path(hidden, cell, rising, enough, &change) else { break };
            let room = |&(at, away): &(Cell, bool)| self.left(at, away, rising, enough, &change);
            let step = path.iter().map(room).min().unwrap_or(0).min(limit - flow);
            for &(at, away) in &path {
                change[self.index(at)] += if away { step as i64 } else { -(step as i64) };
            }
            flow += step;
        }
        flow
    }

    /// What a cell can still carry from its row to its column (`away`) or back. Carrying away
    /// lowers the cell when the searched one rises.
    fn left(&self, at: Cell, away: bool, rising: bool, enough: u64, change: &[i64]) -> u64 {
        let carried = change[self.index(at)];
        let room = self.room(at, away != rising, enough) as i64;
        (if away { room - carried } else { room + carried }).max(0) as u64
    }

    /// A shortest path of hidden cells with room from the cell's row to its column.
    fn path(
        &self,
        hidden: &[bool],
        cell: Cell,
        rising: bool,
        enough: u64,
        change: &[i64],
    ) -> Option<Vec<(Cell, bool)>> {
        // Nodes: rows, then columns.
        let node_of_column = |column: usize| self.rows + 1 + column;
        let (start, end) = (cell.0, node_of_column(cell.1));
        let mut came: Vec<Option<(Cell, bool)>> = vec![None; self.rows + self.columns + 2];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            if node == end {
                break;
            }
            let away = node <= self.rows;
            let across = if away { self.columns } else { self.rows };
            for other in 0..=across {
                let (at, next) = match away {
                    true => ((node, other), node_of_column(other)),
                    false => ((other, node - self.rows - 1), other),
                };
                let open = at != cell && hidden[self.index(at)] && next != start;
                if open && came[next].is_none() && self.left(at, away, rising, enough, change) > 0 {
                    came[next] = Some((at, away));
                    queue.push_back(next);
                }
            }
        }
        let mut path = Vec::new();
        let mut node = end;
        while node != start {
            let (at, away) = came[node]?;
            path.push((at, away));
            node = if away { at.0 } else { node_of_column(at.1) };
        }
        Some(path)
    }

    /// How wide a rectangle with this corner makes the corner's interval, at most `2 enough`.
    fn rectangle_width(&self, corner: Cell, opposite: Cell, enough: u64) -> u64 {
        let beside = [(corner.0, opposite.1), (opposite.0, corner.1)];
        let reach = |rising: bool| {
            let same = [corner, opposite].map(|at| self.room(at, rising, enough));
            let other = beside.map(|at| self.room(at, !rising, enough));
            same.into_iter().chain(other).min().unwrap_or(0)
        };
        reach(true) + reach(false)
    }
}

/// Hides more and more cells until every hidden cell of every table (all of one shape, hidden
/// alike) has a feasible interval of at least `enough`. Cells of `left_out` columns stay as they
/// are. Returns `hidden`, or all hidden when nothing less protects.
pub(super) fn protect(
    tables: &[Extended],
    mut hidden: Vec<bool>,
    left_out: &[bool],
    enough: u64,
) -> Vec<bool> {
    let Some(shape) = tables.first() else { return hidden };
    let open = |cell: Cell| cell.1 >= shape.columns || !left_out[cell.1];
    let weak = |hidden: &[bool]| {
        shape.cells().filter(|&cell| open(cell) && hidden[shape.index(cell)]).find_map(|cell| {
            let table = tables.iter().find(|table| !table.protected(hidden, cell, enough))?;
            Some((table, cell))
        })
    };
    while let Some((table, cell)) = weak(&hidden) {
        let corners = |opposite: Cell| [(cell.0, opposite.1), opposite, (opposite.0, cell.1)];
        let cost = |opposite: Cell| {
            let new = corners(opposite).into_iter().filter(|&at| !hidden[shape.index(at)]);
            let (mut totals, mut patients) = (0, 0);
            for at in new.clone() {
                totals += usize::from(at.0 == shape.rows || at.1 == shape.columns);
                patients += tables.iter().map(|table| table.value(at)).sum::<u64>();
            }
            (totals, patients, new.count())
        };
        let best = shape
            .cells()
            .filter(|&(row, column)| row != cell.0 && column != cell.1 && open((row, column)))
            .filter(|&opposite| table.rectangle_width(cell, opposite, enough) >= enough)
            .filter(|&opposite| cost(opposite).2 > 0)
            .min_by_key(|&opposite| cost(opposite));
        match best {
            Some(opposite) => {
                corners(opposite).into_iter().for_each(|at| hidden[shape.index(at)] = true);
            }
            None => return vec![true; hidden.len()],
        }
    }
    hidden
}
