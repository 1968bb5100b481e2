//! Which cells, figures and curves of a report are shown. Every table of the report passes through
//! here once; page, terminal and `report.json` are made from what comes out.
//!
//! The table rule itself (minimum cell, secondary suppression that holds against the margins) is
//! `wardround-privacy`'s. Here stands which tables a report consists of, and what follows for a
//! figure:
//!
//! - A cell shows all of its counts by class, or none; a margin that isn't shown takes the cells
//!   under it along. More withheld cells only ever protect more, so tables may be united.
//! - A slice (site, level) with fewer patients of a class than the minimum isn't judged. No slice
//!   may follow from all less the others, so one withheld slice never stands alone.
//! - A rate with its n is a count: sensitivity is shown only where true positives and false
//!   negatives are, in the table over sites and in the table over every subgroup column.
//! - ROC and reliability curves go in steps of at least the minimum cell of both classes.
//!
//! Rules count patients. Calls (true positives and so on) are known in images; they are judged as
//! `calls x patients / images` of their class, rounded down.

use std::fmt;

use wardround_learn::findings::{Profile, ProfileCell};
use wardround_privacy::policy::Policy;

/// The minimums of a report: the strictest of all its sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minimums {
    /// Fewest patients of a cell that is shown.
    pub cell: u64,
    /// Fewest patients of each class in a slice that is judged.
    pub per_class: u64,
}

impl Minimums {
    /// The largest of each minimum; a report never shows less protected what one site protects.
    pub fn strictest<'a>(policies: impl Iterator<Item = &'a Policy>) -> Self {
        let usual = Policy::default();
        let mut strictest: Option<Minimums> = None;
        for policy in policies {
            let of = Self::of(policy);
            strictest = Some(strictest.map_or(of, |so_far| Minimums {
                cell: so_far.cell.max(of.cell),
                per_class: so_far.per_class.max(of.per_class),
            }));
        }
        strictest.unwrap_or_else(|| Self::of(&usual))
    }

    fn of(policy: &Policy) -> Self {
        Self {
            cell: policy.minimum_cell.get(),
            per_class: policy.minimum_per_class_for_slice.get(),
        }
    }
}

impl fmt::Display for Minimums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Counts of fewer than {} patients are withheld, and with them counts from which they \
             would follow. A site or subgroup is judged from {} patients of each class on.",
            self.cell, self.per_class
        )
    }
}

/// What of a cohort's cell is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its patients and images.
    pub total: bool,
    /// The same by class.
    pub classes: bool,
}

impl Part {
    const SHOWN: Part = Part { total: true, classes: true };
}

/// What of a cohort is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortMask {
    /// All sites together.
    pub all: Part,
    /// Each site.
    pub sites: Vec<Part>,
    /// Each subgroup column and level.
    pub levels: Vec<Vec<Part>>,
    /// Each site, subgroup column and level.
    pub site_levels: Vec<Vec<Vec<Part>>>,
}

impl CohortMask {
    /// Unites the masks of all tables of a cohort.
    pub fn new(profile: &Profile, minimums: Minimums) -> Self {
        let sites = profile.by_site.len();
        let levels: Vec<usize> = profile.by_subgroup.iter().map(Vec::len).collect();
        let mut mask = CohortMask {
            all: Part::SHOWN,
            sites: vec![Part::SHOWN; sites],
            levels: levels.iter().map(|&count| vec![Part::SHOWN; count]).collect(),
            site_levels: vec![
                levels.iter().map(|&count| vec![Part::SHOWN; count]).collect();
                sites
            ],
        };
        let classes = profile.all.patients_by_class.len();
        mask.unite_sites(profile, minimums, classes);
        for column in 0..levels.len() {
            mask.unite_column(profile, column, minimums, classes);
        }
        mask.close();
        mask
    }

    /// Sites by class.
    fn unite_sites(&mut self, profile: &Profile, minimums: Minimums, classes: usize) {
        for class in 0..classes {
            let table: Vec<Vec<u64>> =
                profile.by_site.iter().map(|cell| vec![cell.patients_by_class[class]]).collect();
            let hidden = Hidden::of(&table, minimums.cell);
            for (part, row) in self.sites.iter_mut().zip(&hidden.cells) {
                part.classes &= !row[0];
            }
            self.all.classes &= !hidden.total;
        }
        let totals: Vec<Vec<u64>> = profile.by_site.iter().map(|cell| vec![cell.patients]).collect();
        let hidden = Hidden::of(&totals, minimums.cell);
        for (part, row) in self.sites.iter_mut().zip(&hidden.cells) {
            part.total &= !row[0];
        }
        self.all.total &= !hidden.total;
    }

    /// Sites by levels of one column: of all patients, and of each class.
    fn unite_column(&mut self, profile: &Profile, column: usize, minimums: Minimums, classes: usize) {
        let table = |count: &dyn Fn(&ProfileCell) -> u64| -> Vec<Vec<u64>> {
            let every = profile.by_site_and_subgroup.iter();
            every.map(|columns| columns[column].iter().map(count).collect()).collect()
        };
        let hidden = Hidden::of(&table(&|cell| cell.patients), minimums.cell);
        self.unite(column, &hidden, |part| &mut part.total);
        for class in 0..classes {
            let hidden = Hidden::of(&table(&|cell| cell.patients_by_class[class]), minimums.cell);
            self.unite(column, &hidden, |part| &mut part.classes);
        }
    }

    fn unite(&mut self, column: usize, hidden: &Hidden, field: impl Fn(&mut Part) -> &mut bool) {
        for (site, row) in hidden.cells.iter().enumerate() {
            for (level, &is_hidden) in row.iter().enumerate() {
                *field(&mut self.site_levels[site][column][level]) &= !is_hidden;
            }
            *field(&mut self.sites[site]) &= !hidden.rows[site];
        }
        for (level, &is_hidden) in hidden.columns.iter().enumerate() {
            *field(&mut self.levels[column][level]) &= !is_hidden;
        }
        *field(&mut self.all) &= !hidden.total;
    }

    /// A hidden margin hides what is under it; a hidden total hides its classes.
    fn close(&mut self) {
        let close = |part: &mut Part| part.classes &= part.total;
        close(&mut self.all);
        self.sites.iter_mut().for_each(close);
        self.levels.iter_mut().flatten().for_each(close);
        for (site, columns) in self.site_levels.iter_mut().enumerate() {
            for (column, parts) in columns.iter_mut().enumerate() {
                for (level, part) in parts.iter_mut().enumerate() {
                    for margin in [self.sites[site], self.levels[column][level]] {
                        part.total &= margin.total;
                        part.classes &= margin.classes;
                    }
                    close(part);
                }
            }
        }
    }
}

/// Which cells of a two-way table and of its margins aren't shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Row by row.
    pub cells: Vec<Vec<bool>>,
    /// The sum of each row.
    pub rows: Vec<bool>,
    /// The sum of each column.
    pub columns: Vec<bool>,
    /// The sum of all.
    pub total: bool,
}

impl Hidden {
    /// Judges a table of patients: a table with a small cell isn't shown, nor are its margins.
    pub fn of(table: &[Vec<u64>], minimum: u64) -> Self {
        let small = table.iter().flatten().any(|&patients| patients > 0 && patients < minimum);
        Self {
            cells: table.iter().map(|row| vec![small; row.len()]).collect(),
            rows: vec![small; table.len()],
            columns: vec![small; table.first().map_or(0, Vec::len)],
            total: small,
        }
    }
}
