//! Which counts of a report are shown. Every table of the report passes through here or through
//! [`super::slices`] once; page, terminal and `report.json` are made from what comes out.
//!
//! The rules themselves, and what an attacker who holds the report could work out, are
//! [`wardround_privacy::suppress`]'s. Images are shown where patients are: hidden tables of patients
//! can change without the images beyond one per patient changing, so those narrow nothing down.

use std::fmt;

use wardround_core::query::Labelling;
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
             said. Another study's report on some of the same patients can be subtracted from this one: \
             `wardround audit history` names such studies.",
            self.cell, self.per_class
        )
    }
}

/// What of the cohort is shown.
pub fn cohort_mask(profile: &Profile, labelling: Labelling, minimums: Minimums) -> CohortMask {
    match labelling {
        Labelling::Single => {
            let counts = counts(profile, |cell| cell.judged_patients_by_class().to_vec());
            cohort(&counts, minimums.cell)
        }
        // Labels don't add up to patients, but each does with the patients who never have it: as many tables
        // as labels. What one of them withholds is withheld of all, lest labels that hardly ever stand
        // together tell it.
        Labelling::Multi => {
            let of_label = |label: usize| {
                let sides = |cell: &ProfileCell| {
                    let with = cell.judged_patients_by_class()[label];
                    vec![cell.judged_patients().saturating_sub(with), with]
                };
                cohort(&counts(profile, sides), minimums.cell)
            };
            let masks = (0..profile.all.patients_by_class.len()).map(of_label);
            masks.reduce(CohortMask::stricter).unwrap_or_else(|| {
                let of = |cell: &ProfileCell| cell.judged_patients_by_class().to_vec();
                cohort(&counts(profile, of), minimums.cell)
            })
        }
    }
}

fn counts(profile: &Profile, by_class: impl Fn(&ProfileCell) -> Vec<u64>) -> CohortCounts {
    let cell = |cell: &ProfileCell| CellCounts {
        patients: cell.judged_patients(),
        by_class: by_class(cell),
    };
    let row = |cells: &[ProfileCell]| cells.iter().map(cell).collect();
    let column = |at: usize| ColumnCounts {
        levels: row(&profile.by_subgroup[at]),
        cells: profile.by_site_and_subgroup.iter().map(|site| row(&site[at])).collect(),
    };
    CohortCounts {
        all: cell(&profile.all),
        sites: row(&profile.by_site),
        columns: (0..profile.by_subgroup.len()).map(column).collect(),
    }
}

#[cfg(test)]
mod tests {
    use wardround_learn::findings::JudgedCell;
    use wardround_privacy::suppress::{Reason, Shown};

    use super::*;

    /// A cell of labels 0 and 1, and of patients with rows of none.
    fn cell(patients: u64, by_class: [u64; 3]) -> ProfileCell {
        let by_class = by_class.to_vec();
        let (rows, all_rows) = (by_class.clone(), patients);
        let judged = JudgedCell::Rows;
        ProfileCell { patients, patients_by_class: by_class, rows_by_class: rows, all_rows, judged }
    }

    fn mask(sites: [[u64; 4]; 3]) -> CohortMask {
        let by_site: Vec<ProfileCell> = sites.map(|[n, a, b, none]| cell(n, [a, b, none])).into();
        let sum = |at: usize| sites.iter().map(|site| site[at]).sum();
        let profile = Profile {
            all: cell(sum(0), [sum(1), sum(2), sum(3)]),
            by_site_and_subgroup: vec![Vec::new(); by_site.len()],
            by_site,
            by_subgroup: Vec::new(),
        };
        let minimums = Minimums::strictest(std::iter::empty());
        assert_eq!(minimums.cell.get(), 5);
        cohort_mask(&profile, Labelling::Multi, minimums)
    }

    #[test]
    fn a_label_that_few_or_all_but_few_have_is_withheld_with_all_others() {
        let fine = [100, 40, 70, 20];
        let shown = Shown::Value(());
        let of = |mask: &CohortMask| -> Vec<Shown<()>> {
            mask.sites.iter().map(|site| site.classes).collect()
        };
        assert_eq!(of(&mask([fine; 3])), [shown; 3]);
        let withheld = Shown::Suppressed(Reason::SmallCell);
        // Few have it; few don't; few have none.
        for small in [[100, 4, 70, 30], [100, 97, 70, 20], [100, 40, 70, 3]] {
            let mask = mask([fine, small, fine]);
            assert_eq!(mask.sites[1].classes, withheld, "{small:?}");
            // And another site's, from which and all it would follow.
            assert!(of(&mask).iter().filter(|site| **site == withheld).count() > 1, "{small:?}");
            assert_eq!(mask.sites[1].patients, shown);
        }
    }
}
