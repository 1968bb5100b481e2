//! A column's table of sites by levels: which of its cells hide their total, which their classes.

use super::cohort::{CellCounts, Hidden, SiteTables, movable, small};
use super::network::{Cell, Network};

/// The table with what is decided about its margins. Totals of sites are shown.
pub(super) struct Interior<'a> {
    /// Site by site and level by level, levels that nobody has left out.
    pub cells: Vec<Vec<&'a CellCounts>>,
    /// What is hidden of each level.
    pub levels: &'a [Hidden],
    /// Whether each site's classes are hidden.
    pub sites: &'a [bool],
    /// For exchanges between sites whose classes are hidden.
    pub tables: &'a SiteTables,
    /// Number of the column.
    pub at: usize,
    /// Number of each level.
    pub held: &'a [usize],
}

impl Interior<'_> {
    /// What is hidden of each site and level; none when hiding all of it isn't enough.
    /// `every_class` tells that no class counts are shown anywhere.
    pub fn hide(&self, every_class: bool, enough: u64) -> Option<Vec<Vec<Hidden>>> {
        let needed: Vec<Vec<Hidden>> = self
            .cells
            .iter()
            .zip(self.sites)
            .map(|(row, site)| {
                row.iter()
                    .zip(self.levels)
                    .map(|(cell, level)| {
                        let totals = level.totals || cell.patients < enough;
                        let classes = *site || level.classes || small(cell, enough);
                        Hidden { totals, classes: totals || classes || every_class }
                    })
                    .collect()
            })
            .collect();
        let mut hidden = needed.clone();
        while let Some((cell, totals)) = self.weak(&hidden, every_class, enough) {
            let found = match totals {
                Some(class) => self.rectangle(&hidden, cell, Layer::Labels(class), enough),
                None => None,
            };
            let found = found.or_else(|| self.rectangle(&hidden, cell, Layer::Totals, enough));
            match found {
                Some((corners, layer)) => {
                    for (row, column) in corners {
                        hidden[row][column].classes = true;
                        hidden[row][column].totals |= layer == Layer::Totals;
                    }
                }
                None if hidden.iter().flatten().all(|cell| cell.totals) => return None,
                None => {
                    let all = Hidden { totals: true, classes: true };
                    hidden.iter_mut().for_each(|row| row.fill(all));
                }
            }
        }
        self.show_again(&mut hidden, &needed, every_class, enough);
        Some(hidden)
    }

    /// A hidden cell that isn't safe: its total (no class), or a class of it.
    fn weak(
        &self,
        hidden: &[Vec<Hidden>],
        every_class: bool,
        enough: u64,
    ) -> Option<(Cell, Option<usize>)> {
        let classes = self.classes();
        let places: Vec<Network> =
            (0..classes).map(|class| self.network(hidden, Layer::Places(class))).collect();
        let mut labels: Vec<Vec<Option<Network>>> = vec![vec![None; classes]; classes];
        for (row, line) in hidden.iter().enumerate() {
            for (column, state) in line.iter().enumerate() {
                let cell = (row, column);
                let place: Vec<u64> = match state.totals {
                    true => places.iter().map(|place| place.width(cell, enough)).collect(),
                    false => vec![0; classes],
                };
                if state.totals && place.iter().sum::<u64>() < enough {
                    return Some((cell, None));
                }
                if !state.classes || every_class {
                    continue;
                }
                for class in 0..classes {
                    let safe = place[class] >= enough
                        || self.exchanged(cell, class, enough)
                        || (0..classes).filter(|&with| with != class).any(|with| {
                            let labels = labels[class][with].get_or_insert_with(|| {
                                self.network(hidden, Layer::Exchange(class, with))
                            });
                            labels.width(cell, enough) >= enough
                        })
                        || state.totals && self.exchanged_and_moved(hidden, cell, class, enough);
                    if !safe {
                        return Some((cell, Some(class)));
                    }
                }
            }
        }
        None
    }

    /// Whether another site whose classes are hidden can exchange enough with this one in this cell.
    fn exchanged(&self, (site, column): Cell, class: usize, enough: u64) -> bool {
        let at = Some((self.at + 1, self.held[column]));
        self.sites[site]
            && (0..self.sites.len()).filter(|&other| other != site && self.sites[other]).any(
                |other| {
                    (0..self.classes()).filter(|&with| with != class).any(|with| {
                        let up = self.tables.exchange([site, other], [class, with], at);
                        up + self.tables.exchange([site, other], [with, class], at) >= enough
                    })
                },
            )
    }

    /// Whether a class of a cell can gain enough by places after two sites, or two levels, have
    /// exchanged as many labels as they can in its favour.
    fn exchanged_and_moved(
        &self,
        hidden: &[Vec<Hidden>],
        cell: Cell,
        class: usize,
        enough: u64,
    ) -> bool {
        let (rows, columns) = (self.cells.len(), self.levels.len());
        let actual: Vec<Vec<Vec<u64>>> =
            self.cells.iter().map(|row| row.iter().map(|cell| movable(cell)).collect()).collect();
        let gains = |changed: &[Vec<Vec<u64>>]| {
            let places = self.network_of(hidden, Layer::Places(class), changed);
            let gained =
                changed[cell.0][cell.1][class].saturating_sub(actual[cell.0][cell.1][class]);
            gained + places.reach(cell, true, enough) >= enough
        };
        let swapped = |moves: &[(Cell, Cell, u64)], with: usize| {
            let mut changed = actual.clone();
            for &(mine, theirs, count) in moves {
                changed[mine.0][mine.1][class] += count;
                changed[mine.0][mine.1][with] -= count;
                changed[theirs.0][theirs.1][with] += count;
                changed[theirs.0][theirs.1][class] -= count;
            }
            changed
        };
        (0..self.classes()).filter(|&with| with != class).any(|with| {
            let room = |mine: Cell, theirs: Cell| {
                actual[mine.0][mine.1][with].min(actual[theirs.0][theirs.1][class])
            };
            let sites = (0..rows)
                .filter(|&other| other != cell.0 && self.sites[cell.0] && self.sites[other]);
            let by_site = { sites }.any(|other| {
                let mut left = self.tables.exchange([cell.0, other], [class, with], None);
                let mut moves = Vec::new();
                for level in 0..columns {
                    let (mine, theirs) = ((cell.0, level), (other, level));
                    let count = room(mine, theirs).min(left);
                    left -= count;
                    moves.push((mine, theirs, count));
                }
                gains(&swapped(&moves, with))
            });
            let levels = (0..columns).filter(|&other| {
                let both = [cell.1, other].map(|level| self.levels[level].classes);
                other != cell.1 && both == [true, true]
            });
            by_site || { levels }.any(|other| {
                let moves: Vec<_> = (0..rows)
                    .map(|row| ((row, cell.1), (row, other)))
                    .map(|(mine, theirs)| (mine, theirs, room(mine, theirs)))
                    .collect();
                gains(&swapped(&moves, with))
            })
        })
    }

    fn classes(&self) -> usize {
        self.cells.first().and_then(|row| row.first()).map_or(0, |cell| cell.by_class.len())
    }

    /// The moves of one layer; the last row are the levels of all sites, with their signs turned.
    fn network(&self, hidden: &[Vec<Hidden>], layer: Layer) -> Network {
        let actual: Vec<Vec<Vec<u64>>> =
            self.cells.iter().map(|row| row.iter().map(|cell| movable(cell)).collect()).collect();
        self.network_of(hidden, layer, &actual)
    }

    /// The same where so many patients of each class can be moved.
    fn network_of(
        &self,
        hidden: &[Vec<Hidden>],
        layer: Layer,
        movable: &[Vec<Vec<u64>>],
    ) -> Network {
        let (rows, columns) = (self.cells.len(), self.levels.len());
        let mut made = Network::new(rows + 1, columns);
        for column in 0..columns {
            let mut total = (0u64, 0u64);
            for row in 0..rows {
                let (rise, fall) = layer.room(&movable[row][column]);
                total = (total.0.saturating_add(rise), total.1 + fall);
                if layer.hides(hidden[row][column]) {
                    made.hide((row, column), rise, fall);
                }
            }
            if layer.hides(self.levels[column]) {
                made.hide((rows, column), total.1, total.0);
            }
        }
        made
    }

    /// The three other corners of the cheapest rectangle that makes a cell safe, and what they hide.
    fn rectangle(
        &self,
        hidden: &[Vec<Hidden>],
        cell: Cell,
        layer: Layer,
        enough: u64,
    ) -> Option<([Cell; 3], Layer)> {
        let cost = |corners: &[Cell; 3]| -> u64 {
            let new = corners.iter().filter(|&&(row, column)| {
                let state = hidden[row][column];
                if layer == Layer::Totals { !state.totals } else { !state.classes }
            });
            // A cell of nobody costs something too: it is one figure less.
            new.map(|&(row, column)| self.cells[row][column].patients + 1).sum()
        };
        let candidates = (0..self.cells.len())
            .flat_map(|row| (0..self.levels.len()).map(move |column| (row, column)))
            .filter(|&(row, column)| row != cell.0 && column != cell.1)
            .map(|opposite| [(cell.0, opposite.1), opposite, (opposite.0, cell.1)]);
        candidates
            .filter(|corners| cost(corners) > 0 && self.widens(cell, corners, layer, enough))
            .min_by_key(cost)
            .map(|corners| (corners, layer))
    }

    fn widens(
        &self,
        cell: Cell,
        [beside, opposite, below]: &[Cell; 3],
        layer: Layer,
        enough: u64,
    ) -> bool {
        let width = |moves: Layer| {
            let room = |(row, column): Cell| moves.room(&movable(self.cells[row][column]));
            let (same, other) = ([room(cell), room(*opposite)], [room(*beside), room(*below)]);
            let up = same.iter().map(|r| r.0).chain(other.iter().map(|r| r.1)).min();
            let down = same.iter().map(|r| r.1).chain(other.iter().map(|r| r.0)).min();
            up.unwrap_or(0) + down.unwrap_or(0)
        };
        let classes = self.classes();
        match layer {
            Layer::Labels(class) => (0..classes)
                .filter(|&with| with != class)
                .any(|with| width(Layer::Exchange(class, with)) >= enough),
            _ => (0..classes).map(|class| width(Layer::Places(class))).sum::<u64>() >= enough,
        }
    }

    /// Shows what isn't needed, the dearest first: a total with its classes, or at least the total.
    fn show_again(
        &self,
        hidden: &mut [Vec<Hidden>],
        needed: &[Vec<Hidden>],
        every_class: bool,
        enough: u64,
    ) {
        let mut more: Vec<Cell> = (0..hidden.len())
            .flat_map(|row| (0..self.levels.len()).map(move |column| (row, column)))
            .filter(|&(row, column)| hidden[row][column] != needed[row][column])
            .collect();
        more.sort_by_key(|&(row, column)| std::cmp::Reverse(self.cells[row][column].patients));
        for (row, column) in more {
            let (now, least) = (hidden[row][column], needed[row][column]);
            for less in [least, Hidden { totals: least.totals, classes: true }] {
                hidden[row][column] = less;
                if less == now || self.weak(hidden, every_class, enough).is_none() {
                    break;
                }
                hidden[row][column] = now;
            }
        }
    }
}

/// What is moved, or hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// Patients of a class change cells.
    Places(usize),
    /// Patients of the first class become patients of the second, and the other way round.
    Exchange(usize, usize),
    /// Classes are hidden, so that this one can be exchanged for some other.
    Labels(usize),
    /// Totals are hidden, so that patients of any class can change cells.
    Totals,
}

impl Layer {
    /// How far a cell can rise and fall.
    fn room(self, movable: &[u64]) -> (u64, u64) {
        match self {
            Layer::Places(class) => (u64::MAX, movable[class]),
            Layer::Exchange(class, with) => (movable[with], movable[class]),
            Layer::Labels(_) | Layer::Totals => (0, 0),
        }
    }

    fn hides(self, state: Hidden) -> bool {
        match self {
            Layer::Places(_) | Layer::Totals => state.totals,
            Layer::Exchange(..) | Layer::Labels(_) => state.classes,
        }
    }
}
