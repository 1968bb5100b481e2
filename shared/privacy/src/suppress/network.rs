//! How far a hidden cell of a table can move while everything that is published of it stays.
//!
//! A change of a table that keeps all published sums adds up to 0 in every row and every column.
//! Rows and columns are the nodes of a bipartite network and cells its edges, so how far a cell can
//! rise or fall is a maximum flow from its row to its column through the other hidden cells: exact,
//! and cheap since it may stop at the minimum. A hidden total takes part as one more row whose
//! signs are turned round.

use std::collections::VecDeque;

/// How far each cell of a table can rise and fall by itself; a shown cell can do neither.
#[derive(Debug, Clone)]
pub(super) struct Network {
    rows: usize,
    columns: usize,
    rise: Vec<u64>,
    fall: Vec<u64>,
}

/// Row and column.
pub(super) type Cell = (usize, usize);

impl Network {
    /// A table of which nothing is hidden.
    pub fn new(rows: usize, columns: usize) -> Self {
        let shown = vec![0; rows * columns];
        Self { rows, columns, rise: shown.clone(), fall: shown }
    }

    /// Hides a cell that can rise and fall by so much.
    pub fn hide(&mut self, cell: Cell, rise: u64, fall: u64) {
        let at = self.index(cell);
        (self.rise[at], self.fall[at]) = (rise, fall);
    }

    /// How wide the interval is in which a cell can lie; as soon as `enough` is reached, any number
    /// from there on.
    pub fn width(&self, cell: Cell, enough: u64) -> u64 {
        let up = self.reach(cell, true, enough);
        if up >= enough { up } else { up + self.reach(cell, false, enough) }
    }

    fn index(&self, (row, column): Cell) -> usize {
        row * self.columns + column
    }

    /// How far a cell can rise, or fall, at most `enough`: a maximum flow by shortest augmenting
    /// paths.
    pub fn reach(&self, cell: Cell, rising: bool, enough: u64) -> u64 {
        let (mut rise, mut fall) = match rising {
            true => (self.rise.clone(), self.fall.clone()),
            false => (self.fall.clone(), self.rise.clone()),
        };
        let own = self.index(cell);
        let limit = rise[own].min(enough);
        (rise[own], fall[own]) = (0, 0);
        let mut flow = 0;
        while flow < limit {
            let Some(path) = self.path(cell, &rise, &fall) else { break };
            let room = |&(at, falls): &(usize, bool)| if falls { fall[at] } else { rise[at] };
            let step = path.iter().map(room).min().unwrap_or(0).min(limit - flow);
            for &(at, falls) in &path {
                let (from, to) =
                    if falls { (&mut fall, &mut rise) } else { (&mut rise, &mut fall) };
                from[at] -= step;
                to[at] = to[at].saturating_add(step);
            }
            flow += step;
        }
        flow
    }

    /// A shortest path of cells from the cell's row to its column: out of a row by falling, out of
    /// a column by rising.
    fn path(&self, cell: Cell, rise: &[u64], fall: &[u64]) -> Option<Vec<(usize, bool)>> {
        // Nodes: rows, then columns.
        let (start, end) = (cell.0, self.rows + cell.1);
        let mut came: Vec<Option<(usize, bool, usize)>> = vec![None; self.rows + self.columns];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            if node == end {
                break;
            }
            let falls = node < self.rows;
            for other in 0..if falls { self.columns } else { self.rows } {
                let (at, next) = match falls {
                    true => (self.index((node, other)), self.rows + other),
                    false => (self.index((other, node - self.rows)), other),
                };
                let room = if falls { fall[at] } else { rise[at] };
                if room > 0 && next != start && came[next].is_none() {
                    came[next] = Some((at, falls, node));
                    queue.push_back(next);
                }
            }
        }
        let mut path = Vec::new();
        let mut node = end;
        while node != start {
            let (at, falls, before) = came[node]?;
            path.push((at, falls));
            node = before;
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_moves_as_far_as_its_corners_let_it() {
        let mut table = Network::new(2, 2);
        for (cell, count) in [((0, 0), 3), ((0, 1), 10), ((1, 0), 7), ((1, 1), 2)] {
            table.hide(cell, u64::MAX, count);
        }
        // Up by 7 (the corner beside it runs dry), down by 2 (the corner across).
        assert_eq!(table.width((0, 0), 100), 9);
        assert_eq!(table.width((0, 0), 5), 5);
        table.hide((1, 1), 0, 0);
        assert_eq!(table.width((0, 0), 100), 0);
    }

    #[test]
    fn a_longer_way_round_is_found() {
        // A ring of six cells in a table of three rows and three columns.
        let mut table = Network::new(3, 3);
        for cell in [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 0)] {
            table.hide(cell, u64::MAX, 4);
        }
        assert_eq!(table.width((0, 0), 100), 8);
        assert_eq!(table.width((1, 2), 6), 8);
    }
}
