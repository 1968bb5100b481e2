//! Which counts of a report are shown. Every table of the report passes through here or through
//! [`super::slices`] once; page, terminal and `report.json` are made from what comes out.
//!
//! The rules themselves (minimum cell, secondary suppression, slices, steps of curves) are
//! [`wardround_privacy::suppress`]'s. Here stands which tables a report consists of: for every
//! subgroup column the sites by its levels, of all patients and of each class, with all margins.
//! Their margins recur from table to table, so what one table hides is hidden in all, and a margin
//! that is hidden takes the cells under it along; more hidden cells only ever protect more.

use std::fmt;

use wardround_learn::findings::{Profile, ProfileCell};
use wardround_privacy::policy::{MinimumPatients, Policy};
use wardround_privacy::suppress::{Shown, ShownTable, tables};

/// The minimums of a report: the strictest of all its sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minimums {
    /// Fewest patients of a cell that is shown.
    pub cell: MinimumPatients,
    /// Fewest patients of each class in a slice that is judged.
    pub per_class: MinimumPatients,
}

impl Minimums {
    /// The largest of each minimum, so that a sum over sites keeps every site's rule; the defaults
    /// without a site.
    pub fn strictest<'a>(policies: impl Iterator<Item = &'a Policy>) -> Self {
        let of = |policy: &Policy| Self {
            cell: policy.minimum_cell,
            per_class: policy.minimum_per_class_for_slice,
        };
        let stricter = |a: Self, b: Self| Self {
            cell: a.cell.max(b.cell),
            per_class: a.per_class.max(b.per_class),
        };
        policies.map(of).reduce(stricter).unwrap_or_else(|| of(&Policy::default()))
    }
}

impl fmt::Display for Minimums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Counts of fewer than {} patients are withheld, 0 included, and with them counts from \
             which they would follow. A site or subgroup is judged from {} patients of each class \
             on.",
            self.cell, self.per_class
        )
    }
}

/// What of a cohort is shown; a cell shows all of its counts or none.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortMask {
    /// All sites together.
    pub all: Shown<()>,
    /// Each site.
    pub sites: Vec<Shown<()>>,
    /// Each subgroup column and level.
    pub levels: Vec<Vec<Shown<()>>>,
    /// Each site, subgroup column and level.
    pub site_levels: Vec<Vec<Vec<Shown<()>>>>,
}

impl CohortMask {
    /// Unites what all tables of a cohort hide.
    pub fn new(profile: &Profile, minimums: Minimums) -> Self {
        let levels: Vec<Vec<Shown<()>>> =
            profile.by_subgroup.iter().map(|column| vec![Shown::Value(()); column.len()]).collect();
        let sites = profile.by_site.len();
        let mut mask = CohortMask {
            all: Shown::Value(()),
            sites: vec![Shown::Value(()); sites],
            site_levels: vec![levels.clone(); sites],
            levels,
        };
        let alone = judged(profile, minimums, |site| std::slice::from_ref(&profile.by_site[site]));
        mask.unite_margins(&alone);
        for column in 0..profile.by_subgroup.len() {
            let of_site = |site: usize| profile.by_site_and_subgroup[site][column].as_slice();
            let table = judged(profile, minimums, of_site);
            mask.unite_margins(&table);
            for (level, &total) in table.column_totals.iter().enumerate() {
                unite(&mut mask.levels[column][level], total);
            }
            for (site, row) in table.cells.iter().enumerate() {
                for (level, &cell) in row.iter().enumerate() {
                    unite(&mut mask.site_levels[site][column][level], cell);
                }
            }
        }
        mask.hide_under_margins();
        mask
    }

    fn unite_margins(&mut self, table: &ShownTable) {
        unite(&mut self.all, table.total);
        for (site, &total) in self.sites.iter_mut().zip(&table.row_totals) {
            unite(site, total);
        }
    }

    fn hide_under_margins(&mut self) {
        for (site, columns) in self.site_levels.iter_mut().enumerate() {
            for (column, cells) in columns.iter_mut().enumerate() {
                for (level, cell) in cells.iter_mut().enumerate() {
                    unite(cell, self.sites[site]);
                    unite(cell, self.levels[column][level]);
                }
            }
        }
    }
}

/// Judges all patients and those of each class together; their cells are hidden alike, so that one
/// table says it for all.
fn judged<'a>(
    profile: &Profile,
    minimums: Minimums,
    cells_of_site: impl Fn(usize) -> &'a [ProfileCell],
) -> ShownTable {
    let table = |count: &dyn Fn(&ProfileCell) -> u64| -> Vec<Vec<u64>> {
        let sites = 0..profile.by_site.len();
        sites.map(|site| cells_of_site(site).iter().map(count).collect()).collect()
    };
    let mut parts = vec![table(&|cell| cell.patients)];
    for class in 0..profile.all.patients_by_class.len() {
        parts.push(table(&|cell| cell.patients_by_class[class]));
    }
    tables(&parts, minimums.cell).swap_remove(0)
}

/// Hides what the other hides; a first reason stays.
fn unite<T>(shown: &mut Shown<()>, other: Shown<T>) {
    if let (Shown::Value(()), Shown::Suppressed(reason)) = (*shown, other) {
        *shown = Shown::Suppressed(reason);
    }
}
