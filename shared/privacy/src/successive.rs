//! Successive reports: whether a cohort is so near to an earlier study's that the two reports, one subtracted
//! from the other, tell about a few patients.
//!
//! A study's answers give sums over some *groups* of a site's patients: all of them, each class, each level
//! of a subgroup, each class within a level. Whoever has the sums over a group S of one study and over a
//! group T of another has their difference, which is of the patients in one of them only. The rule: where S
//! or T holds at least the minimum, that symmetric difference has none or at least the minimum of patients.
//! Where it has none, neither may fewer patients have other rows in S than in T (an image more, another
//! label), nor may fewer have other features in one whole cohort than in the other. Groups are compared
//! whatever their names are: classes with classes, levels with levels of the same column, classes within
//! levels likewise. So renaming a class, moving the edge of an age band or splitting a class doesn't get
//! round it. A group that the earlier study had just so tells nothing new and passes: a rerun always does.
//!
//! This is the differencing attack on tables of changing populations (Hundepool and others, Statistical
//! Disclosure Control, 2012; "differencing" in the Handbook on Statistical Disclosure Control for Outputs, SDAP
//! 2019), held off by the minimum cell of the site. It departs from the text-books, which compare published tables: here the site
//! compares its own lists, exactly, before it answers.
//!
//! What it doesn't cover: sums of more than two reports (three studies of A, B, and A with B and one more),
//! other groups than these (two subgroup columns crossed, a study's folds), and a subtraction over several
//! sites whose cohorts each pass. A refusal tells that few patients differ, no more: that is what any minimum
//! tells.
//!
//! Cohorts are remembered by keyed hashes (HMAC-SHA-256, cut to 64 bits): without the key, which stays at the
//! site, nobody can try patient keys on them. Two patients of a cohort of 100,000 fall on one hash with
//! probability 3e-10.

use std::collections::BTreeMap;

use aws_lc_rs::{hmac, rand};
use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use zeroize::Zeroizing;

use crate::policy::{Consent, MinimumPatients, Rule};

/// A site's own key for the hashes of what it remembers.
pub struct MemoryKey {
    key: hmac::Key,
    bytes: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for MemoryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryKey(..)")
    }
}

impl MemoryKey {
    /// A new one, by the operating system's randomness.
    ///
    /// # Panics
    /// The operating system gives no randomness.
    pub fn generate() -> Self {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("the operating system gives randomness");
        Self::from_bytes(bytes)
    }

    /// The one with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), bytes: Zeroizing::new(bytes) }
    }

    /// Its bytes, to be kept where only the owner reads them.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// What tells it from another key, and nothing else about it.
    pub fn mark(&self) -> u64 {
        self.hash("mark", &[])
    }

    /// The hash of some parts, for a purpose.
    pub fn hash(&self, purpose: &str, parts: &[&[u8]]) -> u64 {
        // Lengths before parts: a byte that moves to its neighbour changes the hash.
        let parts = std::iter::once(purpose.as_bytes()).chain(parts.iter().copied());
        let digest = Digest::of_parts(parts);
        let tag = hmac::sign(&self.key, digest.as_bytes());
        let first = tag.as_ref().first_chunk::<8>().expect("a tag has 32 bytes");
        u64::from_le_bytes(*first)
    }
}

/// A row of a cohort, by hashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RememberedRow {
    /// Its patient.
    pub patient: u64,
    /// Which of the patient's rows it is.
    pub row: u64,
    /// Its classes.
    pub classes: ClassSet,
    /// Its level of each subgroup column.
    pub levels: Vec<u8>,
    /// Its features; none while they aren't computed yet.
    pub features: Option<u64>,
}

/// A cohort, by hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The study.
    pub study: StudyId,
    /// The subgroup columns, as the rows' levels are.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<RememberedRow>,
}

/// A cohort is too near to an earlier study's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooNear {
    /// The earlier study.
    pub earlier: StudyId,
    /// The minimum of patients.
    pub minimum: u64,
    /// Patients that differ. It stays at the site.
    pub patients: u64,
    /// In which group they differ. It stays at the site.
    pub group: String,
}

impl std::fmt::Display for TooNear {
    /// For the site's own log: with the number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { earlier, minimum, patients, group } = self;
        let told = sentence(Some(earlier), *minimum);
        write!(f, "{told}; here it is {patients}, in {group}")
    }
}

/// The refusal as others may read it: without the number of patients.
pub fn sentence(earlier: Option<&StudyId>, minimum: u64) -> String {
    let study = match earlier {
        Some(study) => format!("study {study}, which this site answered before,"),
        None => "a study that this site answered before".to_owned(),
    };
    format!(
        "{}: the cohort differs from that of {study} by fewer than {minimum} patients, of all or of a \
         class or a subgroup's level, so that subtracting the two reports would tell about them; ways out: \
         the same patients as then (`filters` under [cohort] that end where the earlier study's did, the same \
         labels and subgroups), waiting until at least {minimum} patients more have come of each class and level, \
         fewer subgroups, or the owner loosens it by name in the site's file with `successive = \"{}\"` under [policy]",
        Rule::Successive,
        Consent::Allowed
    )
}

/// Compares a cohort with one that was answered.
///
/// # Errors
/// [`TooNear`], with the first group that tells about too few.
pub fn compare(
    now: &Remembered,
    earlier: &Remembered,
    minimum: MinimumPatients,
) -> Result<(), TooNear> {
    let (ours, theirs) = (groups(now), groups(earlier));
    let minimum = minimum.get();
    let near = |patients, group: &Group<'_>| TooNear {
        earlier: earlier.study.clone(),
        minimum,
        patients,
        group: group.to_string(),
    };
    for (group, patients) in &ours {
        let kind = |other: &Group<'_>| group.is_comparable(other);
        let known = |(other, others): (&Group<'_>, &Members)| kind(other) && others == patients;
        if theirs.iter().any(known) {
            continue;
        }
        for (_, others) in theirs.iter().filter(|(other, _)| kind(other)) {
            match difference(patients, others, minimum) {
                0 => {}
                few if few < minimum => return Err(near(few, group)),
                _ => {}
            }
        }
    }
    let whole = |all: &BTreeMap<Group<'_>, Members>| all.get(&Group::Whole).cloned();
    if whole(&ours) == whole(&theirs) {
        let changed = changed(now, earlier);
        if changed > 0 && changed < minimum {
            return Err(near(changed, &Group::Whole));
        }
    }
    Ok(())
}

/// A group of patients that a study's answers are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group<'a> {
    Whole,
    Class(u8),
    Level(&'a str, u8),
    ClassOfLevel(&'a str, u8, u8),
}

impl std::fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("the whole cohort"),
            Self::Class(class) => write!(f, "class {class}"),
            Self::Level(column, level) => write!(f, "level {level} of {column}"),
            Self::ClassOfLevel(column, level, class) => {
                write!(f, "class {class} of level {level} of {column}")
            }
        }
    }
}

impl Group<'_> {
    fn is_comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole, Self::Whole) | (Self::Class(_), Self::Class(_)) => true,
            (Self::Level(a, _), Self::Level(b, _))
            | (Self::ClassOfLevel(a, ..), Self::ClassOfLevel(b, ..)) => a == b,
            _ => false,
        }
    }
}

/// Patients, ascending, with the fingerprint of their rows in a group.
type Members = Vec<(u64, u64)>;

fn groups(cohort: &Remembered) -> BTreeMap<Group<'_>, Members> {
    let mut groups: BTreeMap<Group<'_>, Members> = BTreeMap::new();
    for row in &cohort.rows {
        let levels = || cohort.columns.iter().map(String::as_str).zip(row.levels.iter().copied());
        let classes = row.classes.iter();
        let of_classes = classes.clone().map(Group::Class);
        let of_levels = levels().map(|(column, level)| Group::Level(column, level));
        let of_both = levels().flat_map(|(column, level)| {
            classes.clone().map(move |class| Group::ClassOfLevel(column, level, class))
        });
        for group in std::iter::once(Group::Whole).chain(of_classes).chain(of_levels).chain(of_both)
        {
            groups.entry(group).or_default().push((row.patient, row.row));
        }
    }
    for rows in groups.values_mut() {
        rows.sort_unstable();
        // A row is in a group once, also where a study names a column twice.
        rows.dedup();
        rows.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 = first.1.wrapping_add(later.1);
            }
            same
        });
    }
    groups
}

/// Patients in one group only; where there are none, those with other rows. `minimum` and more are
/// all the same, and groups that are both smaller are no matter of subtraction.
fn difference(ours: &Members, theirs: &Members, minimum: u64) -> u64 {
    let (few, many) = (ours.len().min(theirs.len()), ours.len().max(theirs.len()));
    if (many as u64) < minimum {
        return 0;
    }
    if (many - few) as u64 >= minimum {
        return minimum;
    }
    let (mut apart, mut changed) = (0, 0);
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    while apart < minimum {
        match (ours.peek(), theirs.peek()) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                changed += u64::from(a.1 != b.1);
                ours.next();
                theirs.next();
            }
            (Some(a), Some(b)) if a.0 < b.0 => {
                apart += 1;
                ours.next();
            }
            (_, Some(_)) => {
                apart += 1;
                theirs.next();
            }
            (Some(_), None) => {
                apart += 1;
                ours.next();
            }
            (None, None) => break,
        }
    }
    if apart > 0 { apart } else { changed }
}

/// Patients of two equal cohorts whose features differ, where those of both are computed.
fn changed(now: &Remembered, earlier: &Remembered) -> u64 {
    let by_patient = |cohort: &Remembered| {
        let mut all: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        for row in &cohort.rows {
            let known = all.entry(row.patient).or_insert(Some(0));
            *known = known.zip(row.features).map(|(sum, one)| sum.wrapping_add(one));
        }
        all
    };
    let (ours, theirs) = (by_patient(now), by_patient(earlier));
    let differs = |(patient, features): &(&u64, &Option<u64>)| {
        let before = theirs.get(patient).copied().flatten();
        matches!((features, before), (Some(now), Some(before)) if *now != before)
    };
    ours.iter().filter(differs).count() as u64
}

#[cfg(test)]
mod tests;
