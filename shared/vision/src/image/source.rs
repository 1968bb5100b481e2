//! Where image files come from.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{ImageError, MAX_FILE_BYTES};

/// Opens image files. Called from several threads at once.
pub trait ImageSource: Send + Sync {
    /// Opens a file: its length in bytes, and its content.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<(u64, Box<dyn Read + Send>)>;
}

/// Files of this machine's disks and mounted shares.
#[derive(Debug, Clone, Copy)]
pub struct Files;

impl ImageSource for Files {
    fn open(&self, path: &Path) -> io::Result<(u64, Box<dyn Read + Send>)> {
        let file = File::open(path)?;
        Ok((file.metadata()?.len(), Box::new(file)))
    }
}

/// Reads a file of a source. `admit` hears its length before anything is read, and may wait; its answer is kept with the bytes.
pub(crate) fn read_from<T>(
    source: &dyn ImageSource,
    path: &Path,
    admit: impl FnOnce(u64) -> T,
) -> Result<(T, Vec<u8>), ImageError> {
    let name = || path.display().to_string();
    let read = |source| ImageError::Read { name: name(), source };
    let (len, content) = source.open(path).map_err(read)?;
    let too_large = |len| ImageError::TooLarge {
        name: name(),
        reason: format!("a file of {len} bytes, at most {MAX_FILE_BYTES} are read"),
    };
    if len > MAX_FILE_BYTES {
        return Err(too_large(len));
    }
    let admitted = admit(len);
    let mut bytes = Vec::with_capacity(len as usize + 1);
    content.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok((admitted, bytes))
}
