//! The cohorts that were answered, as the rule on successive reports remembers them.
//!
//! ```text
//! answered/key              32 bytes of randomness, in hexadecimal; for the owner alone
//! answered/000007-<study>   a cohort: a first line with the study, then a line per row
//! ```
//!
//! A row's line holds three keyed hashes (patient, row, features), its classes and its levels, no name and no
//! value. A cohort is written before its first answer leaves, so a study that was refused, or never got so
//! far, counts for nothing. A cohort that is there already isn't written again. The newest [`KEPT`] different
//! cohorts stay; before one more the oldest goes. Nothing of this leaves the site.
//!
//! Whoever deletes the folder makes the site forget what it answered.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::study::Study;
use wardround_net::files::{Access, write_atomically};
use wardround_privacy::policy::MinimumPatients;
use wardround_privacy::successive::{MemoryKey, Remembered, RememberedRow, TooNear, compare};

use super::cohort::Cohort;
use super::lock::{Lock, RowId, row_ids};

/// Most cohorts that are remembered.
pub const KEPT: usize = 100;

/// The format of the files.
const FORMAT: u32 = 1;

/// The folder of answered cohorts.
#[derive(Debug)]
pub struct Answered {
    folder: PathBuf,
    key: MemoryKey,
}

/// Why the answered cohorts can't be compared with.
#[derive(Debug, thiserror::Error)]
pub enum AnsweredError {
    /// The new cohort is too near to one of them.
    #[error("{0}")]
    TooNear(TooNear),
    /// A file can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file isn't what this software wrote with this key.
    #[error(
        "{path} is damaged or of another key ({why}): without it this site doesn't know what it answered, so it \
         answers nothing more; put the folder back from a backup, or delete it where that may be forgotten",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Whether a cohort is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was there already, under this or another study.
    Before,
    /// It is new.
    Now,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    wardround_answered: u32,
    study: StudyId,
    columns: Vec<String>,
    /// Of the rows' lines.
    digest: Digest,
    /// Tells the key.
    key: u64,
}

impl Answered {
    /// Opens the folder; makes it, and its key, where it isn't there.
    ///
    /// # Errors
    /// [`AnsweredError::File`], [`AnsweredError::Damaged`].
    pub fn open(folder: PathBuf) -> Result<Self, AnsweredError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| AnsweredError::File { path, source }
        };
        fs::create_dir_all(&folder).map_err(file(&folder))?;
        let path = folder.join("key");
        let key = match fs::read_to_string(&path) {
            Ok(text) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text.trim(), &mut bytes).map_err(|error| {
                    AnsweredError::Damaged { path: path.clone(), why: error.to_string() }
                })?;
                MemoryKey::from_bytes(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = MemoryKey::generate();
                write_atomically(&path, hex::encode(key.bytes()).as_bytes(), Access::Owner)
                    .map_err(file(&path))?;
                key
            }
            Err(error) => return Err(file(&path)(error)),
        };
        Ok(Self { folder, key })
    }

    /// A cohort that isn't frozen yet, by hashes; without features.
    pub fn of_cohort(&self, id: &StudyId, study: &Study, cohort: &Cohort) -> Remembered {
        let rows = cohort.rows.iter().zip(row_ids(cohort)).map(|(row, id)| RememberedRow {
            patient: self.patient(&cohort.issuer, &row.patient),
            row: self.row(&id),
            classes: row.classes,
            levels: row.levels.clone(),
            features: None,
        });
        remembered(id, study, rows.collect())
    }

    /// A frozen cohort, by hashes.
    pub fn of_lock(&self, id: &StudyId, study: &Study, lock: &Lock) -> Remembered {
        let rows = lock.entries().iter().map(|entry| RememberedRow {
            patient: self.patient(&entry.issuer, &entry.patient),
            row: self.row(&entry.row),
            classes: entry.classes,
            levels: entry.levels.clone(),
            features: Some(self.key.hash("features", &[entry.features.as_bytes()])),
        });
        remembered(id, study, rows.collect())
    }

    /// Compares a cohort with all that were answered.
    ///
    /// # Errors
    /// [`AnsweredError::TooNear`], and where a file is damaged.
    pub fn compare(
        &self,
        cohort: &Remembered,
        minimum: MinimumPatients,
    ) -> Result<(), AnsweredError> {
        for (_, path) in self.files()? {
            let earlier = self.read(&path)?;
            compare(cohort, &earlier, minimum).map_err(AnsweredError::TooNear)?;
        }
        Ok(())
    }

    /// Whether this very cohort was answered.
    ///
    /// # Errors
    /// [`AnsweredError::File`], [`AnsweredError::Damaged`].
    pub fn knows(&self, cohort: &Remembered) -> Result<bool, AnsweredError> {
        let digest = digest(&lines(&cohort.rows));
        for (_, path) in self.files()? {
            let head = self.head(&path)?.0;
            if (head.digest, &head.columns) == (digest, &cohort.columns) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Remembers a cohort, on the disk when it returns.
    ///
    /// # Errors
    /// [`AnsweredError::File`], [`AnsweredError::Damaged`].
    pub fn remember(&self, cohort: &Remembered) -> Result<Known, AnsweredError> {
        if self.knows(cohort)? {
            return Ok(Known::Before);
        }
        let files = self.files()?;
        let number = files.last().map_or(1, |(number, _)| number + 1);
        let rows = lines(&cohort.rows);
        let head = Head {
            wardround_answered: FORMAT,
            study: cohort.study.clone(),
            columns: cohort.columns.clone(),
            digest: digest(&rows),
            key: self.key.mark(),
        };
        let mut text = serde_json::to_string(&head).expect("texts and numbers are JSON");
        text.push('\n');
        text.push_str(&rows);
        let path = self.folder.join(format!("{number:06}-{}", cohort.study));
        let failed = |path: &Path, source| AnsweredError::File { path: path.to_owned(), source };
        write_atomically(&path, text.as_bytes(), Access::Owner).map_err(|e| failed(&path, e))?;
        let beyond = (files.len() + 1).saturating_sub(KEPT);
        for (_, path) in &files[..beyond] {
            fs::remove_file(path).map_err(|e| failed(path, e))?;
        }
        Ok(Known::Now)
    }

    fn patient(&self, issuer: &str, key: &str) -> u64 {
        self.key.hash("patient", &[issuer.as_bytes(), key.as_bytes()])
    }

    fn row(&self, row: &RowId) -> u64 {
        match row {
            RowId::Image(digest) => self.key.hash("image", &[digest.as_bytes()]),
            RowId::Row(number) => self.key.hash("row", &[&number.to_le_bytes()]),
        }
    }

    /// The cohorts' files with their numbers, oldest first.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, AnsweredError> {
        let failed = |source| AnsweredError::File { path: self.folder.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // Drafts end with `.new`; the key has no number.
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.split_once('-').and_then(|(number, _)| number.parse().ok());
            if let Some(number) = number.filter(|_| !name.ends_with(".new")) {
                files.push((number, path));
            }
        }
        files.sort();
        Ok(files)
    }

    fn head(&self, path: &Path) -> Result<(Head, BufReader<fs::File>), AnsweredError> {
        let failed = |source| AnsweredError::File { path: path.to_owned(), source };
        let mut file = BufReader::new(fs::File::open(path).map_err(failed)?);
        let mut line = String::new();
        file.read_line(&mut line).map_err(failed)?;
        let head: Head = serde_json::from_str(&line).map_err(|e| damaged(path, &e))?;
        if head.wardround_answered != FORMAT {
            let format = head.wardround_answered;
            return Err(damaged(path, &format!("format {format}, expected {FORMAT}")));
        }
        if head.key != self.key.mark() {
            return Err(damaged(path, &"made with another key"));
        }
        Ok((head, file))
    }

    fn read(&self, path: &Path) -> Result<Remembered, AnsweredError> {
        let (head, file) = self.head(path)?;
        let text = io::read_to_string(file)
            .map_err(|source| AnsweredError::File { path: path.to_owned(), source })?;
        if digest(&text) != head.digest {
            return Err(damaged(path, &"its rows have another digest"));
        }
        let rows: Option<Vec<RememberedRow>> = text.lines().map(row_of).collect();
        let rows = rows.ok_or_else(|| damaged(path, &"a row isn't one"))?;
        Ok(Remembered { study: head.study, columns: head.columns, rows })
    }
}

fn damaged(path: &Path, why: &dyn std::fmt::Display) -> AnsweredError {
    AnsweredError::Damaged { path: path.to_owned(), why: why.to_string() }
}

fn digest(rows: &str) -> Digest {
    Digest::of(rows.as_bytes())
}

/// In an order that doesn't depend on the manifest's.
fn remembered(id: &StudyId, study: &Study, mut rows: Vec<RememberedRow>) -> Remembered {
    rows.sort_unstable();
    let columns = study.subgroups.iter().map(|one| one.column.clone()).collect();
    Remembered { study: id.clone(), columns, rows }
}

fn lines(rows: &[RememberedRow]) -> String {
    let mut text = String::with_capacity(rows.len() * 64);
    for RememberedRow { patient, row, classes, levels, features } in rows {
        let features = features.unwrap_or_default();
        let levels = hex::encode(levels);
        // Writing into a text doesn't fail.
        let _ =
            writeln!(text, "{patient:016x} {row:016x} {features:016x} {:x} {levels}", classes.0);
    }
    text
}

fn row_of(line: &str) -> Option<RememberedRow> {
    let mut words = line.split(' ');
    let mut number = || u64::from_str_radix(words.next()?, 16).ok();
    let (patient, row, features, classes) = (number()?, number()?, number()?, number()?);
    let levels = hex::decode(words.next()?).ok()?;
    let features = Some(features);
    Some(RememberedRow { patient, row, classes: ClassSet(classes), levels, features })
}

#[cfg(test)]
mod tests;
