//! Which levels of a subgroup, over all sites, may be one patient's for the most part.
//!
//! A site refuses a study where one patient has more than its share (`dominance`, one half by default) of the
//! rows of a level that holds the minimum of patients there ([`wardround_privacy::dominance`]). A site with
//! fewer answers, since others may hide it: one patient with 300 images there, and twenty with one each elsewhere, pass at every site.
//! The coordinator knows no patient's rows, but bounds them. At a site with n patients and R rows in a cell the
//! largest patient has at most R - (n - 1) rows, since each of the others has one; and at most the site's share of R
//! where its rule held. The cell passes where the largest such bound of any site is at most the strictest site's share of all its rows.
//! That is sound: a level that is shown has no dominant patient. It isn't exact: some that has none is withheld.
//!
//! Judged are rows of each side of a modelled class (those of it, and the others) in each level. Where
//! exams or patients are judged, levels aren't told apart by rows, and it isn't asked. A figure over all sites in one list
//! isn't judged by it either, nor are cells of two columns.

use wardround_core::query::Labelling;
use wardround_learn::findings::{JudgedCell, Profile, ProfileCell};
use wardround_privacy::policy::{Policy, Share};

/// For each subgroup column and level: whether one patient may have more than the share of the rows on
/// one side of a class. `policies` are the sites', in the profile's order.
pub(super) fn dominated(
    profile: &Profile,
    policies: &[&Policy],
    labelling: Labelling,
    class: u8,
) -> Vec<Vec<bool>> {
    let strictest = policies.iter().map(|policy| policy.dominance);
    let strictest = strictest.reduce(|a, b| if b < a { b } else { a });
    // The default where there is no site.
    let share = strictest.unwrap_or(Policy::default().dominance);
    let levels = |(column, levels): (usize, &Vec<ProfileCell>)| {
        (0..levels.len())
            .map(|level| {
                let cells = profile.by_site_and_subgroup.iter().zip(policies);
                let cells = cells.filter_map(|(site, policy)| {
                    site.get(column)?.get(level).map(|cell| (cell, *policy))
                });
                is_dominated(&cells.collect::<Vec<_>>(), labelling, usize::from(class), share)
            })
            .collect()
    };
    profile.by_subgroup.iter().enumerate().map(levels).collect()
}

/// A cell at each site, with the site's rules.
fn is_dominated(
    cells: &[(&ProfileCell, &Policy)],
    labelling: Labelling,
    class: usize,
    share: Share,
) -> bool {
    if cells.iter().any(|(cell, _)| cell.judged != JudgedCell::Rows) {
        return false;
    }
    let is_beyond = |sides: &dyn Fn(&ProfileCell, &Policy) -> (u64, f64)| {
        let (mut rows, mut largest): (u64, f64) = (0, 0.0);
        for (cell, policy) in cells {
            let (of_site, bound) = sides(cell, policy);
            rows += of_site;
            largest = largest.max(bound);
        }
        largest > share.get() * rows as f64
    };
    let of_class = |cell: &ProfileCell, policy: &Policy, class: usize| {
        let (rows, patients) = (cell.rows_by_class[class], cell.patients_by_class[class]);
        (rows, bound(rows, patients, policy))
    };
    let others = |cell: &ProfileCell, policy: &Policy| match labelling {
        // A patient may have rows of several of the other classes.
        Labelling::Single => (0..cell.rows_by_class.len())
            .filter(|&at| at != class)
            .map(|at| of_class(cell, policy, at))
            .fold((0, 0.0), |(all, most), (rows, bound)| (all + rows, most + bound)),
        Labelling::Multi => {
            let rows = cell.all_rows.saturating_sub(cell.rows_by_class[class]);
            // Whoever never has the label has rows without it only.
            let patients = cell.patients.saturating_sub(cell.patients_by_class[class]);
            let of_level = bound(cell.all_rows, cell.patients, policy);
            let at_most = rows.saturating_sub(patients.saturating_sub(1)) as f64;
            (rows, at_most.min(of_level))
        }
    };
    is_beyond(&|cell, policy| of_class(cell, policy, class)) || is_beyond(&others)
}

/// Most rows that one of some patients can have.
fn bound(rows: u64, patients: u64, policy: &Policy) -> f64 {
    let others = rows.saturating_sub(patients.saturating_sub(1)) as f64;
    match patients >= policy.minimum_cell.get() {
        true => others.min(policy.dominance.get() * rows as f64),
        false => others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(rows: [u64; 2], patients: [u64; 2]) -> ProfileCell {
        ProfileCell {
            patients: patients.iter().sum(),
            patients_by_class: patients.to_vec(),
            rows_by_class: rows.to_vec(),
            all_rows: rows.iter().sum(),
            judged: JudgedCell::Rows,
        }
    }

    fn judged(sites: &[ProfileCell]) -> bool {
        let policy = Policy::default();
        let profile = Profile {
            all: ProfileCell::default(),
            by_site: vec![ProfileCell::default(); sites.len()],
            by_subgroup: vec![vec![ProfileCell::default()]],
            by_site_and_subgroup: sites.iter().map(|cell| vec![vec![cell.clone()]]).collect(),
        };
        dominated(&profile, &vec![&policy; sites.len()], Labelling::Single, 1) == [[true]]
    }

    #[test]
    fn of_labels_rows_without_one_are_the_other_side() {
        let policy = Policy::default();
        let of = |all_rows: u64, patients: u64, rows: [u64; 2], with: [u64; 2]| {
            let cell = ProfileCell { all_rows, patients, ..cell(rows, with) };
            is_dominated(&[(&cell, &policy)], Labelling::Multi, 1, policy.dominance)
        };
        assert!(!of(60, 40, [30, 30], [20, 20]));
        // 20 rows without the label, of two patients at least.
        assert!(of(320, 4, [20, 300], [2, 2]));
        // Of ten patients no one has more than half of the level's rows, but maybe most of those without the label.
        assert!(of(60, 10, [30, 40], [5, 10]));
    }

    #[test]
    fn a_patient_whom_its_own_site_cant_hide_is_hidden_by_the_others_or_withheld() {
        let plenty = cell([20, 20], [20, 20]);
        assert!(!judged(&[plenty.clone(), plenty.clone()]));
        // One patient with 300 images where the others' 40 have one each.
        assert!(judged(&[plenty.clone(), plenty.clone(), cell([0, 300], [0, 1])]));
        assert!(judged(&[plenty.clone(), plenty.clone(), cell([300, 0], [1, 0])]));
        assert!(!judged(&[plenty.clone(), plenty.clone(), cell([0, 40], [0, 1])]));
        assert!(judged(&[plenty.clone(), plenty.clone(), cell([0, 41], [0, 1])]));
        // Where a site's own rule held, no patient has more than half.
        assert!(!judged(&[cell([20, 300], [20, 5])]));
        assert!(judged(&[cell([20, 300], [20, 4])]));
    }

    #[test]
    fn what_passes_has_no_dominant_patient_whoever_has_the_rows() {
        // All ways to give up to 6 rows to 1 to 3 patients of a small site, beside a large one's.
        let elsewhere = 6;
        let plenty = cell([20, elsewhere], [20, 6]);
        for a in 1..=9u64 {
            for b in 0..=a {
                for c in 0..=b {
                    let patients = [a, b, c].iter().filter(|rows| **rows > 0).count() as u64;
                    let sites = [plenty.clone(), cell([0, a + b + c], [0, patients])];
                    if !judged(&sites) {
                        assert!(2 * a <= a + b + c + elsewhere, "{a} {b} {c}");
                    }
                }
            }
        }
    }
}
