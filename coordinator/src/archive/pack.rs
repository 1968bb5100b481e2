//! The zip container: written so that the same files are the same bytes, mistrusted when read.
//! (APPNOTE.TXT, <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>.)
//!
//! Nothing is compressed by the zip itself (totals are zstd files already): its bytes then don't
//! depend on a compressor's version, and a small file can't unpack to a huge one.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::ArchiveError;
use super::names::{MANIFEST, MOST_ENTRIES, limit_of};

/// Writes files into a zip: the manifest first, the others by name, without dates.
pub(super) fn pack(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, ArchiveError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let size: usize = files.iter().map(|(name, bytes)| bytes.len() + 2 * name.len() + 128).sum();
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(size)));
    let manifest = files.iter().filter(|(name, _)| *name == MANIFEST);
    let others = files.iter().filter(|(name, _)| *name != MANIFEST);
    for (name, bytes) in manifest.chain(others) {
        zip.start_file(name.as_str(), options)?;
        zip.write_all(bytes).map_err(zip::result::ZipError::from)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The files of a zip that [`pack`] could have written, by name.
pub(super) fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, &[u8]>, ArchiveError> {
    let mut zip = ZipArchive::new(Cursor::new(bytes))?;
    let count = zip.len() as u64;
    if count > MOST_ENTRIES {
        let what = "the file".to_owned();
        return Err(ArchiveError::TooLarge {
            what,
            unit: "entries",
            limit: MOST_ENTRIES,
            got: count,
        });
    }
    let mut files = BTreeMap::new();
    let mut spans = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index)?;
        let name = entry.name().to_owned();
        let limit = limit_of(&name).ok_or_else(|| ArchiveError::Unexpected(name.clone()))?;
        let stored = entry.compression() == CompressionMethod::Stored
            && entry.compressed_size() == entry.size();
        if !stored || entry.encrypted() || entry.is_symlink() {
            return Err(ArchiveError::NotStored(name));
        }
        let (start, got) = (entry.data_start(), entry.size());
        if got > limit {
            return Err(ArchiveError::TooLarge { what: name, unit: "bytes", limit, got });
        }
        let end = start.saturating_add(got);
        let data = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let data = data.and_then(|(start, end)| bytes.get(start..end));
        let data = data.ok_or_else(|| ArchiveError::malformed(&name, "its bytes are cut off"))?;
        spans.push((entry.header_start(), end));
        files.insert(name, data);
    }
    // Every byte up to the directory belongs to one entry: nothing is hidden, nothing overlaps, and
    // no name stands for two files.
    spans.sort_unstable();
    let mut next = 0;
    for (start, end) in spans {
        if start != next {
            return Err(ArchiveError::Stray(next.min(start)));
        }
        next = end;
    }
    let whole = zip.central_directory_start() == next && zip.offset() == 0 && ends(bytes, next);
    if whole { Ok(files) } else { Err(ArchiveError::Stray(next)) }
}

/// Whether the file is over where the directory, which starts at `directory`, and its end record are.
fn ends(bytes: &[u8], directory: u64) -> bool {
    /// Length of the end record without a comment, and of what zip64 puts before it.
    const END: usize = 22;
    const ZIP64: u64 = 56 + 20;
    let Some(at) = bytes.len().checked_sub(END) else { return false };
    let record = &bytes[at..];
    let size = [record[12], record[13], record[14], record[15]];
    let over = directory + u64::from(u32::from_le_bytes(size));
    record.starts_with(b"PK\x05\x06") && [over, over + ZIP64].contains(&(at as u64))
}
