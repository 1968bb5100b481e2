//! Which counts of a cohort are shown: sites, levels of every subgroup column, and sites by levels,
//! each as a total and by class. Totals and class counts are judged apart, so that a site or a
//! level may show how many it holds and not how many of each class.
//!
//! A hidden count is safe when there are two cohorts that agree in everything published and differ
//! in it by at least the minimum. They are looked for among changes that move patients:
//!
//! - *by label*: one patient of class `c` becomes one of class `d` in one cell and the other way
//!   round in another; every total stays;
//! - *by place*: patients of one class change cells; totals change too.
//!
//! In a column's table of sites by levels these are flows ([`Network`]). A site's own counts are in
//! the table of every column, so there two sites exchange labels level by level, by no more than
//! every column allows. Real widths are at least as large as the ones found, so what is called safe
//! is. Patients with rows of several classes stay as they are.
//!
//! What isn't safe takes more with it: the cheapest site, level, or rectangle of cells, counted in
//! patients; then whatever turned out to be unneeded is shown again. Where nothing less helps,
//! nothing of the column is shown.

use super::choose::hide_until;
use super::interior::Interior;
use super::{Reason, Shown};
use crate::policy::MinimumPatients;

/// Counts of one cell, in patients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellCounts {
    /// All.
    pub patients: u64,
    /// With at least one row of each class; may add up to more than `patients`.
    pub by_class: Vec<u64>,
}

/// Counts of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CohortCounts {
    /// All sites.
    pub all: CellCounts,
    /// Each site.
    pub sites: Vec<CellCounts>,
    /// Each subgroup column.
    pub columns: Vec<ColumnCounts>,
}

/// Counts of a subgroup column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnCounts {
    /// Each level, all sites.
    pub levels: Vec<CellCounts>,
    /// Each site and level.
    pub cells: Vec<Vec<CellCounts>>,
}

/// What is shown of a cell. Classes are hidden wherever patients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellMask {
    /// How many it holds.
    pub patients: Shown<()>,
    /// How many of each class.
    pub classes: Shown<()>,
}

/// What of a cohort is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortMask {
    /// All sites.
    pub all: CellMask,
    /// Each site.
    pub sites: Vec<CellMask>,
    /// Each subgroup column and level.
    pub levels: Vec<Vec<CellMask>>,
    /// Each site, subgroup column and level.
    pub cells: Vec<Vec<Vec<CellMask>>>,
}

/// Judges a cohort. Its margins must add up, and every cell have as many classes as the first.
///
/// A count below the minimum is hidden, 0 included; only a level that nobody has at any site is
/// named as empty: that is no patient's secret.
pub fn cohort(counts: &CohortCounts, minimum: MinimumPatients) -> CohortMask {
    let enough = minimum.get();
    let sites = hidden_sites(counts, enough);
    let all = Hidden {
        totals: counts.all.patients < enough,
        classes: small(&counts.all, enough) || counts.sites.is_empty() || sites.all_classes,
    };
    let mut mask = CohortMask {
        all: all.mask(),
        sites: (0..counts.sites.len()).map(|site| sites.of(site).mask()).collect(),
        levels: Vec::new(),
        cells: vec![Vec::new(); counts.sites.len()],
    };
    let empty = CellMask {
        patients: Shown::Suppressed(Reason::Empty),
        classes: Shown::Suppressed(Reason::Empty),
    };
    for (at, column) in counts.columns.iter().enumerate() {
        let held: Vec<usize> = column
            .levels
            .iter()
            .enumerate()
            .filter(|(_, level)| level.patients > 0)
            .map(|(at, _)| at)
            .collect();
        let hidden = hidden_of_column(counts, at, &held, &sites, all, enough);
        let mut levels = vec![empty; column.levels.len()];
        let mut cells = vec![levels.clone(); counts.sites.len()];
        for (compact, &level) in held.iter().enumerate() {
            levels[level] = hidden.levels[compact].mask();
            for (site, row) in cells.iter_mut().enumerate() {
                row[level] = hidden.cells[site][compact].mask();
            }
        }
        mask.levels.push(levels);
        for (site, row) in cells.into_iter().enumerate() {
            mask.cells[site].push(row);
        }
    }
    if counts.all.patients == 0 {
        mask.all = empty;
        mask.sites.fill(empty);
    }
    mask
}

impl CellMask {
    fn stricter(self, other: Self) -> Self {
        let of =
            |own: Shown<()>, other: Shown<()>| if own == Shown::Value(()) { other } else { own };
        Self {
            patients: of(self.patients, other.patients),
            classes: of(self.classes, other.classes),
        }
    }
}

impl CohortMask {
    /// Shows what both masks of one cohort show: what fewer numbers tell is never more.
    pub fn stricter(self, other: Self) -> Self {
        let row = |own: Vec<CellMask>, other: Vec<CellMask>| -> Vec<CellMask> {
            own.into_iter().zip(other).map(|(own, other)| own.stricter(other)).collect()
        };
        let rows = |own: Vec<Vec<CellMask>>, other: Vec<Vec<CellMask>>| -> Vec<Vec<CellMask>> {
            own.into_iter().zip(other).map(|(own, other)| row(own, other)).collect()
        };
        Self {
            all: self.all.stricter(other.all),
            sites: row(self.sites, other.sites),
            levels: rows(self.levels, other.levels),
            cells: self
                .cells
                .into_iter()
                .zip(other.cells)
                .map(|(own, other)| rows(own, other))
                .collect(),
        }
    }
}

/// What is hidden of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hidden {
    pub totals: bool,
    pub classes: bool,
}

impl Hidden {
    const ALL: Self = Self { totals: true, classes: true };

    fn mask(self) -> CellMask {
        let shown = |hidden: bool| match hidden {
            true => Shown::Suppressed(Reason::SmallCell),
            false => Shown::Value(()),
        };
        CellMask { patients: shown(self.totals), classes: shown(self.totals || self.classes) }
    }
}

/// What is hidden of a column's levels that somebody has.
pub(super) struct HiddenColumn {
    pub levels: Vec<Hidden>,
    pub cells: Vec<Vec<Hidden>>,
}

struct HiddenSites {
    totals: Vec<bool>,
    classes: Vec<bool>,
    /// Not even hiding the classes of every site protects them.
    all_classes: bool,
}

impl HiddenSites {
    fn of(&self, site: usize) -> Hidden {
        Hidden { totals: self.totals[site], classes: self.totals[site] || self.classes[site] }
    }
}

/// Whether any class has fewer patients than the minimum.
pub(super) fn small(cell: &CellCounts, enough: u64) -> bool {
    cell.by_class.iter().any(|&count| count < enough)
}

/// Patients of a cell with rows of one class only, at least: they can be moved by themselves.
pub(super) fn movable(cell: &CellCounts) -> Vec<u64> {
    let several = cell.by_class.iter().sum::<u64>().saturating_sub(cell.patients);
    cell.by_class.iter().map(|count| count.saturating_sub(several)).collect()
}

fn hidden_sites(counts: &CohortCounts, enough: u64) -> HiddenSites {
    let costs: Vec<u64> = counts.sites.iter().map(|site| site.patients).collect();
    let mut totals: Vec<bool> = costs.iter().map(|&n| n < enough).collect();
    let safe = |hidden: &[bool]| {
        let held = costs.iter().zip(hidden).filter(|(_, hidden)| **hidden).map(|(n, _)| n);
        let (count, sum) = held.fold((0, 0), |(count, sum), n| (count + 1, sum + n));
        count == 0 || count > 1 && sum >= enough
    };
    // Without success all are hidden, and all sites together are fewer than the minimum.
    hide_until(&mut totals, &costs, safe);
    let mut classes: Vec<bool> = counts
        .sites
        .iter()
        .zip(&totals)
        .map(|(site, total)| *total || small(site, enough))
        .collect();
    if small(&counts.all, enough) {
        classes.fill(true);
        return HiddenSites { totals, classes, all_classes: true };
    }
    let tables = SiteTables::new(counts);
    let exchanged = hide_until(&mut classes, &costs, |hidden| {
        let hidden: Vec<usize> = (0..hidden.len()).filter(|&site| hidden[site]).collect();
        hidden.iter().all(|&site| tables.safe(site, &hidden, &totals, enough))
    });
    HiddenSites { totals, classes, all_classes: !exchanged }
}

/// Movable patients by table, site, level and class: one table of the sites alone, one per column.
pub(super) struct SiteTables(Vec<Vec<Vec<Vec<u64>>>>);

impl SiteTables {
    pub fn new(counts: &CohortCounts) -> Self {
        let alone = counts.sites.iter().map(|site| vec![movable(site)]).collect();
        let columns = counts.columns.iter().map(|column| {
            column.cells.iter().map(|row| row.iter().map(movable).collect()).collect()
        });
        Self(std::iter::once(alone).chain(columns).collect())
    }

    /// Whether each class of a hidden site can be told only to within the minimum: some other
    /// hidden site can exchange enough with it.
    fn safe(&self, site: usize, hidden: &[usize], totals: &[bool], enough: u64) -> bool {
        let classes = self.0[0][site][0].len();
        (0..classes).all(|class| {
            hidden.iter().filter(|&&other| other != site).any(|&other| {
                // With hidden totals patients of a class change sites by themselves.
                let both = self.0[0][site][0][class] + self.0[0][other][0][class];
                let moved = totals[site] && totals[other] && both >= enough;
                let mut others = (0..classes).filter(|&with| with != class);
                moved
                    || others.any(|with| {
                        let up = self.exchange([site, other], [class, with], None);
                        let down = self.exchange([site, other], [with, class], None);
                        up + down >= enough
                    })
            })
        })
    }

    /// How many of `class` the first site can gain for as many of `with` from the second, level by
    /// level, as every table allows; of the table `at.0` at level `at.1` only, where it is given.
    pub fn exchange(
        &self,
        [site, other]: [usize; 2],
        [class, with]: [usize; 2],
        at: Option<(usize, usize)>,
    ) -> u64 {
        let tables = self.0.iter().enumerate();
        let room = tables.map(|(number, table)| {
            let levels = table[site].iter().zip(&table[other]).enumerate();
            levels
                .filter(|(level, _)| at.is_none_or(|(only, at)| only != number || at == *level))
                .map(|(_, (mine, theirs))| mine[with].min(theirs[class]))
                .sum()
        });
        room.min().unwrap_or(0)
    }
}

fn hidden_of_column(
    counts: &CohortCounts,
    at: usize,
    held: &[usize],
    sites: &HiddenSites,
    all: Hidden,
    enough: u64,
) -> HiddenColumn {
    let nothing = || HiddenColumn {
        levels: vec![Hidden::ALL; held.len()],
        cells: vec![vec![Hidden::ALL; held.len()]; counts.sites.len()],
    };
    // A level that everybody has is all patients.
    if held.len() == 1 {
        let cells = (0..counts.sites.len()).map(|site| vec![sites.of(site)]).collect();
        return HiddenColumn { levels: vec![all], cells };
    }
    // A site whose total is hidden would have to be hidden at every level too, with rows of their
    // own: so few are in it that its levels aren't worth it.
    if all.totals || sites.totals.iter().any(|hidden| *hidden) {
        return nothing();
    }
    let column = &counts.columns[at];
    let levels: Vec<&CellCounts> = held.iter().map(|&level| &column.levels[level]).collect();
    let cells: Vec<Vec<&CellCounts>> =
        column.cells.iter().map(|row| held.iter().map(|&level| &row[level]).collect()).collect();
    let Some(levels) = hidden_levels(&levels, &cells, all, enough) else { return nothing() };
    let tables = SiteTables::new(counts);
    let classes: Vec<bool> =
        (0..counts.sites.len()).map(|site| all.classes || sites.of(site).classes).collect();
    let interior = Interior { cells, levels: &levels, sites: &classes, tables: &tables, at, held };
    match interior.hide(all.classes, enough) {
        Some(cells) => HiddenColumn { levels, cells },
        None => nothing(),
    }
}

/// Levels whose totals or classes are hidden; none when nothing less than all of them protects.
fn hidden_levels(
    levels: &[&CellCounts],
    cells: &[Vec<&CellCounts>],
    all: Hidden,
    enough: u64,
) -> Option<Vec<Hidden>> {
    let costs: Vec<u64> = levels.iter().map(|level| level.patients).collect();
    let mut totals: Vec<bool> = costs.iter().map(|&n| n < enough).collect();
    let held = hide_until(&mut totals, &costs, |hidden| {
        let held = costs.iter().zip(hidden).filter(|(_, hidden)| **hidden).map(|(n, _)| n);
        let (count, sum) = held.fold((0, 0), |(count, sum), n| (count + 1, sum + n));
        count == 0 || count > 1 && sum >= enough
    });
    if !held {
        return None;
    }
    let mut classes: Vec<bool> = levels
        .iter()
        .zip(&totals)
        .map(|(level, total)| *total || all.classes || small(level, enough))
        .collect();
    let room: Vec<Vec<Vec<u64>>> =
        cells.iter().map(|row| row.iter().map(|cell| movable(cell)).collect()).collect();
    let exchange = |[level, other]: [usize; 2], [class, with]: [usize; 2]| -> u64 {
        room.iter().map(|row| row[level][with].min(row[other][class])).sum()
    };
    let of_classes = levels.first().map_or(0, |level| level.by_class.len());
    let held = all.classes
        || hide_until(&mut classes, &costs, |hidden| {
            let hidden: Vec<usize> = (0..hidden.len()).filter(|&at| hidden[at]).collect();
            hidden.iter().all(|&level| {
                (0..of_classes).all(|class| {
                    hidden.iter().filter(|&&other| other != level).any(|&other| {
                        // With hidden totals patients of a class change levels by themselves.
                        let moved = totals[level] && totals[other];
                        let sum: u64 = room.iter().map(|r| r[level][class] + r[other][class]).sum();
                        moved && sum >= enough
                            || (0..of_classes).filter(|&with| with != class).any(|with| {
                                let up = exchange([level, other], [class, with]);
                                up + exchange([level, other], [with, class]) >= enough
                            })
                    })
                })
            })
        });
    held.then(|| {
        totals.iter().zip(classes).map(|(&totals, classes)| Hidden { totals, classes }).collect()
    })
}

#[cfg(test)]
mod tests;
