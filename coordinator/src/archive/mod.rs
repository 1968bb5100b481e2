//! The export archive of a finished study: one zip that anyone can open and that
//! [`crate::replay`] verifies and recomputes without a coordinator.
//!
//! ```text
//! manifest.json         what it is about; size and SHA-256 of every other entry
//! study.toml            the study file
//! report.json, .html    the report, suppressed                 (when the study is done)
//! context.json          what the report says beside findings   (when the study is done)
//! model.safetensors     the model bundle                       (when the study is done)
//! journal.jsonl         a line per total, hash-chained
//! totals/<sha256>.zst   the totals that the journal names
//! decisions/....zst     what was decided by totals of which only the digest is kept
//! answers.jsonl         receipts of single sites' answers: digests only
//! ca.pem                the federation's root certificate      (when given)
//! ```
//!
//! The totals, and the sums in decisions, are what the coordinator worked with, before suppression: a total that is split by
//! site or subgroup holds small cells. An archive is for the study's own partners and its auditor;
//! what may be published is the report.

mod error;
mod export;
mod lines;
mod manifest;
pub(crate) mod names;
mod open;
mod pack;

pub use error::ArchiveError;
pub use export::{CaCertificate, ExportError, export};
pub use lines::{AnswerLine, JournalLine};
pub use manifest::{
    ALGORITHM, AttemptEntry, End, Entry, FORMAT, FeaturesEntry, Head, JOURNAL_FORMAT, JournalInfo,
    Manifest, OLDEST_JOURNAL_FORMAT, Part, Signature, SiteEntry, StudyEntry,
};
pub use open::Archive;
