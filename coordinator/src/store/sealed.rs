//! Single sites' answers, sealed under a key per site and study, so that one site's can be destroyed
//! while digests and the journal's chain stay.

use std::path::PathBuf;

use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::sum::Sum;
use wardround_privacy::seal::{AnswerTo, SealingKey};

use super::{Store, StoreError, files, parsed};

impl Store {
    /// Keeps a site's answer: sealed bytes, and their digest in the index. The same answer again
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] also when the site answered the same query with other
    /// bytes before.
    pub fn put_answer(
        &self,
        study: &StudyId,
        site: &SiteId,
        query: &Digest,
        lock: &Digest,
        answer: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let digest = Digest::of(answer);
        if let Some(before) = self.answer_digest(study, site, query)? {
            return match before == digest {
                true => Ok(()),
                false => Err(StoreError::Damaged(format!(
                    "site {site} answered query {query} with {before} and now with {digest}"
                ))),
            };
        }
        let key = self.sealing_key(study, site)?;
        let sealed = key
            .seal(&AnswerTo { study, site, query: *query }, answer)
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        files::write_atomically(&self.sealed_path(study, site, query), &sealed)?;
        self.run(
            "INSERT INTO answers (study, query, site, digest, lock, time_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                study.as_str(),
                query.to_string(),
                site.as_str(),
                digest.to_string(),
                lock.to_string(),
                now.0,
            ),
        )?;
        Ok(())
    }

    /// A site's answer, opened; `None` when it hasn't answered, or its answer was of no use any more: it
    /// is asked again then, and its answer must have the digest that is known.
    ///
    /// # Errors
    /// [`StoreError`]: the key was destroyed, or the file is damaged.
    pub fn answer(
        &self,
        study: &StudyId,
        site: &SiteId,
        query: &Digest,
    ) -> Result<Option<Sum>, StoreError> {
        let Some(digest) = self.answer_digest(study, site, query)? else { return Ok(None) };
        let key = self.sealing_key(study, site)?;
        let path = self.sealed_path(study, site, query);
        let sealed = match std::fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::File { path, source }),
        };
        let damaged = |error: String| StoreError::Damaged(format!("{}: {error}", path.display()));
        let answer = key
            .open(&AnswerTo { study, site, query: *query }, &sealed)
            .map_err(|error| damaged(error.to_string()))?;
        if Digest::of(&answer) != digest {
            return Err(damaged("another digest than the index says".into()));
        }
        Sum::decode(&answer).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Removes a site's answer, if there is one; its digest stays in the index.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn forget_answer(
        &self,
        study: &StudyId,
        site: &SiteId,
        query: &Digest,
    ) -> Result<(), StoreError> {
        let path = self.sealed_path(study, site, query);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::File { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Destroys the key of a site's answers in a study: they can't be read any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn destroy_answers(&self, study: &StudyId, site: &SiteId) -> Result<(), StoreError> {
        self.run(
            "UPDATE sealing_keys SET wrapped = x'' WHERE study = ?1 AND site = ?2",
            (study.as_str(), site.as_str()),
        )?;
        let folder = self.sealed_folder(study, site);
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StoreError::File { path: folder, source }),
        }
    }

    fn answer_digest(
        &self,
        study: &StudyId,
        site: &SiteId,
        query: &Digest,
    ) -> Result<Option<Digest>, StoreError> {
        self.one(
            "SELECT digest FROM answers WHERE study = ?1 AND query = ?2 AND site = ?3",
            (study.as_str(), query.to_string(), site.as_str()),
            |row| parsed(row, 0),
        )
    }

    fn sealing_key(&self, study: &StudyId, site: &SiteId) -> Result<SealingKey, StoreError> {
        let damaged = |error: &dyn std::fmt::Display| {
            StoreError::Damaged(format!("the sealing key of {site} in {study}: {error}"))
        };
        let wrapped: Option<Vec<u8>> = self.one(
            "SELECT wrapped FROM sealing_keys WHERE study = ?1 AND site = ?2",
            (study.as_str(), site.as_str()),
            |row| row.get(0),
        )?;
        match wrapped {
            Some(wrapped) if wrapped.is_empty() => Err(damaged(&"it was destroyed")),
            Some(wrapped) => self.master.unwrap(study, site, &wrapped).map_err(|e| damaged(&e)),
            None => {
                let key = SealingKey::random().map_err(|e| damaged(&e))?;
                let wrapped = self.master.wrap(study, site, &key).map_err(|e| damaged(&e))?;
                self.run(
                    "INSERT INTO sealing_keys (study, site, wrapped) VALUES (?1, ?2, ?3)",
                    (study.as_str(), site.as_str(), wrapped),
                )?;
                Ok(key)
            }
        }
    }

    fn sealed_folder(&self, study: &StudyId, site: &SiteId) -> PathBuf {
        self.folder.join("sealed").join(study.as_str()).join(site.as_str())
    }

    fn sealed_path(&self, study: &StudyId, site: &SiteId, query: &Digest) -> PathBuf {
        self.sealed_folder(study, site).join(query.to_string())
    }
}
