//! Content-addressed files: totals, decisions, reports, bundles. Written to a temporary name, synced,
//! then renamed, so that a file with a digest for a name is whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use wardround_core::digest::Digest;

use super::{Store, StoreError};

impl Store {
    /// Keeps bytes under their digest.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn put_file(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.file_path(&digest);
        if !path.exists() {
            write_atomically(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Bytes by their digest, checked.
    ///
    /// # Errors
    /// [`StoreError::File`] when it can't be read, [`StoreError::Damaged`] when it has another digest.
    pub fn file(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.file_path(digest);
        let bytes = std::fs::read(&path)
            .map_err(|source| StoreError::File { path: path.clone(), source })?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(StoreError::Damaged(format!("{} has another digest", path.display()))),
        }
    }

    fn file_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join("files").join(&name[..2]).join(name)
    }
}

/// Writes a file so that a crash leaves the old one or the new one, never half of it.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let fail = |source| StoreError::File { path: path.to_owned(), source };
    let folder = path.parent().expect("a stored file lies in a folder of the store");
    std::fs::create_dir_all(folder).map_err(fail)?;
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    let mut file = std::fs::File::create(&temporary).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    std::fs::rename(&temporary, path).map_err(fail)?;
    // The rename is durable once the folder is.
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
}
