//! Something to send: bytes in memory, or a file that is read a chunk at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wardround_core::digest::Digest;

use super::{CHUNK_BYTES, chunk_length};

/// A payload with its digest; clones share it.
#[derive(Debug, Clone)]
pub struct Payload {
    digest: Digest,
    size: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Memory(Bytes),
    File(Arc<Mutex<File>>),
}

impl Payload {
    /// Bytes in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::known(Digest::of(&bytes), bytes)
    }

    /// Bytes in memory whose digest is known.
    pub fn known(digest: Digest, bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self { digest, size, content: Content::Memory(bytes) }
    }

    /// A file, read once for its digest. It must not change while it is sent.
    ///
    /// # Errors
    /// The file can't be read.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        blocking(move || {
            let mut file = File::open(path)?;
            let (digest, size) = digest_of(&mut file)?;
            Ok(Self { digest, size, content: Content::File(Arc::new(Mutex::new(file))) })
        })
        .await
    }

    /// A file whose digest was checked before.
    pub(super) fn checked(file: File, digest: Digest, size: u64) -> Self {
        Self { digest, size, content: Content::File(Arc::new(Mutex::new(file))) }
    }

    /// SHA-256 of the whole.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// One chunk.
    ///
    /// # Errors
    /// `InvalidInput` beyond the last chunk; or the file can't be read.
    pub async fn chunk(&self, index: u32) -> io::Result<Bytes> {
        let (start, length) = (u64::from(index) * CHUNK_BYTES, chunk_length(self.size, index));
        if length == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("there is no chunk {index} in {} bytes", self.size),
            ));
        }
        match &self.content {
            // Both ends lie within the bytes in memory, so they fit usize.
            Content::Memory(bytes) => Ok(bytes.slice(start as usize..(start + length) as usize)),
            Content::File(file) => {
                let file = file.clone();
                blocking(move || {
                    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    file.seek(SeekFrom::Start(start))?;
                    let mut chunk = vec![0; length as usize];
                    file.read_exact(&mut chunk)?;
                    Ok(Bytes::from(chunk))
                })
                .await
            }
        }
    }
}

/// Digest and length of a file from its beginning, a chunk in memory at a time.
pub(super) fn digest_of(file: &mut File) -> io::Result<(Digest, u64)> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((Digest::from_bytes(hash.finalize().into()), size));
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
}

/// Runs file work off the async threads.
pub(super) async fn blocking<T: Send + 'static, E: From<io::Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(io::Error::other(stopped).into()),
    }
}
