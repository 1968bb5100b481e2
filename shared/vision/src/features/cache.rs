//! Features on disk, by image digest: they are found without the image itself.
//!
//! A folder per key, in it segment files that only grow. A writer holds its segment's file lock, so processes at once write to
//! different segments. Whoever has a cache open holds its folder's lock together with the others; who removes it, alone. The folder
//! above has a lock that is held while a cache is being opened, so that none is removed at that moment.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::key::{self, FeatureKey};
use super::segment::{self, Failed, MAX_FEATURES, Record, Segment};

/// The lock file of a cache's folder, and of the folder above. Its time of change is that of the cache's last use.
pub(super) const LOCK: &str = "lock";

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

/// Features of one key. Open, it takes about 60 bytes of memory per image.
#[derive(Debug)]
pub struct FeatureCache {
    folder: PathBuf,
    key: [u8; 32],
    state: Mutex<State>,
    /// Held as long as the cache is open.
    _in_use: File,
}

#[derive(Debug)]
struct State {
    index: Index,
    segments: Vec<Segment>,
    writer: Writer,
}

/// Which record an image's features are in.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: HashMap<[u8; 32], Place>,
    /// Second records of an image, from processes that computed it at once.
    others: Vec<([u8; 32], Place)>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    segment: u32,
    record: Record,
}

/// A writer takes a segment when it first has something to write.
#[derive(Debug)]
enum Writer {
    Idle,
    Appending { segment: usize },
}

impl FeatureCache {
    /// Opens the key's folder below `dir`, and makes it if need be.
    pub fn open(dir: &Path, key: &FeatureKey) -> Result<Self, CacheError> {
        let folder = dir.join(key::folder_name(key));
        let opened = || -> io::Result<File> {
            fs::create_dir_all(dir)?;
            // None of the caches is removed while this is held.
            let above = open_lock(dir)?;
            above.lock_shared()?;
            fs::create_dir_all(&folder)?;
            let in_use = open_lock(&folder)?;
            in_use.lock_shared()?;
            // A disk that keeps no times only loses the list's last column.
            let _ = in_use.set_modified(SystemTime::now());
            key::write(&folder, key)?;
            Ok(in_use)
        };
        let in_use = opened().map_err(|source| CacheError::Io { path: folder.clone(), source })?;
        let state = State { index: Index::default(), segments: Vec::new(), writer: Writer::Idle };
        let cache = Self { folder, key: key.digest(), state: Mutex::new(state), _in_use: in_use };
        cache.refresh()?;
        Ok(cache)
    }

    /// Looks for what other processes have written since it was opened.
    pub fn refresh(&self) -> Result<(), CacheError> {
        let mut state = self.state();
        let mut refresh = || -> io::Result<()> {
            for path in segment::paths(&self.folder)? {
                if state.segments.iter().all(|segment| segment.path() != path)
                    && let Some(segment) = Segment::open_to_write(&path, &self.key)?
                {
                    state.segments.push(segment);
                }
            }
            (0..state.segments.len()).try_for_each(|at| state.scan(at))
        };
        refresh().map_err(|source| self.error(source))
    }

    /// Images with features.
    pub fn len(&self) -> usize {
        self.state().index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the features of an image are here and whole.
    pub fn has(&self, image: &[u8; 32]) -> bool {
        self.get(image).is_some()
    }

    /// The features of an image, if they are here and whole.
    pub fn get(&self, image: &[u8; 32]) -> Option<Vec<f32>> {
        let mut state = self.state();
        loop {
            let Place { segment, record } = state.index.find(image)?;
            if let Some(features) = state.segments[segment as usize].read(record, image) {
                return Some(features);
            }
            // Damaged: as good as not there, and another may be put in its place.
            state.index.forget(image);
        }
    }

    /// Remembers an image's features; a second time for the same image changes nothing.
    pub fn put(&self, image: &[u8; 32], features: &[f32]) -> Result<(), CacheError> {
        if features.is_empty() || features.len() > MAX_FEATURES {
            return Err(CacheError::Features(features.len()));
        }
        let mut state = self.state();
        if state.index.find(image).is_some() {
            return Ok(());
        }
        let segment = self.writer(&mut state).map_err(|source| self.error(source))?;
        match state.segments[segment].append(image, features) {
            Ok(record) => {
                state.index.insert(*image, Place { segment: segment as u32, record });
                Ok(())
            }
            Err(Failed { source, usable }) => {
                if !usable {
                    state.writer = Writer::Idle;
                }
                Err(self.error(source))
            }
        }
    }

    fn error(&self, source: io::Error) -> CacheError {
        CacheError::Io { path: self.folder.clone(), source }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic can't leave a record half in the index: it is inserted last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment to append to: one that no process holds, or a new one.
    fn writer(&self, state: &mut State) -> io::Result<usize> {
        if let Writer::Appending { segment } = state.writer {
            return Ok(segment);
        }
        let mut at = 0;
        for number in 0.. {
            let path = self.folder.join(format!("{number:06}.segment"));
            at = match state.segments.iter().position(|segment| segment.path() == path) {
                Some(at) => at,
                None => {
                    let segment = match Segment::create(&path, &self.key)? {
                        None => Segment::open_to_write(&path, &self.key)?,
                        created => created,
                    };
                    let Some(segment) = segment else { continue };
                    state.segments.push(segment);
                    state.segments.len() - 1
                }
            };
            if state.segments[at].take()? {
                break;
            }
        }
        state.scan(at)?;
        state.segments[at].cut()?;
        state.writer = Writer::Appending { segment: at };
        Ok(at)
    }
}

impl State {
    fn scan(&mut self, at: usize) -> io::Result<()> {
        let index = &mut self.index;
        let segment = at as u32;
        self.segments[at].scan(|image, record| index.insert(image, Place { segment, record }))
    }
}

impl Index {
    fn insert(&mut self, image: [u8; 32], place: Place) {
        if let Some(other) = self.records.insert(image, place) {
            self.others.push((image, other));
        }
    }

    fn find(&self, image: &[u8; 32]) -> Option<Place> {
        self.records.get(image).copied()
    }

    /// Forgets an image's record; another one of the same image takes its place.
    fn forget(&mut self, image: &[u8; 32]) {
        self.records.remove(image);
        if let Some(at) = self.others.iter().rposition(|(other, _)| other == image) {
            let (image, place) = self.others.remove(at);
            self.records.insert(image, place);
        }
    }

    fn len(&self) -> usize {
        self.records.len()
    }
}

pub(super) fn open_lock(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(LOCK))
}

#[cfg(test)]
mod tests;
