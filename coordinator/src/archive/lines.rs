//! Files of one JSON object per line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_learn::recorded::Receipt;

use super::ArchiveError;
use crate::store::Kept;

/// A line of `journal.jsonl`: a total of the study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalLine {
    /// Its number, from 1.
    pub sequence: u64,
    /// The query's digest.
    pub query: Digest,
    /// Digest of the total's encoding.
    pub total: Digest,
    /// What was asked, in a word.
    pub what: String,
    /// The sites in the total, sorted.
    pub sites: Vec<SiteId>,
    /// Numbers in the total.
    pub numbers: u64,
    /// The total, as the entry `totals/<digest>.zst`; or what was decided by it, as the entry
    /// `decisions/<digest>.zst`. Journals before format 3 don't say: they keep totals.
    #[serde(default)]
    pub kept: Kept,
    /// Hash over the line before and this one; [`crate::store::JournalEntry::link`].
    pub chain: Digest,
}

impl JournalLine {
    /// What it says of its total.
    pub fn receipt(&self) -> Receipt {
        Receipt {
            query: self.query,
            what: self.what.clone(),
            total: self.total,
            sites: self.sites.clone(),
            numbers: self.numbers,
        }
    }
}

/// A line of `answers.jsonl`: the receipt of a site's answer. The site's own ledger has the same
/// digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerLine {
    /// The site.
    pub site: SiteId,
    /// The query it answers.
    pub query: Digest,
    /// Digest of the answer's encoding.
    pub answer: Digest,
    /// Digest of the frozen cohort that it was computed on.
    pub lock: Digest,
}

pub(super) fn write<T: Serialize>(lines: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)
            .expect("lines have text keys, and writing to memory doesn't fail");
        bytes.push(b'\n');
    }
    bytes
}

pub(super) fn read<T: DeserializeOwned>(entry: &str, bytes: &[u8]) -> Result<Vec<T>, ArchiveError> {
    let body = match bytes.split_last() {
        None => return Ok(Vec::new()),
        Some((b'\n', body)) => body,
        Some(_) => return Err(ArchiveError::malformed(entry, "its last line is cut off")),
    };
    let parse = |(at, line): (usize, &[u8])| {
        serde_json::from_slice(line)
            .map_err(|error| ArchiveError::malformed(entry, format!("line {}: {error}", at + 1)))
    };
    body.split(|byte| *byte == b'\n').enumerate().map(parse).collect()
}
