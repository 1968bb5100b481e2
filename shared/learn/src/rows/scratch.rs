//! A scratch file: numbers that don't fit into memory, read and written by place.
//!
//! It has no name in its folder: it is gone when it is dropped, however the process ends. This is the one file
//! of the crate that makes calls of Unix alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder that doesn't take or give back numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("can't {what} a scratch file in {folder}: {why}", folder = folder.display())]
pub struct StorageError {
    /// Make, write or read.
    pub what: &'static str,
    /// The folder.
    pub folder: PathBuf,
    /// What the system said: no space left, most often.
    pub why: String,
}

/// A file without a name.
#[derive(Debug)]
pub(super) struct Scratch {
    file: File,
    folder: PathBuf,
}

impl Scratch {
    /// An empty one in a folder.
    ///
    /// # Errors
    /// The folder doesn't take it.
    pub(super) fn new(folder: &Path) -> Result<Self, StorageError> {
        let file =
            tempfile::tempfile_in(folder).map_err(|error| failure("make", folder, &error))?;
        Ok(Self { file, folder: folder.to_owned() })
    }

    /// Writes bytes at a place.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all_at(bytes, at).map_err(|error| failure("write", &self.folder, &error))
    }

    /// Reads so many bytes from a place.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn read(&self, at: u64, count: usize) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; count];
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|error| failure("read", &self.folder, &error))?;
        Ok(bytes)
    }
}

fn failure(what: &'static str, folder: &Path, error: &std::io::Error) -> StorageError {
    StorageError { what, folder: folder.to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_file_gives_back_what_it_got_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        scratch.write(6, b"columns").unwrap();
        scratch.write(0, b"rows, ").unwrap();
        assert_eq!(scratch.read(0, 13).unwrap(), b"rows, columns");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = scratch.read(10, 9).unwrap_err();
        assert!(error.to_string().starts_with("can't read a scratch file in "), "{error}");
        let error = Scratch::new(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("can't make a scratch file in "), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        // Every write to it says that no space is left.
        let file = File::options().read(true).write(true).open("/dev/full").unwrap();
        let scratch = Scratch { file, folder: "/dev".into() };
        let error = scratch.write(0, b"rows").unwrap_err();
        assert!(error.to_string().starts_with("can't write a scratch file in /dev: No space"));
    }
}
