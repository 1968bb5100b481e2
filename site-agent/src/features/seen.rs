//! Which image files were looked at: their digests by path, size and time of change, so that a file
//! is decoded once, not at every check and every start.
//!
//! One JSON line per file. The list can be made again, so one that can't be read is as good as empty;
//! unreadable images aren't in it and are tried anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;

use crate::config::SiteConfig;

/// The file in the cache's folder; the number is that of what it means to look at an image.
const FILE: &str = "images-1.jsonl";

/// The image files that were looked at.
#[derive(Debug)]
pub struct Seen {
    file: PathBuf,
    known: BTreeMap<PathBuf, (Stamp, Digest)>,
    news: bool,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    changed_ns: u64,
}

#[derive(Serialize, Deserialize)]
struct Record {
    path: PathBuf,
    #[serde(flatten)]
    stamp: Stamp,
    digest: Digest,
}

impl Stamp {
    /// None for a file that isn't there or is older than 1970.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        let changed = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { size: meta.len(), changed_ns: u64::try_from(changed.as_nanos()).ok()? })
    }
}

impl Seen {
    /// Opens the list of a site.
    pub fn open(config: &SiteConfig) -> Self {
        Self::read(config.cache.join(FILE))
    }

    fn read(file: PathBuf) -> Self {
        let mut known = BTreeMap::new();
        if let Ok(opened) = File::open(&file) {
            let lines = BufReader::new(opened).lines().map_while(Result::ok);
            for record in lines.filter_map(|line| serde_json::from_str::<Record>(&line).ok()) {
                known.insert(record.path, (record.stamp, record.digest));
            }
        }
        Self { file, known, news: false }
    }

    /// The digest of a file that was looked at and hasn't changed since.
    pub(super) fn known(&self, path: &Path, stamp: Option<Stamp>) -> Option<Digest> {
        let (then, digest) = self.known.get(path)?;
        (Some(*then) == stamp).then_some(*digest)
    }

    /// Remembers a file. The stamp is from before it was read, so that a change meanwhile shows.
    pub(super) fn remember(&mut self, path: PathBuf, stamp: Stamp, digest: Digest) {
        self.known.insert(path, (stamp, digest));
        self.news = true;
    }

    /// Writes the list, if there is something new.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.news {
            return Ok(());
        }
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = self.file.with_extension(format!("{}.new", std::process::id()));
        let mut writer = BufWriter::new(File::create(&beside)?);
        for (path, &(stamp, digest)) in &self.known {
            serde_json::to_writer(&mut writer, &Record { path: path.clone(), stamp, digest })?;
            writer.write_all(b"\n")?;
        }
        writer.flush()?;
        fs::rename(&beside, &self.file)?;
        self.news = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let (list, image) = (folder.path().join("cache/list"), folder.path().join("a.png"));
        fs::write(&image, b"1").unwrap();
        let mut seen = Seen::read(list.clone());
        let stamp = Stamp::of(&image);
        assert_eq!(seen.known(&image, stamp), None);
        seen.remember(image.clone(), stamp.unwrap(), Digest::of(b"1"));
        seen.save().unwrap();
        let again = Seen::read(list.clone());
        assert_eq!(again.known(&image, Stamp::of(&image)), Some(Digest::of(b"1")));
        assert_eq!(again.known(&image, None), None);
        fs::write(&image, b"22").unwrap();
        assert_eq!(again.known(&image, Stamp::of(&image)), None);
        fs::write(&list, b"{\"path\":\"a\nnonsense").unwrap();
        assert!(Seen::read(list).known.is_empty());
    }
}
