//! Which counts of a report are shown. Every table of the report passes through here or through
//! [`super::slices`] once; page, terminal and `report.json` are made from what comes out.
//!
//! The rules themselves, and what an attacker who holds the report could work out, are
//! [`wardround_privacy::suppress`]'s. Images are shown where patients are: hidden tables of patients
//! can change without the images beyond one per patient changing, so those narrow nothing down.

use std::fmt;

use wardround_learn::findings::{Profile, ProfileCell};
use wardround_privacy::policy::{MinimumPatients, Policy};
use wardround_privacy::suppress::{CellCounts, CohortCounts, CohortMask, ColumnCounts, cohort};

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
            "Counts of fewer than {} patients are withheld, 0 included. A site or subgroup is judged \
             from {} patients of each class on. What is withheld would follow from all less the \
             others, so the smallest others that hide it are withheld too; which are which isn't \
             said.",
            self.cell, self.per_class
        )
    }
}

/// What of the cohort is shown.
pub fn cohort_mask(profile: &Profile, minimums: Minimums) -> CohortMask {
    let cell = |cell: &ProfileCell| CellCounts {
        patients: cell.patients,
        by_class: cell.patients_by_class.clone(),
    };
    let row = |cells: &[ProfileCell]| cells.iter().map(cell).collect();
    let column = |at: usize| ColumnCounts {
        levels: row(&profile.by_subgroup[at]),
        cells: profile.by_site_and_subgroup.iter().map(|site| row(&site[at])).collect(),
    };
    let counts = CohortCounts {
        all: cell(&profile.all),
        sites: row(&profile.by_site),
        columns: (0..profile.by_subgroup.len()).map(column).collect(),
    };
    cohort(&counts, minimums.cell)
}
