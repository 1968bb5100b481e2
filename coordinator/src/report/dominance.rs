//! Which levels of a subgroup, over all sites, may be one patient's for the most part.
//!
//! A site says in which levels, and classes in them, one patient has more than its share (`dominance`, one
//! half by default) of the rows there, of those that hold the minimum of patients
//! ([`wardround_privacy::dominance`]). Of smaller ones it says nothing, since other sites may hide them: one
//! patient with 300 images there, and twenty with one each elsewhere. The coordinator knows no patient's
//! rows, but bounds them. At a site with n patients and R rows in a cell the largest patient has at most R -
//! (n - 1) rows, since each of the others has one; and at most the site's share of R where the site judged
//! the cell and didn't name it. The cell passes where the largest such bound of any site is at most the
//! strictest site's share of the rows of all sites. That is sound: a level that is shown has no dominant
//! patient. It isn't exact: some that has none is withheld.
//!
//! Judged are rows of each side of a modelled class (those of it, and the others) in each level. Where exams
//! or patients are judged, levels aren't told apart by rows, and it isn't asked. A figure over all sites in
//! one list isn't judged by it either, nor are cells of two columns.

use wardround_core::query::Labelling;
use wardround_learn::findings::{JudgedCell, Profile, ProfileCell};
use wardround_privacy::dominance::{LevelCell, RowsOfLevel};
use wardround_privacy::policy::{Policy, Share};

use super::context::SiteContext;

/// For each subgroup column and level: whether one patient may have more than the share of the rows on
/// one side of a class. `sites` are in the profile's order.
pub(super) fn dominated(
    profile: &Profile,
    sites: &[&SiteContext],
    labelling: Labelling,
    class: u8,
) -> Vec<Vec<bool>> {
    let strictest = sites.iter().map(|site| site.policy.dominance);
    let strictest = strictest.reduce(|a, b| if b < a { b } else { a });
    // The default where there is no site.
    let share = strictest.unwrap_or(Policy::default().dominance);
    let at = |column: usize, level: usize| -> bool {
        let cells = profile.by_site_and_subgroup.iter().zip(sites).filter_map(|(levels, site)| {
            let cell = levels.get(column)?.get(level)?;
            Some(AtSite { cell, site, column: column as u8, level: level as u8 })
        });
        is_dominated(&cells.collect::<Vec<_>>(), labelling, class, share)
    };
    let levels = profile.by_subgroup.iter().map(Vec::len).enumerate();
    levels.map(|(column, count)| (0..count).map(|level| at(column, level)).collect()).collect()
}

/// A level at a site.
struct AtSite<'a> {
    cell: &'a ProfileCell,
    site: &'a SiteContext,
    column: u8,
    level: u8,
}

impl AtSite<'_> {
    /// Most rows that one patient can have, of those of some patients.
    fn bound(&self, rows: u64, patients: u64, of: RowsOfLevel) -> f64 {
        let others = rows.saturating_sub(patients.saturating_sub(1)) as f64;
        let Self { column, level, .. } = *self;
        let named = self.site.dominated.contains(&LevelCell { column, level, rows: of });
        let policy = &self.site.policy;
        match patients >= policy.minimum_cell.get() && !named {
            true => others.min(policy.dominance.get() * rows as f64),
            false => others,
        }
    }

    /// Rows of a class, and most of one patient.
    fn of_class(&self, class: u8) -> (u64, f64) {
        let at = usize::from(class);
        let (rows, patients) = (self.cell.rows_by_class[at], self.cell.patients_by_class[at]);
        (rows, self.bound(rows, patients, RowsOfLevel::Class(class)))
    }

    /// The same of rows without it.
    fn of_others(&self, class: u8, labelling: Labelling) -> (u64, f64) {
        let cell = self.cell;
        match labelling {
            // A patient may have rows of several of the other classes.
            Labelling::Single => (0..cell.rows_by_class.len() as u8)
                .filter(|&other| other != class)
                .map(|other| self.of_class(other))
                .fold((0, 0.0), |(all, most), (rows, bound)| (all + rows, most + bound)),
            Labelling::Multi => {
                let at = usize::from(class);
                let rows = cell.all_rows.saturating_sub(cell.rows_by_class[at]);
                // Whoever never has the label has rows without it only.
                let patients = cell.patients.saturating_sub(cell.patients_by_class[at]);
                let of_level = self.bound(cell.all_rows, cell.patients, RowsOfLevel::All);
                let at_most = rows.saturating_sub(patients.saturating_sub(1)) as f64;
                (rows, at_most.min(of_level))
            }
        }
    }
}

fn is_dominated(cells: &[AtSite<'_>], labelling: Labelling, class: u8, share: Share) -> bool {
    if cells.iter().any(|at| at.cell.judged != JudgedCell::Rows) {
        return false;
    }
    let is_beyond = |side: &dyn Fn(&AtSite<'_>) -> (u64, f64)| {
        let sides = cells.iter().map(side);
        let (rows, largest) =
            sides.fold((0, 0.0f64), |(all, most), (rows, bound)| (all + rows, most.max(bound)));
        largest > share.get() * rows as f64
    };
    is_beyond(&|at| at.of_class(class)) || is_beyond(&|at| at.of_others(class, labelling))
}

#[cfg(test)]
mod tests {
    use wardround_core::digest::Digest;
    use wardround_core::ids::SiteId;

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

    fn site(dominated: &[LevelCell]) -> SiteContext {
        SiteContext {
            site: SiteId::parse("s").expect("a letter is an id"),
            policy: Policy::default(),
            lock: Digest::of(b""),
            device: String::new(),
            set_aside: Vec::new(),
            dominated: dominated.to_vec(),
            rounds: 0,
            numbers_sent: 0,
            numbers_held: 0,
            bytes_up: 0,
            bytes_down: 0,
        }
    }

    fn judged_at(sites: &[(&ProfileCell, &SiteContext)], labelling: Labelling) -> bool {
        let contexts: Vec<&SiteContext> = sites.iter().map(|(_, site)| *site).collect();
        let profile = Profile {
            all: ProfileCell::default(),
            by_site: vec![ProfileCell::default(); sites.len()],
            by_subgroup: vec![vec![ProfileCell::default()]],
            by_site_and_subgroup: sites.iter().map(|(c, _)| vec![vec![(*c).clone()]]).collect(),
        };
        dominated(&profile, &contexts, labelling, 1) == [[true]]
    }

    fn judged(cells: &[ProfileCell]) -> bool {
        let site = site(&[]);
        let sites: Vec<_> = cells.iter().map(|cell| (cell, &site)).collect();
        judged_at(&sites, Labelling::Single)
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
        // Where a site judged the cell and says nothing, no patient has more than half.
        let many = cell([20, 300], [20, 5]);
        assert!(!judged(std::slice::from_ref(&many)));
        assert!(judged(&[cell([20, 300], [20, 4])]));
        // Where it names it, others have to hide the patient.
        let named = LevelCell { column: 0, level: 0, rows: RowsOfLevel::Class(1) };
        let (open, closed) = (site(&[]), site(&[named]));
        assert!(judged_at(&[(&many, &closed)], Labelling::Single));
        assert!(judged_at(&[(&many, &closed), (&many, &open)][..1], Labelling::Single));
        assert!(!judged_at(&[(&many, &closed), (&many, &open)], Labelling::Single));
        let other = site(&[LevelCell { rows: RowsOfLevel::Class(0), ..named }]);
        assert!(!judged_at(&[(&many, &other)], Labelling::Single));
    }

    #[test]
    fn of_labels_rows_without_one_are_the_other_side() {
        let site = site(&[]);
        let of = |all_rows: u64, patients: u64, rows: [u64; 2], with: [u64; 2]| {
            let cell = ProfileCell { all_rows, patients, ..cell(rows, with) };
            judged_at(&[(&cell, &site)], Labelling::Multi)
        };
        assert!(!of(60, 40, [30, 30], [20, 20]));
        // 20 rows without the label, of two patients at least.
        assert!(of(320, 4, [20, 300], [2, 2]));
        // Of ten patients none has more than half of the level's rows, but maybe most of those without the label.
        assert!(of(60, 10, [30, 40], [5, 10]));
    }

    #[test]
    fn what_passes_has_no_dominant_patient_whoever_has_the_rows() {
        // All ways to give up to 9 rows each to 1 to 3 patients of a small site, beside a large one's.
        let elsewhere = 6;
        let plenty = cell([20, elsewhere], [20, 6]);
        let mut passed = 0;
        for a in 1..=9u64 {
            for b in 0..=a {
                for c in 0..=b {
                    let patients = [a, b, c].iter().filter(|rows| **rows > 0).count() as u64;
                    let sites = [plenty.clone(), cell([0, a + b + c], [0, patients])];
                    if !judged(&sites) {
                        assert!(2 * a <= a + b + c + elsewhere, "{a} {b} {c}");
                        passed += 1;
                    }
                }
            }
        }
        assert!(passed > 20, "{passed}");
    }
}
