//! The journal of totals: everything that a replay needs. A line is the digest of a query and of the
//! total that answered it, chained to the line before.

use std::sync::Arc;

use wardround_core::clock::{Clock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::query::Query;
use wardround_core::sum::Sum;
use wardround_learn::recorded::Journal;

use super::{Store, StoreError, parsed};

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its number, from 1.
    pub sequence: u64,
    /// The query's digest.
    pub query: Digest,
    /// Digest of the total's encoding.
    pub total: Digest,
    /// What was asked, in a word.
    pub what: String,
    /// Sites in the total, joined by commas.
    pub sites: String,
    /// Numbers in the total.
    pub numbers: u64,
    /// When it was written.
    pub time: Timestamp,
    /// Hash over the line before, the query's and the total's digest.
    pub chain: Digest,
}

impl JournalEntry {
    /// The chain value of a line after another (or the first, after the study's id).
    pub fn link(
        before: Option<&Digest>,
        study: &StudyId,
        query: &Digest,
        total: &Digest,
    ) -> Digest {
        let start = Digest::of(study.as_str().as_bytes());
        let before = before.unwrap_or(&start);
        let parts: [&[u8]; 3] = [before.as_bytes(), query.as_bytes(), total.as_bytes()];
        Digest::of_parts(parts)
    }
}

impl Store {
    /// A study's journal, oldest line first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn journal(&self, study: &StudyId) -> Result<Vec<JournalEntry>, StoreError> {
        self.all(
            "SELECT sequence, query, total, what, sites, numbers, time_ms, chain FROM journal
             WHERE study = ?1 ORDER BY sequence",
            [study.as_str()],
            |row| {
                Ok(JournalEntry {
                    sequence: row.get::<_, i64>(0)? as u64,
                    query: parsed(row, 1)?,
                    total: parsed(row, 2)?,
                    what: row.get(3)?,
                    sites: row.get(4)?,
                    numbers: row.get::<_, i64>(5)? as u64,
                    time: Timestamp(row.get(6)?),
                    chain: parsed(row, 7)?,
                })
            },
        )
    }

    /// The chain value of a study's last line; `None` when it has none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn journal_head(&self, study: &StudyId) -> Result<Option<(u64, Digest)>, StoreError> {
        self.one(
            "SELECT sequence, chain FROM journal WHERE study = ?1 ORDER BY sequence DESC LIMIT 1",
            [study.as_str()],
            |row| Ok((row.get::<_, i64>(0)? as u64, parsed(row, 1)?)),
        )
    }

    fn total(&self, study: &StudyId, query: &Digest) -> Result<Option<Sum>, StoreError> {
        let found: Option<(Digest, Digest)> = self.one(
            "SELECT total, file FROM journal WHERE study = ?1 AND query = ?2",
            (study.as_str(), query.to_string()),
            |row| Ok((parsed(row, 0)?, parsed(row, 1)?)),
        )?;
        let Some((digest, file)) = found else { return Ok(None) };
        let damaged = |what: String| StoreError::Damaged(format!("total {digest}: {what}"));
        let compressed = self.file(&file)?;
        let bytes =
            zstd::decode_all(compressed.as_slice()).map_err(|error| damaged(error.to_string()))?;
        if Digest::of(&bytes) != digest {
            return Err(damaged("another digest than the journal says".into()));
        }
        Sum::decode(&bytes).map(Some).map_err(|error| damaged(error.to_string()))
    }

    fn record_total(
        &self,
        study: &StudyId,
        query: &Query,
        sum: &Sum,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let bytes = sum.encode();
        let (query_digest, total) = (query.digest(), Digest::of(&bytes));
        let compressed = zstd::encode_all(bytes.as_slice(), 3)
            .map_err(|source| StoreError::File { path: self.folder().to_owned(), source })?;
        let file = self.put_file(&compressed)?;
        let head = self.journal_head(study)?;
        let (sequence, before) = match &head {
            Some((sequence, chain)) => (sequence + 1, Some(chain)),
            None => (1, None),
        };
        let chain = JournalEntry::link(before, study, &query_digest, &total);
        let sites: Vec<&str> = sum.sites.iter().map(|site| site.as_str()).collect();
        self.run(
            "INSERT INTO journal (study, sequence, query, total, file, what, sites, numbers, time_ms, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                study.as_str(),
                sequence as i64,
                query_digest.to_string(),
                total.to_string(),
                file.to_string(),
                query.name(),
                sites.join(","),
                query.numbers() as i64,
                now.0,
                chain.to_string(),
            ),
        )?;
        Ok(())
    }
}

/// One study's journal, as [`wardround_learn::recorded::Recorded`] wants it.
#[derive(Clone)]
pub struct StudyJournal {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    study: StudyId,
}

impl StudyJournal {
    /// The journal of a study.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, study: StudyId) -> Self {
        Self { store, clock, study }
    }
}

impl Journal for StudyJournal {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        self.store.total(&self.study, query).map_err(|error| error.to_string())
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        self.store
            .record_total(&self.study, query, sum, self.clock.now())
            .map_err(|error| error.to_string())
    }
}
