//! Why a file is no archive, or not the one that was written.

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_net::pki::SignatureError;

use super::manifest::{FORMAT, OLDEST_FORMAT};

/// Why an archive can't be trusted. Every variant names the entry that it is about.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a zip file, or a damaged one.
    #[error("the file is no zip archive, or a damaged one: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// More than any export has.
    #[error("{what}: an archive has at most {limit} {unit}, this one has {got}")]
    TooLarge {
        /// The entry or the thing counted.
        what: String,
        /// What is counted.
        unit: &'static str,
        /// The most that is read.
        limit: u64,
        /// What came.
        got: u64,
    },
    /// A file that no export holds.
    #[error("unexpected entry '{0}': an archive holds only the files that an export writes")]
    Unexpected(String),
    /// A file that should be there.
    #[error("entry '{0}' is missing")]
    Missing(String),
    /// A compressed, encrypted or linked entry.
    #[error("entry '{0}' isn't stored as it is; an export compresses nothing in the zip itself")]
    NotStored(String),
    /// Bytes that belong to no entry.
    #[error("there are bytes beside the archive's entries, near byte {0}")]
    Stray(u64),
    /// Written by another version.
    #[error(
        "manifest.json: expected an archive of format {OLDEST_FORMAT} to {FORMAT}, got format {0}"
    )]
    Format(u64),
    /// An entry can't be read.
    #[error("{entry}: {what}")]
    Malformed {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        what: String,
    },
    /// An entry isn't the one that was exported.
    #[error(
        "entry '{entry}' was changed: the manifest says SHA-256 {expected}, its bytes have {got}"
    )]
    Altered {
        /// The entry.
        entry: String,
        /// Digest in the manifest.
        expected: Digest,
        /// Digest of the bytes.
        got: Digest,
    },
    /// A journal line has another number: lines were removed, added or reordered.
    #[error(
        "journal.jsonl: expected line {expected}, got line {got}; lines were removed or reordered"
    )]
    Sequence {
        /// The number that comes next.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// The chain breaks at a line.
    #[error(
        "journal.jsonl: the chain breaks at line {line}; this line or one before it was changed, \
         removed or reordered"
    )]
    Chain {
        /// The first line that doesn't fit.
        line: u64,
    },
    /// The journal ends elsewhere than the manifest or the report says.
    #[error(
        "journal.jsonl ends at {got}, {says} says {expected}; lines at its end were changed or removed"
    )]
    Head {
        /// The entry that says so.
        says: &'static str,
        /// The chain value it gives.
        expected: Digest,
        /// The journal's last chain value.
        got: Digest,
    },
    /// A total, or a decision in its place, isn't the one that the journal names.
    #[error("{entry} (line {line} of the journal): {what}")]
    Total {
        /// The entry.
        entry: String,
        /// The journal's line.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A total claims a site without a receipt of that site's answer.
    #[error(
        "answers.jsonl: line {line} of the journal has numbers of {site}, but no answer of it is listed"
    )]
    NoAnswer {
        /// The journal's line.
        line: u64,
        /// The site.
        site: SiteId,
    },
    /// The signature doesn't count.
    #[error("the archive's signature: {0}")]
    Signature(#[from] SignatureError),
    /// No signature, where one by a known root is asked for.
    #[error(
        "nobody signed this archive, so nothing says that it comes from the root asked for; an earlier version of \
         wardround may have written it, or somebody took the signature away"
    )]
    Unsigned,
    /// Signed by another consortium, or by somebody who made a root of the same name.
    #[error(
        "the archive is signed under another root than the one asked for: expected {expected}, got {got} ('{ca_name}')"
    )]
    OtherRoot {
        /// The fingerprint asked for.
        expected: String,
        /// The fingerprint of the archive's root.
        got: String,
        /// What that root calls itself.
        ca_name: String,
    },
    /// Entries that each are well formed contradict each other.
    #[error("{entry} contradicts {other}: {what}")]
    Contradiction {
        /// The entry.
        entry: String,
        /// What it contradicts.
        other: String,
        /// In what.
        what: String,
    },
}

impl ArchiveError {
    pub(crate) fn malformed(entry: &str, what: impl std::fmt::Display) -> Self {
        Self::Malformed { entry: entry.to_owned(), what: what.to_string() }
    }

    pub(crate) fn contradiction(entry: &str, other: &str, what: String) -> Self {
        Self::Contradiction { entry: entry.to_owned(), other: other.to_owned(), what }
    }
}
