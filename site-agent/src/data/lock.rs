//! The cohort lock: the list of rows that a site freezes when it joins a study.
//!
//! Every sum of the study is over exactly these rows. Files that come later don't enter; when a
//! frozen row is gone, or its features would differ (another file, device or weights), the site
//! stops answering and says which and why. The list stays at the site; only its digest leaves, in
//! every answer, and stands in the report.
//!
//! The file is canonical: a first line with the study, then one JSON list per row, sorted; the exam is its last
//! entry, and isn't there where exams aren't judged. Its
//! digest is the SHA-256 of its bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;

use super::cohort::{Cohort, RowInput};
use super::features::{Features, FeaturesError};

/// The format of lock files that this software writes and reads.
const FORMAT: u32 = 1;

/// A frozen cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    study: StudyId,
    study_file: Digest,
    entries: Vec<LockEntry>,
}

/// A frozen row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LockEntry {
    /// Who issued the patient's key.
    pub issuer: String,
    /// The patient's key.
    pub patient: String,
    /// Which of the patient's rows it is.
    pub row: RowId,
    /// Its classes.
    pub classes: ClassSet,
    /// Its level of each subgroup.
    pub levels: Vec<u8>,
    /// The digest of its features.
    pub features: Digest,
    /// Which exam it is of; empty where exams aren't judged.
    pub exam: String,
}

/// Which of a patient's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowId {
    /// The image with this digest.
    Image(Digest),
    /// The patient's row with this number, from 0 in the manifest's order: a table's row has no
    /// other name, since its values are its features.
    Row(u32),
}

/// A cohort as a study holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The digest of the lock.
    pub digest: Digest,
    /// The frozen rows as indices into the cohort's, in the lock's order.
    pub taken: Vec<usize>,
    /// Rows of the cohort that came after the lock and don't enter.
    pub later: usize,
}

/// How a frozen row no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// Neither the row nor its image is in the cohort.
    Vanished,
    /// The row is there, with a problem that sets it aside.
    SetAside {
        /// Its line in the manifest.
        line: u64,
        /// The problem.
        reason: String,
    },
    /// Its image is now another patient's.
    OtherPatient {
        /// Its line in the manifest.
        line: u64,
    },
    /// Its class is another one.
    OtherClass {
        /// Its line in the manifest.
        line: u64,
    },
    /// A subgroup is another one.
    OtherSubgroup {
        /// Its line in the manifest.
        line: u64,
    },
    /// Its exam is another one.
    OtherExam {
        /// Its line in the manifest.
        line: u64,
    },
    /// Its features differ: another device or other weights, or other values in the table.
    OtherFeatures {
        /// Its line in the manifest.
        line: u64,
    },
}

/// Why a lock doesn't hold.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file can't be read or written.
    #[error("can't {what} the cohort lock {path}: {source}", path = path.display())]
    File {
        /// Read or write.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file isn't what this software wrote.
    #[error("line {line} of the cohort lock is damaged: {why}")]
    Damaged {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The file belongs to another study.
    #[error("the cohort lock is of study {found}, expected {expected}")]
    OtherStudy {
        /// The study that it should belong to, with its file's digest.
        expected: String,
        /// What it says.
        found: String,
    },
    /// Another number of features than rows.
    #[error("{got} rows of features for a cohort of {expected} rows")]
    Features {
        /// Rows of the cohort.
        expected: usize,
        /// Rows of features.
        got: usize,
    },
    /// Features can't be read.
    #[error(transparent)]
    Unreadable(#[from] FeaturesError),
    /// Frozen rows no longer hold; each with its patient key.
    #[error("{}", sentence(.0, *.1))]
    Broken(Vec<(String, Broken)>, usize),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    wardround_lock: u32,
    study: StudyId,
    study_file: Digest,
    rows: usize,
}

impl Lock {
    /// Freezes a cohort with the features of each input. `study_file` is the digest of the study file.
    ///
    /// # Errors
    /// [`LockError::Features`], [`LockError::Unreadable`].
    pub fn freeze(
        study: StudyId,
        study_file: Digest,
        cohort: &Cohort,
        features: &[Features],
    ) -> Result<Self, LockError> {
        let mut entries = entries(cohort, features)?;
        entries.sort();
        Ok(Self { study, study_file, entries })
    }

    /// Holds a study's cohort: freezes it at the first call, and checks it at every later one.
    ///
    /// # Errors
    /// [`LockError`]; [`LockError::Broken`] says which rows don't hold and why.
    pub fn hold(
        path: &Path,
        study: &StudyId,
        study_file: Digest,
        cohort: &Cohort,
        features: &[Features],
    ) -> Result<Held, LockError> {
        let lock = if path.exists() {
            let lock = Self::read(path)?;
            if (&lock.study, lock.study_file) != (study, study_file) {
                return Err(LockError::OtherStudy {
                    expected: format!("{study} ({})", study_file.short()),
                    found: format!("{} ({})", lock.study, lock.study_file.short()),
                });
            }
            lock
        } else {
            let lock = Self::freeze(study.clone(), study_file, cohort, features)?;
            lock.write(path)?;
            lock
        };
        lock.verify(cohort, features)
    }

    /// The frozen rows, sorted.
    pub fn entries(&self) -> &[LockEntry] {
        &self.entries
    }

    /// The digest that stands in every answer.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// Writes the file: all of it or nothing, even when the machine stops meanwhile.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        write_atomically(path, self.text().as_bytes()).map_err(|source| LockError::File {
            what: "write",
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`LockError::File`], [`LockError::Damaged`].
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = fs::read_to_string(path).map_err(|source| LockError::File {
            what: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Finds the frozen rows in the present cohort.
    ///
    /// # Errors
    /// [`LockError::Broken`] with every frozen row that is gone or differs; [`LockError::Unreadable`].
    pub fn verify(&self, cohort: &Cohort, features: &[Features]) -> Result<Held, LockError> {
        let present = entries(cohort, features)?;
        let mut rows: HashMap<(&str, RowId), usize> = HashMap::new();
        let mut images: HashMap<RowId, usize> = HashMap::new();
        for (at, entry) in present.iter().enumerate() {
            rows.insert((&entry.patient, entry.row), at);
            images.insert(entry.row, at);
        }
        let (mut taken, mut broken) = (Vec::new(), Vec::new());
        for frozen in &self.entries {
            let found = rows.get(&(frozen.patient.as_str(), frozen.row)).copied();
            match found.map(|at| (at, difference(frozen, &present[at], cohort.rows[at].line))) {
                Some((at, None)) => taken.push(at),
                Some((_, Some(differs))) => broken.push((frozen.patient.clone(), differs)),
                None => {
                    let moved = match frozen.row {
                        RowId::Image(_) => images.get(&frozen.row).copied(),
                        RowId::Row(_) => None,
                    };
                    let why = match moved {
                        Some(at) => Broken::OtherPatient { line: cohort.rows[at].line },
                        None => vanished(frozen, cohort),
                    };
                    broken.push((frozen.patient.clone(), why));
                }
            }
        }
        if !broken.is_empty() {
            return Err(LockError::Broken(broken, self.entries.len()));
        }
        let later = cohort.rows.len() - taken.len();
        Ok(Held { digest: self.digest(), taken, later })
    }

    fn text(&self) -> String {
        let head = Head {
            wardround_lock: FORMAT,
            study: self.study.clone(),
            study_file: self.study_file,
            rows: self.entries.len(),
        };
        let mut text = line(&head);
        for LockEntry { issuer, patient, row, classes, levels, features, exam } in &self.entries {
            let entry = (issuer, patient, row, classes, levels, features);
            text.push_str(&match exam.as_str() {
                "" => line(&entry),
                exam => {
                    let (issuer, patient, row, classes, levels, features) = entry;
                    line(&(issuer, patient, row, classes, levels, features, exam))
                }
            });
        }
        text
    }

    fn parse(text: &str) -> Result<Self, LockError> {
        let damaged = |line: usize, why: &dyn fmt::Display| {
            Err(LockError::Damaged { line, why: why.to_string() })
        };
        let mut lines = text.lines();
        let head = match serde_json::from_str::<Head>(lines.next().unwrap_or_default()) {
            Ok(head) if head.wardround_lock == FORMAT => head,
            Ok(head) => {
                return damaged(
                    1,
                    &format!("expected format {FORMAT}, got {}", head.wardround_lock),
                );
            }
            Err(error) => return damaged(1, &error),
        };
        let mut entries = Vec::new();
        for (at, line) in lines.enumerate() {
            let entry = serde_json::from_str(line).map(|entry| {
                let (issuer, patient, row, classes, levels, features) = entry;
                LockEntry { issuer, patient, row, classes, levels, features, exam: String::new() }
            });
            let entry = entry.or_else(|error: serde_json::Error| {
                let with_exam = serde_json::from_str(line).map_err(|_| error)?;
                let (issuer, patient, row, classes, levels, features, exam) = with_exam;
                Ok::<_, serde_json::Error>(LockEntry {
                    issuer,
                    patient,
                    row,
                    classes,
                    levels,
                    features,
                    exam,
                })
            });
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => return damaged(at + 2, &error),
            }
        }
        let lock = Self { study: head.study, study_file: head.study_file, entries };
        if lock.entries.len() != head.rows {
            return damaged(
                1,
                &format!("{} rows follow, expected {}", lock.entries.len(), head.rows),
            );
        }
        // What isn't canonical was written by somebody else, and would have another digest.
        if lock.text() != text || !lock.entries.is_sorted() {
            return damaged(1, &"not in the form that it was written in");
        }
        Ok(lock)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Vanished => {
                f.write_str("the row or its image is gone, or the file has changed")
            }
            Broken::SetAside { line, reason } => {
                write!(f, "line {line} has a problem now: {reason}")
            }
            Broken::OtherPatient { line } => {
                write!(f, "its image is listed for another patient now (line {line})")
            }
            Broken::OtherClass { line } => write!(f, "its label has changed (line {line})"),
            Broken::OtherSubgroup { line } => write!(f, "a subgroup has changed (line {line})"),
            Broken::OtherExam { line } => write!(f, "its exam has changed (line {line})"),
            Broken::OtherFeatures { line } => write!(
                f,
                "its features differ (line {line}): another device, other weights, or other values"
            ),
        }
    }
}

/// One entry per row of the cohort, in its order.
fn entries(cohort: &Cohort, features: &[Features]) -> Result<Vec<LockEntry>, LockError> {
    let expected = cohort.rows.len();
    for got in features.iter().map(Features::len) {
        if expected != got {
            return Err(LockError::Features { expected, got });
        }
    }
    let entries = cohort.rows.iter().zip(row_ids(cohort)).enumerate().map(|(at, (row, id))| {
        Ok(LockEntry {
            issuer: cohort.issuer.clone(),
            patient: row.patient.clone(),
            row: id,
            classes: row.classes,
            levels: row.levels.clone(),
            features: read_again(weighed(digest(features, at)?, row.weight), row.second),
            exam: row.exam.clone(),
        })
    });
    entries.collect()
}

/// Which of its patient's rows each row is, in the cohort's order.
pub(super) fn row_ids(cohort: &Cohort) -> Vec<RowId> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let ids = cohort.rows.iter().map(|row| {
        let count = counts.entry(&row.patient).or_default();
        let id = match &row.input {
            RowInput::Image { digest, .. } => RowId::Image(*digest),
            RowInput::Table(_) => RowId::Row(*count),
        };
        *count += 1;
        id
    });
    ids.collect()
}

/// With the row's weight, where it isn't 1: a weight is frozen as features are.
fn weighed(features: Digest, weight: f64) -> Digest {
    if weight == 1.0 {
        return features;
    }
    Digest::of(&[features.as_bytes().as_slice(), &weight.to_bits().to_le_bytes()].concat())
}

/// With what a second reader said, where that is something: frozen as features are.
fn read_again(features: Digest, second: ClassSet) -> Digest {
    if second.count() == 0 {
        return features;
    }
    Digest::of(&[features.as_bytes().as_slice(), b"second", &second.0.to_le_bytes()].concat())
}

/// The digest of a row's features; of several inputs, that of their digests.
fn digest(features: &[Features], row: usize) -> Result<Digest, FeaturesError> {
    match features {
        [only] => only.digest(row),
        several => {
            let mut bytes = Vec::new();
            for one in several {
                bytes.extend(one.digest(row)?.as_bytes());
            }
            Ok(Digest::of(&bytes))
        }
    }
}

fn difference(frozen: &LockEntry, present: &LockEntry, line: u64) -> Option<Broken> {
    if frozen.issuer != present.issuer {
        Some(Broken::OtherPatient { line })
    } else if frozen.classes != present.classes {
        Some(Broken::OtherClass { line })
    } else if frozen.levels != present.levels {
        Some(Broken::OtherSubgroup { line })
    } else if frozen.exam != present.exam {
        Some(Broken::OtherExam { line })
    } else if frozen.features != present.features {
        Some(Broken::OtherFeatures { line })
    } else {
        None
    }
}

/// Why a frozen row isn't in the cohort: a problem of the patient's rows is the likeliest cause.
fn vanished(frozen: &LockEntry, cohort: &Cohort) -> Broken {
    let row = cohort.set_aside.iter().find(|row| row.patient == frozen.patient);
    row.map_or(Broken::Vanished, |row| Broken::SetAside {
        line: row.line,
        reason: row.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })
}

fn sentence(broken: &[(String, Broken)], frozen: usize) -> String {
    let mut text = format!(
        "{} of {frozen} rows frozen for this study no longer hold, so the site doesn't answer:",
        broken.len()
    );
    for (patient, why) in broken.iter().take(20) {
        text.push_str(&format!("\npatient '{patient}': {why}"));
    }
    if broken.len() > 20 {
        text.push_str(&format!("\nand {} more", broken.len() - 20));
    }
    text
}

fn line<T: Serialize>(value: &T) -> String {
    let mut line = serde_json::to_string(value).expect("texts, numbers and lists are JSON");
    line.push('\n');
    line
}

/// A new file beside the old one, written through to the disk and then renamed over it.
fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The rename itself lies in the folder; where a folder can't be opened, the system sees to it.
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(_) => Ok(()),
    }
}
