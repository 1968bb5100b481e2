//! `manifest.json`: what an archive holds and what it is about.

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};

use super::ArchiveError;
use super::names::MANIFEST;
use crate::outcome::FeatureSource;
use crate::store::StudyState;

/// The format that this software writes. 2: signed, with earlier versions of the study file, the members' certificates
/// and the versions of the sites' software.
pub const FORMAT: u32 = 2;

/// The oldest format that is read. 1: unsigned.
pub const OLDEST_FORMAT: u32 = 1;

/// The journal's format: how queries and totals are encoded, digested and chained. 3: a line may keep
/// what was decided by a total in the total's place.
pub const JOURNAL_FORMAT: u32 = 3;

/// The oldest journal's format that is read. 2: every line keeps its total.
pub const OLDEST_JOURNAL_FORMAT: u32 = 2;

/// Which questions a study asks, in which order. Counted up when the same study asks others, since
/// an older journal can't be replayed then.
pub const ALGORITHM: u32 = 1;

/// What an archive holds and what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`OLDEST_FORMAT`] to [`FORMAT`].
    pub format: u32,
    /// Name and version of the software that wrote the archive.
    pub software: String,
    /// The study.
    pub study: StudyEntry,
    /// Studies that it was cloned from, its parent first; each one's file is the entry `versions/<id>.toml`.
    #[serde(default)]
    pub versions: Vec<VersionEntry>,
    /// All sites of the study, sorted, lost ones too.
    pub sites: Vec<SiteEntry>,
    /// Runs that lost a site, oldest first.
    pub attempts: Vec<AttemptEntry>,
    /// What the sites computed.
    pub features: FeaturesEntry,
    /// The journal.
    pub journal: JournalInfo,
    /// Every other entry of the archive, by name.
    pub entries: Vec<Entry>,
    /// Who vouches for all this.
    pub signature: Signature,
}

/// The study of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyEntry {
    /// Its id.
    pub id: StudyId,
    /// Its name.
    pub name: String,
    /// SHA-256 of the study file.
    pub digest: Digest,
    /// Who submitted it.
    pub submitted_by: String,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub submitted_ms: i64,
    /// When it ended, likewise.
    pub ended_ms: i64,
    /// How it ended.
    pub end: End,
}

/// A study that the archive's study, or a later version of it, was cloned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionEntry {
    /// Its id.
    pub id: StudyId,
    /// Its name.
    pub name: String,
    /// SHA-256 of its file.
    pub digest: Digest,
    /// Who submitted it.
    pub submitted_by: String,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub submitted_ms: i64,
    /// How it ended, if it has.
    pub state: StudyState,
}

/// How a study ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum End {
    /// With a report and a model.
    Done,
    /// Without.
    Failed {
        /// Why.
        reason: String,
    },
    /// A person ended it.
    Aborted {
        /// Who.
        reason: String,
    },
}

/// A site of the study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteEntry {
    /// The site.
    pub site: SiteId,
    /// Its part in the study.
    pub part: Part,
    /// Version of the software that it ran when it froze its cohort; empty where that isn't known.
    #[serde(default)]
    pub software: String,
}

/// A site's part in a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Part {
    /// It stayed to the end.
    Stayed {
        /// Digest of its frozen cohort.
        lock: Digest,
    },
    /// It never froze a cohort: the study ended before.
    NeverEnlisted,
    /// It was given up; its numbers are in no final model.
    Lost,
}

/// A run that lost a site and was started again without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptEntry {
    /// The sites it began with.
    pub sites: Vec<SiteId>,
    /// The site it lost.
    pub lost: SiteId,
    /// After how many lines of the journal.
    pub round: u64,
    /// Why.
    pub reason: String,
}

/// What the sites computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum FeaturesEntry {
    /// All sites the same.
    Agreed {
        /// Feature columns of each input.
        #[serde(with = "crate::store::one_or_many")]
        count: Vec<u32>,
        /// Where they come from.
        source: FeatureSource,
    },
    /// The study ended before any site froze its cohort.
    NeverComputed,
}

/// The journal of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalInfo {
    /// [`JOURNAL_FORMAT`].
    pub format: u32,
    /// [`ALGORITHM`].
    pub algorithm: u32,
    /// How many lines it has.
    pub lines: u64,
    /// Where its chain ends.
    pub head: Head,
}

/// Where a journal's chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Head {
    /// At its last line.
    Line {
        /// That line's chain value.
        chain: Digest,
    },
    /// It has no line.
    Empty,
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// Who vouches for an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Signature {
    /// Nobody: whoever changes an archive can write a manifest to match. Compare the manifest's
    /// digest with one that came another way.
    Absent,
    /// The coordinator, by `attestation.json` and its signature.
    Beside,
}

impl Manifest {
    /// The bytes of `manifest.json`.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .expect("a manifest has text keys and whole numbers only");
        bytes.push(b'\n');
        bytes
    }

    /// Reads `manifest.json`; the format comes first, since a later one may have other fields.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let malformed = |error: serde_json::Error| ArchiveError::malformed(MANIFEST, error);
        let loose: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
        let format = loose.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if !(u64::from(OLDEST_FORMAT)..=u64::from(FORMAT)).contains(&format) {
            return Err(ArchiveError::Format(format));
        }
        let manifest: Self = serde_json::from_value(loose).map_err(malformed)?;
        if manifest.format == OLDEST_FORMAT && manifest.signature != Signature::Absent {
            return Err(ArchiveError::malformed(MANIFEST, "format 1 knows no signature"));
        }
        Ok(manifest)
    }

    /// The sites of the final model, sorted.
    pub fn final_sites(&self) -> Vec<SiteId> {
        let stayed = |s: &&SiteEntry| matches!(s.part, Part::Stayed { .. });
        self.sites.iter().filter(stayed).map(|s| s.site.clone()).collect()
    }
}
