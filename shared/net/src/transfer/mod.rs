//! Payloads that survive a bad link: cut into chunks of [`CHUNK_BYTES`], named by their SHA-256, sent
//! chunk by chunk, and taken up again where a cut link stopped. (Content addressing as in Git; resuming by
//! asking what is missing, as rsync and BitTorrent do.)
//!
//! It knows no message: the caller gives a [`ChunkSink`] or [`ChunkSource`] that speaks its protocol. Memory
//! stays at one chunk a transfer, whatever the payload's size. The digest is checked over the whole
//! payload before anybody sees it.

mod payload;
mod run;
mod store;

pub use payload::Payload;
pub use run::{TransferError, Transferred, download, upload};
pub use store::{ChunkStore, Limits, StoreError};

use std::future::Future;

pub use bytes::Bytes;
use wardround_core::digest::Digest;

use crate::retry::Transient;

/// Bytes of every chunk but the last: small enough for a 4 Mbit/s line to pass one within a second,
/// large enough that a round trip each costs little.
pub const CHUNK_BYTES: u64 = 512 << 10;

/// Where a transfer stands after a chunk was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// This many chunks are missing.
    Missing(u32),
    /// All are here and the digest is right.
    Complete,
}

/// Somebody who gives chunks.
pub trait ChunkSource: Sync {
    /// What can go wrong on the way.
    type Error: std::error::Error + Transient + Send + Sync + 'static;

    /// One chunk of a payload; indices start at 0.
    fn chunk(
        &self,
        digest: Digest,
        index: u32,
    ) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// Somebody who takes chunks.
pub trait ChunkSink: Sync {
    /// What can go wrong on the way.
    type Error: std::error::Error + Transient + Send + Sync + 'static;

    /// Which chunks of a payload of `size` bytes it lacks, ascending; none when it is complete.
    fn missing(
        &self,
        digest: Digest,
        size: u64,
    ) -> impl Future<Output = Result<Vec<u32>, Self::Error>> + Send;

    /// Takes one chunk; a chunk that it has already changes nothing.
    fn put(
        &self,
        digest: Digest,
        size: u64,
        index: u32,
        data: Bytes,
    ) -> impl Future<Output = Result<Progress, Self::Error>> + Send;
}

/// How many chunks a payload of `size` bytes has; `None` above 2^32 - 1.
pub fn chunk_count(size: u64) -> Option<u32> {
    u32::try_from(size.div_ceil(CHUNK_BYTES)).ok()
}

/// How many bytes chunk `index` of a payload of `size` bytes has; 0 beyond its end.
pub fn chunk_length(size: u64, index: u32) -> u64 {
    size.saturating_sub(u64::from(index) * CHUNK_BYTES).min(CHUNK_BYTES)
}
