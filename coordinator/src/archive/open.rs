//! Opening an archive: after this, every entry is the one that the manifest names. Whether the
//! entries belong together is for [`crate::replay::verify`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use wardround_core::digest::Digest;
use wardround_core::study::Study;
use wardround_core::sum::Sum;

use super::lines::{self, AnswerLine, JournalLine};
use super::manifest::{ALGORITHM, End, JOURNAL_FORMAT, Manifest, OLDEST_JOURNAL_FORMAT, Signature};
use super::signature::{self, VouchedFor};
use super::{ArchiveError, names, pack};
use crate::store::Kept;

/// Bytes of a total that aren't numbers: its query, its sites, the lengths of its blocks.
const TOTAL_HEADER: u64 = 1 << 20;

/// An archive whose entries have the digests that its manifest says.
#[derive(Debug)]
pub struct Archive<'a> {
    /// What it is about.
    pub manifest: Manifest,
    /// SHA-256 of `manifest.json`: stands for the whole archive.
    pub digest: Digest,
    /// Who vouches for it, by certificates that were valid then; whose the root is, the reader finds out.
    pub vouched: VouchedFor,
    /// The study.
    pub study: Study,
    /// Its totals in order, by digest, some with the decisions that are kept in their place; not yet
    /// checked against each other.
    pub journal: Vec<JournalLine>,
    /// Receipts of the sites' answers.
    pub answers: Vec<AnswerLine>,
    files: BTreeMap<String, &'a [u8]>,
}

impl<'a> Archive<'a> {
    /// Reads an archive and checks size and digest of every entry, and its signature.
    ///
    /// # Errors
    /// [`ArchiveError`] names the first entry that isn't what it should be.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let files = pack::unpack(bytes)?;
        let file = |name: &str| files.get(name).copied().ok_or_else(|| missing(name));
        let manifest_bytes = file(names::MANIFEST)?;
        let manifest = Manifest::read(manifest_bytes)?;
        check_entries(&manifest, &files)?;
        let digest = Digest::of(manifest_bytes);
        let vouched = signature::judge(&manifest, digest, &files)?;
        let journal = &manifest.journal;
        let formats = OLDEST_JOURNAL_FORMAT..=JOURNAL_FORMAT;
        if !formats.contains(&journal.format) || journal.algorithm != ALGORITHM {
            let what = format!(
                "its journal has format {} and algorithm {}; this version replays formats \
                 {OLDEST_JOURNAL_FORMAT} to {JOURNAL_FORMAT} and algorithm {ALGORITHM}",
                journal.format, journal.algorithm
            );
            return Err(ArchiveError::malformed(names::MANIFEST, what));
        }
        let toml = std::str::from_utf8(file(names::STUDY)?)
            .map_err(|error| ArchiveError::malformed(names::STUDY, error))?;
        let study = Study::parse(toml)
            .map_err(|mistakes| ArchiveError::malformed(names::STUDY, mistakes))?;
        let lines: Vec<JournalLine> = lines::read(names::JOURNAL, file(names::JOURNAL)?)?;
        let decided = lines.iter().find(|line| line.kept != Kept::Total);
        if let (OLDEST_JOURNAL_FORMAT, Some(line)) = (journal.format, decided) {
            let what =
                format!("line {} has a decision, which format 2 doesn't know", line.sequence);
            return Err(ArchiveError::malformed(names::JOURNAL, what));
        }
        Ok(Self {
            digest,
            vouched,
            study,
            journal: lines,
            answers: lines::read(names::ANSWERS, file(names::ANSWERS)?)?,
            manifest,
            files,
        })
    }

    /// An entry's bytes; `None` when the archive goes without it.
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        self.files.get(name).copied()
    }

    /// How many lines keep a decision in their total's place.
    pub fn decisions(&self) -> u64 {
        self.journal.iter().filter(|line| line.kept != Kept::Total).count() as u64
    }

    /// The total of a journal line, unpacked and checked against the line, and its unpacked size.
    ///
    /// # Errors
    /// [`ArchiveError::Total`], [`ArchiveError::Missing`].
    pub fn total(&self, line: &JournalLine) -> Result<(Sum, u64), ArchiveError> {
        let entry = names::total_name(&line.total);
        // A number is a varint of 1 to 10 bytes. Both bounds hold before anything is decoded.
        let limit = line.numbers.saturating_mul(10).saturating_add(TOTAL_HEADER);
        let limit = limit.min(names::LARGEST_TOTAL);
        let bytes = self.unpacked(line, &entry, &line.total, limit)?;
        let wrong =
            |what: String| ArchiveError::Total { entry: entry.clone(), line: line.sequence, what };
        // A varint ends in its only byte below 128, so that many numbers there are at most; else a
        // total of zero bytes would take eight times its size in memory.
        let most = bytes.iter().filter(|byte| **byte < 128).count() as u64;
        if most > line.numbers.saturating_add(TOTAL_HEADER) {
            return Err(wrong(format!(
                "it has more than the {} numbers of its line",
                line.numbers
            )));
        }
        let sum = Sum::decode(&bytes).map_err(|error| wrong(error.to_string()))?;
        if sum.query != line.query {
            return Err(wrong(format!("it answers query {}, not {}", sum.query, line.query)));
        }
        if sum.sites != line.sites {
            return Err(wrong("it is of other sites than its line says".into()));
        }
        let numbers: u64 = sum.blocks.iter().map(|block| block.len() as u64).sum();
        if numbers != line.numbers {
            return Err(wrong(format!("it has {numbers} numbers, its line says {}", line.numbers)));
        }
        Ok((sum, bytes.len() as u64))
    }

    /// The decision of a journal line, unpacked and checked against its digest.
    ///
    /// # Errors
    /// [`ArchiveError::Total`], [`ArchiveError::Missing`].
    pub fn decision(&self, line: &JournalLine, digest: &Digest) -> Result<Vec<u8>, ArchiveError> {
        self.unpacked(line, &names::decision_name(digest), digest, names::LARGEST_DECISION)
    }

    fn unpacked(
        &self,
        line: &JournalLine,
        entry: &str,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, ArchiveError> {
        let packed = self.file(entry).ok_or_else(|| missing(entry))?;
        let wrong = |what: String| {
            let (entry, line) = (entry.to_owned(), line.sequence);
            ArchiveError::Total { entry, line, what }
        };
        let mut bytes = Vec::new();
        zstd::Decoder::with_buffer(packed)
            .and_then(|decoder| decoder.take(limit + 1).read_to_end(&mut bytes))
            .map_err(|error| wrong(format!("it can't be unpacked: {error}")))?;
        if bytes.len() as u64 > limit {
            return Err(wrong(format!("it unpacks to more than {limit} bytes")));
        }
        let got = Digest::of(&bytes);
        if got != *digest {
            return Err(wrong(format!("it unpacks to something with SHA-256 {got}")));
        }
        Ok(bytes)
    }
}

fn check_entries(manifest: &Manifest, files: &BTreeMap<String, &[u8]>) -> Result<(), ArchiveError> {
    let mut listed = BTreeSet::from([names::MANIFEST]);
    if manifest.signature == Signature::Beside {
        // They are about the manifest, so it can't know their digests.
        listed.extend([names::ATTESTATION, names::SIGNATURE]);
    }
    for entry in &manifest.entries {
        let bytes = files.get(&entry.name).ok_or_else(|| missing(&entry.name))?;
        let got = Digest::of(bytes);
        if bytes.len() as u64 != entry.bytes || got != entry.digest {
            let (entry, expected) = (entry.name.clone(), entry.digest);
            return Err(ArchiveError::Altered { entry, expected, got });
        }
        if !listed.insert(&entry.name) {
            let what = format!("it lists {} twice", entry.name);
            return Err(ArchiveError::malformed(names::MANIFEST, what));
        }
    }
    if let Some(stray) = files.keys().find(|name| !listed.contains(name.as_str())) {
        return Err(ArchiveError::Unexpected(stray.clone()));
    }
    let mut needed = vec![names::STUDY, names::JOURNAL, names::ANSWERS];
    if manifest.signature == Signature::Beside {
        needed.extend([names::CA, names::SIGNER]);
    }
    let versions: Vec<String> =
        manifest.versions.iter().map(|version| names::version_name(&version.id)).collect();
    needed.extend(versions.iter().map(String::as_str));
    if manifest.study.end == End::Done {
        needed.extend([names::REPORT_JSON, names::REPORT_HTML, names::CONTEXT, names::MODEL]);
    }
    match needed.into_iter().find(|name| !listed.contains(name)) {
        Some(name) => Err(missing(name)),
        None => Ok(()),
    }
}

fn missing(name: &str) -> ArchiveError {
    ArchiveError::Missing(name.to_owned())
}
