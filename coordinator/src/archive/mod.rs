//! The export archive of a finished study: one zip that anyone can open and that
//! [`crate::replay`] verifies and recomputes without a coordinator.
//!
//! ```text
//! manifest.json         what it is about; size and SHA-256 of every other entry
//! study.toml            the study file
//! versions/<id>.toml    the files of the studies that it was cloned from
//! report.json, .html    the report, suppressed                 (when the study is done)
//! context.json          what the report says beside findings   (when the study is done)
//! model.safetensors     the model bundle                       (when the study is done)
//! journal.jsonl         a line per total, hash-chained
//! totals/<sha256>.zst   the totals that the journal names
//! decisions/....zst     what was decided by totals of which only the digest is kept
//! answers.jsonl         receipts of single sites' answers: digests only
//! certificates.pem      certificates of the sites and of who submitted it, of the study's time
//! ca.pem                the federation's root certificate      (when signed)
//! signer.pem            the certificate of the signing key     (when signed)
//! attestation.json      the manifest's digest and the time     (when signed)
//! attestation.sig       the signature over these bytes         (when signed)
//! ```
//!
//! The manifest lists all but itself and the last two. What is signed names the manifest's digest, so the signature is
//! over every byte (`signature.rs` says what that proves).
//!
//! Single sites' answers are in no archive: they stay sealed at the coordinator, and the archive has their digests. But
//! the totals, and the sums in decisions, are what the coordinator worked with, before suppression: a total that is split
//! by site has each site's part, and one that is split by subgroup has small cells. An archive is for the study's own
//! partners and its auditor; what may be published is the report.

mod error;
mod export;
mod lines;
mod manifest;
pub(crate) mod names;
mod open;
mod pack;
mod signature;

pub use error::ArchiveError;
pub use export::{ExportError, Exported, export};
pub use lines::{AnswerLine, JournalLine};
pub use manifest::{
    ALGORITHM, AttemptEntry, End, Entry, FORMAT, FeaturesEntry, Head, JOURNAL_FORMAT, JournalInfo,
    Manifest, OLDEST_FORMAT, OLDEST_JOURNAL_FORMAT, Part, Signature, SiteEntry, StudyEntry,
    VersionEntry,
};
pub use open::Archive;
pub use signature::{Attestation, SignedBy, VouchedFor};
