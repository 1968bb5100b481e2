//! A folder that only its owner can look into, for files that show patients' images.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder: mode 0700 where the system has modes, its files 0600.
#[derive(Debug)]
pub struct PrivateFolder(PathBuf);

/// Why it can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It has something in it.
    #[error("{} has files already: name a folder that isn't there yet, or an empty one", .0.display())]
    NotEmpty(PathBuf),
    /// The disk's.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PrivateFolder {
    /// Makes the folder, and those above it that aren't there. An empty one that is there is closed to others.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        let broken = |source| FolderError::Io { path: path.to_owned(), source };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(broken)?;
        if fs::read_dir(path).map_err(broken)?.next().is_some() {
            return Err(FolderError::NotEmpty(path.to_owned()));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(broken)?;
        }
        Ok(Self(path.to_owned()))
    }

    /// Writes a new file, and says where it lies.
    ///
    /// # Errors
    /// [`FolderError::Io`], also when there is one of this name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, FolderError> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(bytes));
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_look() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/gallery");
        let folder = PrivateFolder::create(&path).unwrap();
        let file = folder.write("page.html", b"<p>").unwrap();
        assert_eq!((mode(&path), mode(&file)), (0o700, 0o600));
        assert_eq!(fs::read(&file).unwrap(), b"<p>");
        assert!(folder.write("page.html", b"again").is_err());
        assert!(matches!(PrivateFolder::create(&path), Err(FolderError::NotEmpty(_))));
        // One that others could look into is closed.
        let open = home.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        PrivateFolder::create(&open).unwrap();
        assert_eq!(mode(&open), 0o700);
    }
}
