//! The two directions. Every single request is tried again by the policy, and the tries start over
//! with each chunk that got through: a line that drops every minute still finishes.

use std::error::Error;
use std::io;

use wardround_core::digest::Digest;

use super::{Bytes, chunk_length};
use super::{ChunkSink, ChunkSource, ChunkStore, Payload, Progress, StoreError, chunk_count};
use crate::retry::{Policy, Transient, retrying};

/// What a transfer moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Chunks moved now; those there before don't count.
    pub chunks: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError<E: Error + 'static> {
    /// The other side or the link, after all tries.
    #[error("the other side failed: {0}")]
    Remote(#[source] E),
    /// What was to be sent can't be read.
    #[error("the payload can't be read: {0}")]
    Payload(#[source] io::Error),
    /// This side's store refused: too large, full, or the digest is wrong.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The other side asks for a chunk that doesn't exist.
    #[error("the other side asks for chunk {index} of {count}")]
    NoSuchChunk {
        /// What it asks for.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// Every chunk was sent and the other side still lacks some.
    #[error("the other side still lacks {missing} chunks after all were sent twice")]
    Incomplete {
        /// How many it lacks.
        missing: usize,
    },
}

/// Sends what the sink lacks of a payload.
///
/// # Errors
/// See [`TransferError`]. Calling it again goes on where it stopped.
pub async fn upload<S: ChunkSink>(
    sink: &S,
    payload: &Payload,
    policy: Policy,
) -> Result<Transferred, TransferError<S::Error>> {
    let (digest, size) = (payload.digest(), payload.size());
    let count = chunk_count(size).ok_or(StoreError::TooLarge { size, limit: LARGEST })?;
    let mut moved = Transferred::default();
    // A second pass only if the sink lost chunks meanwhile, say by a restart.
    for _ in 0..2 {
        let missing = ask(sink, digest, size, policy).await?;
        if missing.is_empty() {
            return Ok(moved);
        }
        for index in missing {
            if index >= count {
                return Err(TransferError::NoSuchChunk { index, count });
            }
            let chunk = payload.chunk(index).await.map_err(TransferError::Payload)?;
            let length = chunk.len() as u64;
            let progress = retrying(policy, || sink.put(digest, size, index, chunk.clone()))
                .await
                .map_err(TransferError::Remote)?;
            moved.chunks += 1;
            moved.bytes += length;
            if progress == Progress::Complete {
                return Ok(moved);
            }
        }
    }
    match ask(sink, digest, size, policy).await?.len() {
        0 => Ok(moved),
        missing => Err(TransferError::Incomplete { missing }),
    }
}

/// Fetches what the store lacks of a payload and checks its digest.
///
/// # Errors
/// See [`TransferError`]. Calling it again goes on where it stopped; after
/// [`StoreError::Corrupt`] it starts over.
pub async fn download<S: ChunkSource>(
    source: &S,
    digest: Digest,
    size: u64,
    store: &ChunkStore,
    policy: Policy,
) -> Result<Transferred, TransferError<S::Error>> {
    let mut moved = Transferred::default();
    for index in store.missing(digest, size).await? {
        let chunk = retrying(policy, || source.chunk(digest, index))
            .await
            .map_err(TransferError::Remote)?;
        let length = chunk.len() as u64;
        store.put(digest, size, index, chunk).await?;
        moved.chunks += 1;
        moved.bytes += length;
    }
    Ok(moved)
}

/// The largest payload that chunk indices reach.
const LARGEST: u64 = super::CHUNK_BYTES * u32::MAX as u64;

async fn ask<S: ChunkSink>(
    sink: &S,
    digest: Digest,
    size: u64,
    policy: Policy,
) -> Result<Vec<u32>, TransferError<S::Error>> {
    retrying(policy, || sink.missing(digest, size)).await.map_err(TransferError::Remote)
}

/// A store is a sink and a source itself: the far end of a service.
impl ChunkSink for ChunkStore {
    type Error = StoreError;

    async fn missing(&self, digest: Digest, size: u64) -> Result<Vec<u32>, StoreError> {
        ChunkStore::missing(self, digest, size).await
    }

    async fn put(
        &self,
        digest: Digest,
        size: u64,
        index: u32,
        data: Bytes,
    ) -> Result<Progress, StoreError> {
        ChunkStore::put(self, digest, size, index, data).await
    }
}

impl ChunkSource for ChunkStore {
    type Error = StoreError;

    async fn chunk(&self, digest: Digest, index: u32) -> Result<Bytes, StoreError> {
        let payload = self.payload(digest).await?;
        if chunk_length(payload.size(), index) == 0 {
            return Err(StoreError::NoSuchChunk { index, size: payload.size() });
        }
        Ok(payload.chunk(index).await?)
    }
}

impl Transient for StoreError {
    fn is_transient(&self) -> bool {
        false
    }
}
