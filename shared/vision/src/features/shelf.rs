//! All caches below a folder: what they hold, and their removal.

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cache::{CacheError, LOCK, open_lock};
use super::key::{self, FeatureKey};
use super::segment::{self, Segment};

/// A cache's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    /// The folder.
    pub folder: PathBuf,
    /// What it holds.
    pub content: Content,
    /// Bytes of its segments.
    pub bytes: u64,
    /// When it was last opened.
    pub last_used: SystemTime,
}

/// What a cache's folder holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Features of a key.
    Known {
        /// The key.
        key: Box<FeatureKey>,
        /// Version and machine of whoever began it.
        engine: String,
        /// Records: images, or copies of images.
        records: usize,
    },
    /// Of an earlier version of this software, or damaged: nobody finds anything in it any more.
    Outdated,
}

/// What became of a cache that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// A process has it open; it stays.
    InUse,
}

/// The caches below `dir`, by folder name; none when there is no such folder.
pub fn shelves(dir: &Path) -> Result<Vec<Shelf>, CacheError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(CacheError::Io { path: dir.to_owned(), source }),
    };
    let mut found = Vec::new();
    for entry in entries {
        let error = |source| CacheError::Io { path: dir.to_owned(), source };
        let folder = entry.map_err(error)?.path();
        if !folder.is_dir() {
            continue;
        }
        match shelf(&folder) {
            Ok(shelf) => found.push(shelf),
            // Removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(CacheError::Io { path: folder, source }),
        }
    }
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(found)
}

fn shelf(folder: &Path) -> io::Result<Shelf> {
    let paths = segment::paths(folder)?;
    let known = key::read(folder);
    let (mut bytes, mut last_used) = (0, SystemTime::UNIX_EPOCH);
    let mut ids = std::collections::HashSet::new();
    for path in &paths {
        let meta = fs::metadata(path)?;
        bytes += meta.len();
        last_used = last_used.max(meta.modified()?);
        let of_key = known.as_ref().map(|(key, _)| key.digest());
        if let Some(key) = of_key
            && let Some(mut segment) = Segment::open(path, &key)?
        {
            segment.scan(|id, _| {
                ids.insert(id);
            })?;
        }
    }
    if let Ok(lock) = fs::metadata(folder.join(LOCK)) {
        last_used = last_used.max(lock.modified()?);
    }
    let content = match known {
        Some((key, engine)) => Content::Known { key: Box::new(key), engine, records: ids.len() },
        None => Content::Outdated,
    };
    Ok(Shelf { folder: folder.to_owned(), content, bytes, last_used })
}

impl Shelf {
    /// Removes the cache with all its features, unless a process has it open.
    pub fn remove(&self) -> Result<Removal, CacheError> {
        self.try_remove().map_err(|source| CacheError::Io { path: self.folder.clone(), source })
    }

    fn try_remove(&self) -> io::Result<Removal> {
        let above = open_lock(self.folder.parent().unwrap_or(Path::new(".")))?;
        // Nobody opens a cache while this is held.
        above.lock()?;
        let in_use = match open_lock(&self.folder) {
            Ok(file) => file,
            // Somebody else has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Removed),
            Err(error) => return Err(error),
        };
        match in_use.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Removal::InUse),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Some systems don't remove a file that is open.
        drop(in_use);
        fs::remove_dir_all(&self.folder)?;
        Ok(Removal::Removed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FeatureCache, Views};
    use super::*;
    use crate::image::{Interpolation, Preprocess};
    use crate::precision::Precision;

    fn key(architecture: &str) -> FeatureKey {
        let preprocess =
            Preprocess::new(20, 16, Interpolation::Bilinear, [0.0; 3], [1.0; 3]).unwrap();
        let (architecture, weights) = (architecture.to_owned(), [1; 32]);
        let (precision, views) = (Precision::F32, Views::Plain);
        FeatureKey { architecture, weights, preprocess, precision, views }
    }

    #[test]
    fn a_shelf_says_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(shelves(&dir.path().join("none")).unwrap(), []);
        let before = SystemTime::now() - std::time::Duration::from_secs(5);
        for (name, images) in [("a", 3u8), ("b", 0)] {
            let cache = FeatureCache::open(dir.path(), &key(name)).unwrap();
            (0..images).for_each(|at| cache.put(&[at; 32], &[1.0, 2.0]).unwrap());
        }
        let old = dir.path().join("0123");
        fs::create_dir(&old).unwrap();
        fs::write(old.join("000000.segment"), b"WRFEAT1\nsomething").unwrap();
        let found = shelves(dir.path()).unwrap();
        assert_eq!(found.len(), 3);
        for shelf in found {
            assert!(shelf.last_used > before);
            match shelf.content {
                Content::Known { key, engine, records } => {
                    let images = if key.architecture == "a" { 3 } else { 0 };
                    assert_eq!((records, engine.contains("wardround")), (images, true));
                    assert_eq!(shelf.bytes, if images > 0 { 40 + 3 * (36 + 8 + 8) } else { 0 });
                }
                Content::Outdated => assert_eq!((shelf.folder, shelf.bytes), (old.clone(), 17)),
            }
        }
    }

    #[test]
    fn only_what_nobody_has_open_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FeatureCache::open(dir.path(), &key("a")).unwrap();
        cache.put(&[1; 32], &[1.0]).unwrap();
        let reader = FeatureCache::open(dir.path(), &key("a")).unwrap();
        let shelf = shelves(dir.path()).unwrap().remove(0);
        assert_eq!(shelf.remove().unwrap(), Removal::InUse);
        drop(cache);
        assert_eq!(shelf.remove().unwrap(), Removal::InUse);
        assert_eq!(reader.get(&[1; 32]).unwrap(), [1.0]);
        drop(reader);
        assert_eq!(shelf.remove().unwrap(), Removal::Removed);
        assert_eq!(shelf.remove().unwrap(), Removal::Removed);
        assert_eq!(shelves(dir.path()).unwrap(), []);
        assert!(FeatureCache::open(dir.path(), &key("a")).unwrap().is_empty());
    }
}
