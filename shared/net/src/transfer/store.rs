//! Payloads on disk, complete and partial.
//!
//! In its folder, by digest: `<digest>` is a complete payload whose digest was checked; `<digest>.part`
//! with `<digest>.map` is one that is under way: the file at full length (sparse) and, in the map, its
//! size (8 bytes, little-endian) and one bit a chunk. A bit is set after its chunk was written; should a
//! power cut still lose a chunk whose bit survives, the digest finds it and the payload starts over.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wardround_core::digest::Digest;

use super::payload::{blocking, digest_of};
use super::{CHUNK_BYTES, Payload, Progress, chunk_count, chunk_length};
use crate::files::{Access, sync_folder, write_atomically};

/// How much a store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one payload.
    pub payload: u64,
    /// Bytes of all payloads together; partial ones count in full.
    pub total: u64,
}

/// Why a store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// One payload is above the limit.
    #[error("the payload has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The store is full.
    #[error("the payload needs {needed} bytes, the store has room for {free}")]
    Full {
        /// Its bytes.
        needed: u64,
        /// Bytes left below the store's limit.
        free: u64,
    },
    /// The same digest was announced with another size.
    #[error("payload {digest} was announced with {known} bytes before and with {claimed} now")]
    OtherSize {
        /// The payload.
        digest: Digest,
        /// The size first announced.
        known: u64,
        /// The size now.
        claimed: u64,
    },
    /// A chunk beyond the payload's end.
    #[error("there is no chunk {index} in {size} bytes")]
    NoSuchChunk {
        /// Its index.
        index: u32,
        /// The payload's bytes.
        size: u64,
    },
    /// A chunk of the wrong length.
    #[error("chunk {index} has {found} bytes, expected {expected}")]
    ChunkLength {
        /// Its index.
        index: u32,
        /// The length it should have.
        expected: u64,
        /// The length it has.
        found: u64,
    },
    /// All chunks came, and together they aren't what their name says. They are dropped.
    #[error(
        "the payload arrived damaged: its digest is {found}, expected {expected}; it was dropped and can be sent again"
    )]
    Corrupt {
        /// Its name.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// There is no complete payload of that digest.
    #[error("payload {0} is not here")]
    Absent(Digest),
    /// The disk failed.
    #[error("the store's disk failed: {0}")]
    Disk(#[from] io::Error),
}

/// A folder of payloads; clones share it. One store per folder and process.
#[derive(Debug, Clone)]
pub struct ChunkStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    limits: Limits,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Bytes reserved, complete and partial.
    used: u64,
    partial: HashMap<Digest, Arc<Mutex<Partial>>>,
}

#[derive(Debug)]
struct Partial {
    size: u64,
    data: File,
    map: File,
    here: Vec<bool>,
    /// Completed or dropped: whoever still holds it looks again.
    over: bool,
}

impl ChunkStore {
    /// Opens a folder, making it if needed; partial payloads of an earlier run go on.
    ///
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(folder: impl Into<PathBuf>, limits: Limits) -> Result<Self, StoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        let mut books = Books::default();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let (stem, kind) = name.split_once('.').unwrap_or((&name, ""));
            let Ok(digest) = stem.parse::<Digest>() else { continue };
            match kind {
                "" => books.used += entry.metadata()?.len(),
                "map" if part(&folder, digest).exists() => {}
                "part" => match Partial::load(&folder, digest) {
                    Ok(partial) => {
                        books.used += partial.size;
                        books.partial.insert(digest, Arc::new(Mutex::new(partial)));
                    }
                    Err(error) if torn(&error) => {
                        remove(&entry.path())?;
                        remove(&map(&folder, digest))?;
                    }
                    Err(error) => return Err(error.into()),
                },
                // A map without its part, or one that was being written: a crash left it.
                _ => remove(&entry.path())?,
            }
        }
        Ok(Self(Arc::new(Inner { folder, limits, books: Mutex::new(books) })))
    }

    /// Which chunks of a payload are missing, ascending; none when it is complete. The first question
    /// reserves its room.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Full`], [`StoreError::OtherSize`], or the disk's.
    pub async fn missing(&self, digest: Digest, size: u64) -> Result<Vec<u32>, StoreError> {
        let inner = self.0.clone();
        blocking(move || inner.missing(digest, size)).await
    }

    /// Stores one chunk; one that is here already changes nothing. The last one has the digest
    /// checked and the payload completed.
    ///
    /// # Errors
    /// As [`ChunkStore::missing`]; also a chunk of the wrong index or length, and
    /// [`StoreError::Corrupt`].
    pub async fn put(
        &self,
        digest: Digest,
        size: u64,
        index: u32,
        data: Bytes,
    ) -> Result<Progress, StoreError> {
        let inner = self.0.clone();
        blocking(move || inner.put(digest, size, index, &data)).await
    }

    /// Stores a whole payload that is in memory.
    ///
    /// # Errors
    /// As [`ChunkStore::put`].
    pub async fn put_all(&self, bytes: Bytes) -> Result<Digest, StoreError> {
        let payload = Payload::from_bytes(bytes);
        for index in self.missing(payload.digest(), payload.size()).await? {
            let chunk = payload.chunk(index).await?;
            self.put(payload.digest(), payload.size(), index, chunk).await?;
        }
        Ok(payload.digest())
    }

    /// A complete payload, for sending or reading by chunks.
    ///
    /// # Errors
    /// [`StoreError::Absent`], or the disk's.
    pub async fn payload(&self, digest: Digest) -> Result<Payload, StoreError> {
        let path = self.path(digest)?;
        blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok(Payload::checked(file, digest, size))
        })
        .await
    }

    /// The file of a complete payload.
    ///
    /// # Errors
    /// [`StoreError::Absent`].
    pub fn path(&self, digest: Digest) -> Result<PathBuf, StoreError> {
        let path = whole(&self.0.folder, digest);
        if path.is_file() { Ok(path) } else { Err(StoreError::Absent(digest)) }
    }

    /// Bytes reserved, complete and partial.
    pub fn used(&self) -> u64 {
        self.0.books().used
    }

    /// Payloads that are under way, in no order.
    pub fn partial(&self) -> Vec<Digest> {
        self.0.books().partial.keys().copied().collect()
    }

    /// Deletes a payload, complete or partial; nothing happens when there is none.
    ///
    /// # Errors
    /// The disk's.
    pub async fn remove(&self, digest: Digest) -> Result<(), StoreError> {
        let inner = self.0.clone();
        blocking(move || inner.remove(digest)).await
    }
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds or begins a payload; `None` when it is complete.
    fn begin(&self, digest: Digest, size: u64) -> Result<Option<Arc<Mutex<Partial>>>, StoreError> {
        let other_size = |known| StoreError::OtherSize { digest, known, claimed: size };
        let mut books = self.books();
        if let Some(partial) = books.partial.get(&digest) {
            return Ok(Some(partial.clone()));
        }
        match fs::metadata(whole(&self.folder, digest)) {
            Ok(found) if found.len() == size => return Ok(None),
            Ok(found) => return Err(other_size(found.len())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Err(_) => {}
        }
        if size > self.limits.payload || chunk_count(size).is_none() {
            return Err(StoreError::TooLarge { size, limit: self.limits.payload });
        }
        let free = self.limits.total.saturating_sub(books.used);
        if size > free {
            return Err(StoreError::Full { needed: size, free });
        }
        let partial = Arc::new(Mutex::new(Partial::create(&self.folder, digest, size)?));
        books.used += size;
        books.partial.insert(digest, partial.clone());
        Ok(Some(partial))
    }

    /// Runs some work on a payload that is under way; `None` when it is complete.
    fn with_partial<T>(
        &self,
        digest: Digest,
        size: u64,
        work: impl FnOnce(&mut Partial) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        loop {
            let Some(partial) = self.begin(digest, size)? else { return Ok(None) };
            let mut partial = partial.lock().unwrap_or_else(PoisonError::into_inner);
            if partial.over {
                continue;
            }
            if partial.size != size {
                return Err(StoreError::OtherSize { digest, known: partial.size, claimed: size });
            }
            return work(&mut partial).map(Some);
        }
    }

    fn missing(&self, digest: Digest, size: u64) -> Result<Vec<u32>, StoreError> {
        let missing = self.with_partial(digest, size, |partial| {
            let missing: Vec<u32> = (0u32..)
                .zip(&partial.here)
                .filter_map(|(index, here)| (!here).then_some(index))
                .collect();
            if missing.is_empty() {
                // An empty payload, or a crash between the last chunk and the check.
                self.complete(digest, partial)?;
            }
            Ok(missing)
        })?;
        Ok(missing.unwrap_or_default())
    }

    fn put(
        &self,
        digest: Digest,
        size: u64,
        index: u32,
        data: &[u8],
    ) -> Result<Progress, StoreError> {
        let expected = chunk_length(size, index);
        let found = data.len() as u64;
        if expected == 0 {
            return Err(StoreError::NoSuchChunk { index, size });
        }
        if found != expected {
            return Err(StoreError::ChunkLength { index, expected, found });
        }
        let progress = self.with_partial(digest, size, |partial| {
            partial.write(index, data)?;
            let missing = partial.here.iter().filter(|here| !**here).count();
            if missing == 0 {
                self.complete(digest, partial)?;
                return Ok(Progress::Complete);
            }
            // No more than `chunk_count`, which is a u32.
            Ok(Progress::Missing(missing as u32))
        })?;
        Ok(progress.unwrap_or(Progress::Complete))
    }

    fn complete(&self, digest: Digest, partial: &mut Partial) -> Result<(), StoreError> {
        let (found, _) = digest_of(&mut partial.data)?;
        let (from, to) = (part(&self.folder, digest), whole(&self.folder, digest));
        let good = found == digest;
        if good {
            partial.data.sync_all()?;
            fs::rename(&from, &to)?;
            sync_folder(&to)?;
        } else {
            remove(&from)?;
        }
        remove(&map(&self.folder, digest))?;
        partial.over = true;
        let mut books = self.books();
        books.partial.remove(&digest);
        if good {
            return Ok(());
        }
        books.used = books.used.saturating_sub(partial.size);
        Err(StoreError::Corrupt { expected: digest, found })
    }

    fn remove(&self, digest: Digest) -> Result<(), StoreError> {
        let partial = self.books().partial.get(&digest).cloned();
        if let Some(partial) = partial {
            let mut partial = partial.lock().unwrap_or_else(PoisonError::into_inner);
            if !partial.over {
                remove(&part(&self.folder, digest))?;
                remove(&map(&self.folder, digest))?;
                partial.over = true;
                let mut books = self.books();
                books.partial.remove(&digest);
                books.used = books.used.saturating_sub(partial.size);
                return Ok(());
            }
        }
        let mut books = self.books();
        let path = whole(&self.folder, digest);
        if let Ok(found) = fs::metadata(&path) {
            remove(&path)?;
            books.used = books.used.saturating_sub(found.len());
        }
        Ok(())
    }
}

impl Partial {
    fn create(folder: &Path, digest: Digest, size: u64) -> Result<Self, StoreError> {
        let data = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(part(folder, digest))?;
        data.set_len(size)?;
        let count = chunk_count(size).ok_or(StoreError::TooLarge { size, limit: u64::MAX })?;
        let mut content = size.to_le_bytes().to_vec();
        content.resize(8 + (count as usize).div_ceil(8), 0);
        let map_path = map(folder, digest);
        write_atomically(&map_path, &content, Access::Anyone)?;
        let map = OpenOptions::new().write(true).open(map_path)?;
        Ok(Self { size, data, map, here: vec![false; count as usize], over: false })
    }

    fn load(folder: &Path, digest: Digest) -> io::Result<Self> {
        let torn = || io::Error::new(io::ErrorKind::InvalidData, "the map doesn't fit its part");
        let map_path = map(folder, digest);
        let content = fs::read(&map_path)?;
        let (size, bits) = content.split_first_chunk::<8>().ok_or_else(torn)?;
        let size = u64::from_le_bytes(*size);
        let count = chunk_count(size).ok_or_else(torn)? as usize;
        let data = OpenOptions::new().read(true).write(true).open(part(folder, digest))?;
        if bits.len() != count.div_ceil(8) || data.metadata()?.len() != size {
            return Err(torn());
        }
        let here = (0..count).map(|n| bits[n / 8] >> (n % 8) & 1 == 1).collect();
        let map = OpenOptions::new().write(true).open(map_path)?;
        Ok(Self { size, data, map, here, over: false })
    }

    fn write(&mut self, index: u32, data: &[u8]) -> io::Result<()> {
        let n = index as usize;
        if self.here[n] {
            return Ok(());
        }
        self.data.seek(SeekFrom::Start(u64::from(index) * CHUNK_BYTES))?;
        self.data.write_all(data)?;
        self.here[n] = true;
        let first = n / 8 * 8;
        let byte = (first..(first + 8).min(self.here.len()))
            .fold(0u8, |byte, bit| byte | u8::from(self.here[bit]) << (bit - first));
        let written = self
            .map
            .seek(SeekFrom::Start(8 + n as u64 / 8))
            .and_then(|_| self.map.write_all(&[byte]));
        if written.is_err() {
            self.here[n] = false;
        }
        written
    }
}

/// What the other side is told.
impl From<StoreError> for tonic::Status {
    fn from(error: StoreError) -> Self {
        use tonic::Code;
        let code = match error {
            StoreError::TooLarge { .. }
            | StoreError::OtherSize { .. }
            | StoreError::NoSuchChunk { .. }
            | StoreError::ChunkLength { .. } => Code::InvalidArgument,
            StoreError::Full { .. } => Code::ResourceExhausted,
            StoreError::Corrupt { .. } => Code::DataLoss,
            StoreError::Absent(_) => Code::NotFound,
            StoreError::Disk(_) => Code::Internal,
        };
        tonic::Status::new(code, error.to_string())
    }
}

/// Whether a partial payload was cut before its map was whole, so that nothing of it is known.
fn torn(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData)
}

fn whole(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(digest.to_string())
}

fn part(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{digest}.part"))
}

fn map(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{digest}.map"))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
