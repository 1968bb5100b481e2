//! Reading what an export needs of the store and nothing else does.

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};

use super::{Store, StoreError, parsed};

/// A site's answer, by digest only; the answer itself stays sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerEntry {
    /// The query it answers.
    pub query: Digest,
    /// The site.
    pub site: SiteId,
    /// Digest of the answer's encoding.
    pub answer: Digest,
    /// Digest of the frozen cohort that it was computed on.
    pub lock: Digest,
}

impl Store {
    /// Digests of all answers in a study, in the journal's order and by site; those of rounds that
    /// were never completed come last.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn answers(&self, study: &StudyId) -> Result<Vec<AnswerEntry>, StoreError> {
        self.all(
            "SELECT a.query, a.site, a.digest, a.lock FROM answers a
             LEFT JOIN (SELECT query, MIN(sequence) AS sequence FROM journal WHERE study = ?1
                        GROUP BY query) j ON j.query = a.query
             WHERE a.study = ?1
             ORDER BY j.sequence IS NULL, j.sequence, a.query, a.site",
            [study.as_str()],
            |row| {
                Ok(AnswerEntry {
                    query: parsed(row, 0)?,
                    site: parsed(row, 1)?,
                    answer: parsed(row, 2)?,
                    lock: parsed(row, 3)?,
                })
            },
        )
    }

    /// A total's or a decision's compressed bytes (zstd) as the journal keeps them; `None` when the
    /// study's journal has no such line.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn compressed_line(
        &self,
        study: &StudyId,
        sequence: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let file: Option<Digest> = self.one(
            "SELECT file FROM journal WHERE study = ?1 AND sequence = ?2",
            (study.as_str(), sequence as i64),
            |row| parsed(row, 0),
        )?;
        file.map(|file| self.file(&file)).transpose()
    }
}
