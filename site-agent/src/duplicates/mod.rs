//! Copies of images among a study's rows at this site: what lies under two patients falls into two folds, and a model is then judged
//! on an image that it was fitted to (leakage); what has two labels is noise.
//!
//! [`look`] takes each image's [`Fingerprint`], [`groups`] puts together what is the same or nearly so, and [`Group`] says whom it harms.
//! The same *file* in two rows never gets here: such rows are set aside before any study (`data::inspect`). Findings are about
//! single patients and stay at the site; nothing in this folder knows the way out (`tests/boundary` proves it).

mod near;
pub mod page;
mod sets;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::study::Study;
use wardround_learn::folds::{Candidate, deal, strata};
use wardround_vision::{Fingerprint, PerceptualHash, read_picture};

use self::near::near_pairs;
use self::sets::Sets;
use crate::data::{CohortRow, RowInput};

pub use self::near::FURTHEST;

/// A row whose image can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Its place among the cohort's rows.
    pub row: usize,
    /// Its patient.
    pub patient: String,
    /// Its label.
    pub classes: ClassSet,
    /// The fold that its patient is in, in the study's first deal.
    pub fold: u8,
    /// What the image looks like.
    pub print: Fingerprint,
}

/// How alike an image is to the first of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum Alike {
    /// The first itself.
    First,
    /// Every pixel is the same, in another file.
    SamePixels,
    /// The hashes differ by so many of 256 bits. Above [`FURTHEST`] it is near to another of the group.
    Near {
        /// The bits.
        bits: u32,
    },
}

/// Rows with copies of one image, at least two.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// In the cohort's order, each with how alike it is to the first.
    pub members: Vec<(Compared, Alike)>,
}

/// How much harm a group does, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Under several patients: leakage, where they are in different folds; and counted as more patients than there are.
    SeveralPatients,
    /// Of one patient with several labels: at most one of them is right.
    SeveralLabels,
    /// Of one patient with one label: folds keep a patient together, so it does none.
    None,
}

impl Group {
    /// How many patients.
    pub fn patients(&self) -> usize {
        self.distinct(|row| row.patient.clone())
    }

    /// How many labels.
    pub fn labels(&self) -> usize {
        self.distinct(|row| row.classes.0)
    }

    /// How many folds of the study's first deal.
    pub fn folds(&self) -> usize {
        self.distinct(|row| row.fold)
    }

    /// The worst about it.
    pub fn harm(&self) -> Harm {
        match (self.patients(), self.labels()) {
            (1, 1) => Harm::None,
            (1, _) => Harm::SeveralLabels,
            _ => Harm::SeveralPatients,
        }
    }

    fn distinct<K: Ord>(&self, key: impl Fn(&Compared) -> K) -> usize {
        self.members.iter().map(|(row, _)| key(row)).collect::<BTreeSet<K>>().len()
    }
}

/// The fingerprints of image files, in their order, or why one can't be read. `moved` hears how many are done, from several threads.
pub fn look(
    paths: &[&Path],
    threads: usize,
    moved: &(dyn Fn(u64) + Sync),
) -> Vec<Result<Fingerprint, String>> {
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let found = Mutex::new(vec![Err(String::new()); paths.len()]);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, paths.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = paths.get(at) else { return };
                    let print = read_picture(path).map(|picture| Fingerprint::of(&picture));
                    found.lock().unwrap_or_else(PoisonError::into_inner)[at] =
                        print.map_err(|error| error.to_string());
                    moved(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The fold of each row in the study's first deal, as if all of them took part.
pub fn folds(study: &Study, site: &SiteId, issuer: &str, rows: &[&CohortRow]) -> Vec<u8> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut patients: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut of_row = Vec::with_capacity(rows.len());
    for row in rows {
        let place = *places.entry(row.patient.as_str()).or_insert(patients.len());
        if place == patients.len() {
            patients.push((row.patient.as_str(), Vec::new()));
        }
        patients[place].1.extend(row.classes.iter());
        of_row.push(place);
    }
    let (keys, classes): (Vec<&str>, Vec<Vec<u8>>) = patients.into_iter().unzip();
    let strata = strata(&classes);
    let candidate = |(key, stratum)| Candidate { issuer, key, stratum };
    let candidates: Vec<Candidate<'_>> = keys.into_iter().zip(strata).map(candidate).collect();
    let dealt = deal(&study.fold_plan(), 0, site, &candidates);
    of_row.into_iter().map(|place| dealt[place]).collect()
}

/// Puts together what is the same or nearly so, and what is so to one of them. The worst groups come first, then in the rows' order.
/// `moved` hears how many of 16 steps are done.
pub fn groups(rows: Vec<Compared>, moved: &dyn Fn(u64)) -> Vec<Group> {
    let mut sets = Sets::new(rows.len());
    // Each hash is compared once, however many images have it.
    let mut with_pixels: HashMap<[u8; 32], usize> = HashMap::new();
    let mut with_hash: HashMap<PerceptualHash, usize> = HashMap::new();
    let (mut hashes, mut first_with) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        sets.join(at, *with_pixels.entry(row.print.pixels).or_insert(at));
        let Some(hash) = row.print.hash else { continue };
        let first = *with_hash.entry(hash).or_insert(at);
        sets.join(at, first);
        if first == at {
            hashes.push(hash);
            first_with.push(at);
        }
    }
    near_pairs(&hashes, &mut |a, b| sets.join(first_with[a], first_with[b]), moved);

    let mut found: Vec<Vec<Compared>> = Vec::new();
    let mut place_of: HashMap<usize, usize> = HashMap::new();
    for (at, row) in rows.into_iter().enumerate() {
        let place = *place_of.entry(sets.root(at)).or_insert(found.len());
        if place == found.len() {
            found.push(Vec::new());
        }
        found[place].push(row);
    }
    let mut groups: Vec<Group> =
        found.into_iter().filter(|rows| rows.len() > 1).map(Group::of).collect();
    groups.sort_by_key(|group| (group.harm(), group.members[0].0.row));
    groups
}

/// Where a row's image lies.
pub fn path(row: &CohortRow) -> Option<&PathBuf> {
    match &row.input {
        RowInput::Image { path, .. } => Some(path),
        RowInput::Table(_) => None,
    }
}

impl Group {
    fn of(rows: Vec<Compared>) -> Self {
        let first = rows[0].print;
        let alike = |print: &Fingerprint| match print.pixels == first.pixels {
            true => Alike::SamePixels,
            // Without a hash an image is in a group of the same pixels only.
            false => {
                Alike::Near { bits: first.hash.zip(print.hash).map_or(0, |(a, b)| a.distance(&b)) }
            }
        };
        let member = |(at, row): (usize, Compared)| {
            let alike = if at == 0 { Alike::First } else { alike(&row.print) };
            (row, alike)
        };
        Self { members: rows.into_iter().enumerate().map(member).collect() }
    }
}

#[cfg(test)]
mod tests;
