//! A file of features that only grows: a header, then records.
//!
//! Record, little endian: features as u32, image id (32 bytes), features as f32, first 8 bytes of the SHA-256 of all that. A kill in the
//! middle of one leaves a torn tail, which readers ignore and the next writer cuts off.
//!
//! Reading the index touches the first 36 bytes of each record and nothing else; a record's checksum is compared when it is asked for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"WRFEAT1\n";
pub(super) const HEADER_BYTES: u64 = 8 + 32;
const HEAD_BYTES: usize = 4 + 32;
const CHECK_BYTES: usize = 8;

/// No backbone has more features.
pub(super) const MAX_FEATURES: usize = 1 << 20;

/// An open segment of a key.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    /// Records are known up to here.
    whole: u64,
}

/// Where a record is, and its number of features.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) features: u32,
}

impl Segment {
    /// Opens a segment for reading; none when it is of another key or format, or its header isn't whole.
    pub(super) fn open(path: &Path, key: &[u8; 32]) -> io::Result<Option<Self>> {
        Self::opened(path, key, OpenOptions::new().read(true))
    }

    /// The same for reading and writing.
    pub(super) fn open_to_write(path: &Path, key: &[u8; 32]) -> io::Result<Option<Self>> {
        Self::opened(path, key, OpenOptions::new().read(true).write(true))
    }

    fn opened(path: &Path, key: &[u8; 32], how: &OpenOptions) -> io::Result<Option<Self>> {
        let mut file = how.open(path)?;
        let mut header = [0; HEADER_BYTES as usize];
        match file.read_exact(&mut header) {
            Ok(()) if header == header_of(key) => {
                Ok(Some(Self { path: path.to_owned(), file, whole: HEADER_BYTES }))
            }
            Ok(()) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new segment, held by this process; none when one of this name is there.
    pub(super) fn create(path: &Path, key: &[u8; 32]) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let mut file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        };
        if !lock(&file)? {
            return Ok(None);
        }
        file.write_all(&header_of(key))?;
        Ok(Some(Self { path: path.to_owned(), file, whole: HEADER_BYTES }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process may append now: nobody else does.
    pub(super) fn take(&self) -> io::Result<bool> {
        lock(&self.file)
    }

    /// Hears of every record that wasn't known yet.
    pub(super) fn scan(&mut self, mut hear: impl FnMut([u8; 32], Record)) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        let mut head = [0; HEAD_BYTES];
        while self.whole + HEAD_BYTES as u64 <= len {
            self.file.seek(SeekFrom::Start(self.whole))?;
            self.file.read_exact(&mut head)?;
            let (count, image) = head.split_at(4);
            let features = u32::from_le_bytes([count[0], count[1], count[2], count[3]]);
            let end = self.whole + record_bytes(features as usize) as u64;
            if features == 0 || features as usize > MAX_FEATURES || end > len {
                break;
            }
            let mut id = [0; 32];
            id.copy_from_slice(image);
            hear(id, Record { offset: self.whole, features });
            self.whole = end;
        }
        Ok(())
    }

    /// Cuts off what isn't a whole record. Only for who holds the segment: then nobody is in the middle of one.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.whole)
    }

    /// Appends a record. After an error nothing of it is left, or the segment may not be appended to any more.
    pub(super) fn append(&mut self, image: &[u8; 32], features: &[f32]) -> Result<Record, Failed> {
        let offset = self.whole;
        let record = record(image, features);
        let written =
            self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.write_all(&record));
        if let Err(source) = written {
            // Nothing may follow half a record.
            return Err(Failed { source, usable: self.file.set_len(offset).is_ok() });
        }
        self.whole += record.len() as u64;
        Ok(Record { offset, features: features.len() as u32 })
    }

    /// A record's features, if they are whole and the image's.
    pub(super) fn read(&mut self, record: Record, image: &[u8; 32]) -> Option<Vec<f32>> {
        let mut bytes = vec![0; record_bytes(record.features as usize)];
        self.file.seek(SeekFrom::Start(record.offset)).ok()?;
        self.file.read_exact(&mut bytes).ok()?;
        let (body, sum) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        if check(body) != *sum || body[4..HEAD_BYTES] != *image {
            return None;
        }
        let values = body[HEAD_BYTES..].chunks_exact(4);
        Some(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

/// A record that couldn't be written.
pub(super) struct Failed {
    pub(super) source: io::Error,
    /// Whether the segment may still be appended to.
    pub(super) usable: bool,
}

/// The segments of a folder, in order.
pub(super) fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "segment") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether the lock is ours now.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn header_of(key: &[u8; 32]) -> [u8; HEADER_BYTES as usize] {
    std::array::from_fn(|at| if at < 8 { MAGIC[at] } else { key[at - 8] })
}

fn record_bytes(features: usize) -> usize {
    HEAD_BYTES + 4 * features + CHECK_BYTES
}

pub(super) fn record(image: &[u8; 32], features: &[f32]) -> Vec<u8> {
    let mut record = Vec::with_capacity(record_bytes(features.len()));
    record.extend((features.len() as u32).to_le_bytes());
    record.extend(image);
    record.extend(features.iter().flat_map(|value| value.to_le_bytes()));
    let check = check(&record);
    record.extend(check);
    record
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    std::array::from_fn(|i| digest[i])
}
