//! The folder that holds everything of an agent: nothing is written outside of it, unless `site.toml`
//! names another place for the caches.
//!
//! ```text
//! site.toml         what the owner allows and where the data lies
//! identity/         the site's key and certificate
//! cache/            features and weights; can be made again
//! ledger/           every message that left, hash-chained; never deleted
//! answered/         the cohorts that were answered, by keyed hashes, for the rule on successive reports
//! studies/<study>/  per study: its file, the frozen cohort (`lock`), finished answers, `closed` when over
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wardround_core::ids::StudyId;

/// The folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// A folder; it need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Makes the folders that aren't there.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(&self) -> io::Result<()> {
        for folder in [self.identity(), self.cache(), self.ledger(), self.studies()] {
            fs::create_dir_all(folder)?;
        }
        Ok(())
    }

    /// The folder itself; relative paths of `site.toml` start here.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The owner's file.
    pub fn site_file(&self) -> PathBuf {
        self.0.join("site.toml")
    }

    /// The site's key and certificate.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity")
    }

    /// Features and weights, unless `site.toml` names another place.
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// The egress ledger.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }

    /// The cohorts that were answered.
    pub fn answered(&self) -> PathBuf {
        self.0.join("answered")
    }

    /// One folder per study.
    pub fn studies(&self) -> PathBuf {
        self.0.join("studies")
    }

    /// A study's folder.
    pub fn study(&self, study: &StudyId) -> PathBuf {
        self.studies().join(study.as_str())
    }

    /// A study's frozen cohort.
    pub fn lock(&self, study: &StudyId) -> PathBuf {
        self.study(study).join("lock")
    }

    /// Stands there when a study is over.
    pub fn closed(&self, study: &StudyId) -> PathBuf {
        self.study(study).join("closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("deep/home"));
        home.create().unwrap();
        home.create().unwrap();
        for made in [home.identity(), home.cache(), home.ledger(), home.studies()] {
            assert!(made.is_dir() && made.starts_with(home.folder()));
        }
        let lock = home.lock(&StudyId::parse("s1").unwrap());
        assert_eq!(lock, home.folder().join("studies").join("s1").join("lock"));
    }
}
