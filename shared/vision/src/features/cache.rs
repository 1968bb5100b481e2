//! Features on disk, by image digest.
//!
//! A folder per key (architecture, weights, preprocessing), in it segment files that only grow. A record carries its own checksum; a
//! kill in the middle of one leaves a torn tail, which readers ignore and the segment's next writer cuts off. A writer holds
//! its segment's file lock, so processes at once write to different segments.
//!
//! Record, little endian: features as u32, image digest, features as f32, first 8 bytes of the SHA-256 of all that.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"WRFEAT1\n";
const HEADER_BYTES: u64 = 8 + 32;
const CHECK_BYTES: usize = 8;

/// No backbone has more features.
const MAX_FEATURES: usize = 1 << 20;

/// All that decides an image's features, besides the image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeatureKey {
    /// The backbone's name.
    pub architecture: String,
    /// SHA-256 of the weights file.
    pub weights: [u8; 32],
    /// [`crate::Preprocess::digest`].
    pub preprocess: [u8; 32],
}

impl FeatureKey {
    /// SHA-256 of the key.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"wardround features 1\0");
        hasher.update((self.architecture.len() as u64).to_le_bytes());
        hasher.update(&self.architecture);
        hasher.update(self.weights);
        hasher.update(self.preprocess);
        hasher.finalize().into()
    }
}

/// The cache couldn't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The disk.
    #[error("feature cache {}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Features that no backbone makes.
    #[error("feature cache: {0} features, expected 1 to {MAX_FEATURES}")]
    Features(usize),
}

/// Features of one key.
#[derive(Debug)]
pub struct FeatureCache {
    folder: PathBuf,
    key: [u8; 32],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    records: HashMap<[u8; 32], Place>,
    segments: Vec<File>,
    writer: Writer,
}

/// Where a record begins, and its number of features.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: usize,
    offset: u64,
    features: usize,
}

/// A writer takes a segment when it first has something to write.
#[derive(Debug)]
enum Writer {
    Idle,
    Appending { segment: usize, end: u64 },
}

impl FeatureCache {
    /// Opens the key's folder below `dir`, and makes it if need be.
    pub fn open(dir: &Path, key: &FeatureKey) -> Result<Self, CacheError> {
        let key = key.digest();
        let folder = dir.join(hex::encode(&key[..16]));
        let error = |source| CacheError::Io { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(error)?;
        let mut state =
            State { records: HashMap::new(), segments: Vec::new(), writer: Writer::Idle };
        for path in segment_paths(&folder).map_err(error)? {
            let error = |source| CacheError::Io { path: path.clone(), source };
            let file = OpenOptions::new().read(true).write(true).open(&path).map_err(error)?;
            state.read_segment(file, &key).map_err(error)?;
        }
        Ok(Self { folder, key, state: Mutex::new(state) })
    }

    /// Images with features.
    pub fn len(&self) -> usize {
        self.state().records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The features of an image, if they are here and whole.
    pub fn get(&self, image: &[u8; 32]) -> Option<Vec<f32>> {
        let mut state = self.state();
        let place = *state.records.get(image)?;
        let mut record = vec![0; record_bytes(place.features)];
        let file = &mut state.segments[place.segment];
        file.seek(SeekFrom::Start(place.offset)).ok()?;
        file.read_exact(&mut record).ok()?;
        let (digest, features) = parse(&record)?;
        (digest == *image).then_some(features)
    }

    /// Remembers an image's features; a second time for the same image changes nothing.
    pub fn put(&self, image: &[u8; 32], features: &[f32]) -> Result<(), CacheError> {
        if features.is_empty() || features.len() > MAX_FEATURES {
            return Err(CacheError::Features(features.len()));
        }
        let mut state = self.state();
        if state.records.contains_key(image) {
            return Ok(());
        }
        let error = |source| CacheError::Io { path: self.folder.clone(), source };
        let (segment, end) = self.writer(&mut state).map_err(error)?;
        let record = record(image, features);
        let file = &mut state.segments[segment];
        let written = file.seek(SeekFrom::Start(end)).and_then(|_| file.write_all(&record));
        if let Err(source) = written {
            // Nothing may follow half a record. If it can't be cut off here, the segment is left alone.
            if file.set_len(end).is_err() {
                state.writer = Writer::Idle;
            }
            return Err(error(source));
        }
        state.writer = Writer::Appending { segment, end: end + record.len() as u64 };
        state.records.insert(*image, Place { segment, offset: end, features: features.len() });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic can't leave a record half in the index: it is inserted last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment to append to: one that no process holds, or a new one.
    fn writer(&self, state: &mut State) -> io::Result<(usize, u64)> {
        if let Writer::Appending { segment, end } = state.writer {
            return Ok((segment, end));
        }
        for path in segment_paths(&self.folder)? {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            if !lock(&file)? {
                continue;
            }
            let (segment, whole) = match state.read_segment(file, &self.key)? {
                Segment::Of { segment, whole } => (segment, whole),
                Segment::Foreign => continue,
            };
            // Under the lock nobody else is in the middle of a record: what isn't whole never will be.
            state.segments[segment].set_len(whole)?;
            state.writer = Writer::Appending { segment, end: whole };
            return Ok((segment, whole));
        }
        for number in 0.. {
            let path = self.folder.join(format!("{number:06}.segment"));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    if !lock(&file)? {
                        continue;
                    }
                    file.write_all(&[MAGIC.as_slice(), &self.key].concat())?;
                    state.segments.push(file);
                    let segment = state.segments.len() - 1;
                    state.writer = Writer::Appending { segment, end: HEADER_BYTES };
                    return Ok((segment, HEADER_BYTES));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("the numbers don't end")
    }
}

/// A segment after reading.
enum Segment {
    /// Of another key or format, or without a whole header.
    Foreign,
    /// Ours, whole up to this offset.
    Of { segment: usize, whole: u64 },
}

impl State {
    /// Indexes all whole records from the start of a segment.
    fn read_segment(&mut self, mut file: File, key: &[u8; 32]) -> io::Result<Segment> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        let header = [MAGIC.as_slice(), key].concat();
        let Some(mut rest) = bytes.strip_prefix(header.as_slice()) else {
            return Ok(Segment::Foreign);
        };
        let segment = self.segments.len();
        self.segments.push(file);
        let mut offset = HEADER_BYTES;
        while let Some((record, behind)) = split_record(rest) {
            let Some((image, features)) = parse(record) else { break };
            self.records.insert(image, Place { segment, offset, features: features.len() });
            offset += record.len() as u64;
            rest = behind;
        }
        Ok(Segment::Of { segment, whole: offset })
    }
}

/// Whether the lock is ours now.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn segment_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "segment") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn record_bytes(features: usize) -> usize {
    4 + 32 + 4 * features + CHECK_BYTES
}

fn record(image: &[u8; 32], features: &[f32]) -> Vec<u8> {
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

/// The first record by its length field, and what is behind it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let features = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    if features == 0 || features > MAX_FEATURES {
        return None;
    }
    bytes.split_at_checked(record_bytes(features))
}

/// Image digest and features of a whole record.
fn parse(record: &[u8]) -> Option<([u8; 32], Vec<f32>)> {
    let (body, sum) = record.split_last_chunk::<CHECK_BYTES>()?;
    if check(body) != *sum {
        return None;
    }
    let (image, values) = body[4..].split_first_chunk::<32>()?;
    let features =
        values.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Some((*image, features))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(architecture: &str) -> FeatureKey {
        FeatureKey { architecture: architecture.to_owned(), weights: [1; 32], preprocess: [2; 32] }
    }

    fn only_segment(dir: &Path) -> PathBuf {
        let folder = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
        let paths = segment_paths(&folder).unwrap();
        assert_eq!(paths.len(), 1);
        paths.into_iter().next().unwrap()
    }

    #[test]
    fn features_come_back_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert!(cache.is_empty());
        cache.put(&[7; 32], &[1.0, -2.5, f32::MIN_POSITIVE]).unwrap();
        cache.put(&[8; 32], &[4.0]).unwrap();
        assert_eq!(cache.get(&[7; 32]).unwrap(), [1.0, -2.5, f32::MIN_POSITIVE]);
        drop(cache);
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.get(&[8; 32]).unwrap(), [4.0]);
        assert_eq!(cache.get(&[9; 32]), None);
        cache.put(&[9; 32], &[5.0]).unwrap();
        only_segment(dir.path());
    }

    #[test]
    fn another_key_sees_nothing() {
        let dir = tempfile::tempdir().unwrap();
        FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[7; 32], &[1.0]).unwrap();
        let others = [
            key("b"),
            FeatureKey { weights: [3; 32], ..key("a") },
            FeatureKey { preprocess: [3; 32], ..key("a") },
        ];
        for other in others {
            assert_eq!(FeatureCache::open(dir.path(), &other).unwrap().get(&[7; 32]), None);
        }
    }

    #[test]
    fn a_tail_torn_anywhere_is_ignored_and_cut_off() {
        let whole = record(&[8; 32], &[2.0, 3.0]);
        for cut in 0..whole.len() {
            let dir = tempfile::tempdir().unwrap();
            FeatureCache::open(dir.path(), &key("a")).unwrap().put(&[7; 32], &[1.0, 1.5]).unwrap();
            let path = only_segment(dir.path());
            OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..cut]).unwrap();
            let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
            assert_eq!(cache.get(&[7; 32]).unwrap(), [1.0, 1.5]);
            assert_eq!(cache.get(&[8; 32]), None);
            cache.put(&[9; 32], &[4.0, 5.0]).unwrap();
            drop(cache);
            let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
            assert_eq!(cache.len(), 2);
            assert_eq!(cache.get(&[9; 32]).unwrap(), [4.0, 5.0]);
        }
    }

    #[test]
    fn damage_is_never_served() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        cache.put(&[7; 32], &[1.0; 8]).unwrap();
        let path = only_segment(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes[HEADER_BYTES as usize + 4 + 32 + 5] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(cache.get(&[7; 32]), None);
        assert!(FeatureCache::open(dir.path(), &key("a")).unwrap().is_empty());
    }

    #[test]
    fn writers_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        // Each opens for itself, as processes do; file locks are per open file.
        std::thread::scope(|scope| {
            for writer in 0..4u8 {
                let dir = dir.path();
                scope.spawn(move || {
                    let cache = FeatureCache::open(dir, &key("a")).unwrap();
                    for i in 0..50u8 {
                        let mut image = [writer; 32];
                        image[0] = i;
                        cache.put(&image, &[f32::from(writer), f32::from(i)]).unwrap();
                    }
                });
            }
        });
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        assert_eq!(cache.len(), 200);
        let mut image = [3; 32];
        image[0] = 49;
        assert_eq!(cache.get(&image).unwrap(), [3.0, 49.0]);
    }
}
