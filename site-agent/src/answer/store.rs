//! Finished answers on disk, by the lock they come from and the digest of their query: computed,
//! drawn and spent once, and resent as the same bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::sum::Sum;

use crate::config::Home;

/// The answers of all studies: `studies/<study>/answers/<lock>/<query>`.
#[derive(Debug, Clone)]
pub struct AnswerStore {
    home: Home,
}

impl AnswerStore {
    /// The answers in a home folder.
    pub fn new(home: Home) -> Self {
        Self { home }
    }

    /// A finished answer; none when there is none, or the file isn't one any more (it is computed
    /// again then, with the same bytes).
    ///
    /// # Errors
    /// What the system says.
    pub fn find(&self, study: &StudyId, lock: Digest, query: Digest) -> io::Result<Option<Sum>> {
        match fs::read(self.path(study, lock, query)) {
            Ok(bytes) => Ok(Sum::decode(&bytes).ok().filter(|sum| sum.query == query)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a finished answer: on the disk, whole, when it returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(&self, study: &StudyId, lock: Digest, sum: &Sum) -> io::Result<()> {
        let path = self.path(study, lock, sum.query);
        let folder = path.parent().map_or_else(PathBuf::new, PathBuf::from);
        fs::create_dir_all(&folder)?;
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&sum.encode())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        // Not every system can sync a folder; there a rename is as good as it gets.
        let _ = File::open(&folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Deletes the answers of a study that is over.
    ///
    /// # Errors
    /// What the system says.
    pub fn clear(&self, study: &StudyId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder(study)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn folder(&self, study: &StudyId) -> PathBuf {
        self.home.study(study).join("answers")
    }

    fn path(&self, study: &StudyId, lock: Digest, query: Digest) -> PathBuf {
        self.folder(study).join(lock.to_string()).join(query.to_string())
    }
}

#[cfg(test)]
mod tests {
    use wardround_core::ids::SiteId;

    use super::*;

    #[test]
    fn answers_are_found_by_lock_and_query_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = AnswerStore::new(Home::new(folder.path()));
        let study = StudyId::parse("s1").unwrap();
        let [lock, query] = [b"lock" as &[u8], b"query"].map(Digest::of);
        let sum = Sum { query, sites: vec![SiteId::parse("a").unwrap()], blocks: vec![vec![1]] };
        assert_eq!(store.find(&study, lock, query).unwrap(), None);
        store.keep(&study, lock, &sum).unwrap();
        assert_eq!(store.find(&study, lock, query).unwrap(), Some(sum.clone()));
        assert_eq!(store.find(&study, Digest::of(b"other"), query).unwrap(), None);
        assert_eq!(store.find(&study, lock, Digest::of(b"other")).unwrap(), None);
        fs::write(store.path(&study, lock, query), b"damaged").unwrap();
        assert_eq!(store.find(&study, lock, query).unwrap(), None);
        store.keep(&study, lock, &sum).unwrap();
        store.clear(&study).unwrap();
        store.clear(&study).unwrap();
        assert_eq!(store.find(&study, lock, query).unwrap(), None);
    }
}
