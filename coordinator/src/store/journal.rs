//! The journal of totals: everything that a replay needs. A line is the digest of a query and of the
//! total that answered it, chained to the line before. Beside the line lies the total itself, or, where
//! that is large beside what was decided by it (histograms of trees), the decision.
//!
//! A line is written once, whole, by one statement, after the file that it names is on the disk; nothing
//! in it ever changes. A total is written down before it is used. A decision is written down when it is
//! final: until then single sites' answers wait in the store ([`super::sealed`]), and a study that is cut
//! gets their total from there again. With the decision they are removed; their digests stay.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wardround_core::clock::{Clock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::Query;
use wardround_core::sum::Sum;
use wardround_learn::cohort::Purpose;
use wardround_learn::recorded::{Journal, Receipt};

use super::{Store, StoreError, parsed};

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its number, from 1.
    pub sequence: u64,
    /// The query's and the total's digest, and what the total is of.
    pub receipt: Receipt,
    /// What lies beside the line.
    pub kept: Kept,
    /// When it was written.
    pub time: Timestamp,
    /// Hash over the line before and what this one says; see [`JournalEntry::link`].
    pub chain: Digest,
}

/// What is kept of a total, beside its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Kept {
    /// The total itself.
    #[default]
    Total,
    /// What was decided by it.
    Decision {
        /// Who of the run decided; others may have decided otherwise by the same total, on a line of
        /// their own.
        purpose: Purpose,
        /// SHA-256 of the decision's bytes.
        digest: Digest,
    },
}

impl JournalEntry {
    /// The chain value of a line after another (or the first, after the study's id). A total says itself
    /// of which sites it is and how many numbers it has; where it isn't kept, the chain holds them.
    pub fn link(
        before: Option<&Digest>,
        study: &StudyId,
        receipt: &Receipt,
        kept: &Kept,
    ) -> Digest {
        let start = Digest::of(study.as_str().as_bytes());
        let before = before.unwrap_or(&start);
        let Receipt { query, what, total, sites, numbers } = receipt;
        let parts: [&[u8]; 3] = [before.as_bytes(), query.as_bytes(), total.as_bytes()];
        match kept {
            Kept::Total => Digest::of_parts(parts),
            Kept::Decision { purpose: Purpose(purpose), digest } => {
                let numbers = numbers.to_le_bytes();
                let rest: [&[u8]; 4] =
                    [purpose.as_bytes(), digest.as_bytes(), what.as_bytes(), &numbers];
                let sites = sites.iter().map(|site| site.as_str().as_bytes());
                Digest::of_parts(parts.into_iter().chain(rest).chain(sites))
            }
        }
    }
}

/// Columns of a line, as [`entry`] reads them.
const LINE: &str =
    "sequence, query, total, decision, what, sites, numbers, time_ms, chain, purpose, file";

impl Store {
    /// A study's journal, oldest line first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn journal(&self, study: &StudyId) -> Result<Vec<JournalEntry>, StoreError> {
        let sql = format!("SELECT {LINE} FROM journal WHERE study = ?1 ORDER BY sequence");
        self.all(&sql, [study.as_str()], entry)
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
        let Some((entry, bytes)) = self.kept(study, query, "")? else { return Ok(None) };
        let total = entry.receipt.total;
        let damaged =
            |error: &dyn std::fmt::Display| StoreError::Damaged(format!("total {total}: {error}"));
        Sum::decode(&bytes).map(Some).map_err(|error| damaged(&error))
    }

    /// A line by its query and its purpose, empty for a total, with the unpacked bytes beside it.
    fn kept(
        &self,
        study: &StudyId,
        query: &Digest,
        purpose: &str,
    ) -> Result<Option<(JournalEntry, Vec<u8>)>, StoreError> {
        let sql =
            format!("SELECT {LINE} FROM journal WHERE study = ?1 AND query = ?2 AND purpose = ?3");
        let found: Option<(JournalEntry, Digest)> =
            self.one(&sql, (study.as_str(), query.to_string(), purpose), |row| {
                Ok((entry(row)?, parsed(row, 10)?))
            })?;
        let Some((entry, file)) = found else { return Ok(None) };
        let (what, digest) = match entry.kept {
            Kept::Total => ("total", entry.receipt.total),
            Kept::Decision { digest, .. } => ("decision", digest),
        };
        let damaged = |error: String| StoreError::Damaged(format!("{what} {digest}: {error}"));
        let compressed = self.file(&file)?;
        let bytes =
            zstd::decode_all(compressed.as_slice()).map_err(|error| damaged(error.to_string()))?;
        if Digest::of(&bytes) != digest {
            return Err(damaged("another digest than the journal says".into()));
        }
        Ok(Some((entry, bytes)))
    }

    /// A query has one total, on whichever lines.
    fn check_total(&self, study: &StudyId, receipt: &Receipt) -> Result<(), StoreError> {
        let Receipt { query, total, .. } = receipt;
        let before: Option<Digest> = self.one(
            "SELECT total FROM journal WHERE study = ?1 AND query = ?2 LIMIT 1",
            (study.as_str(), query.to_string()),
            |row| parsed(row, 0),
        )?;
        match before.filter(|before| before != total) {
            None => Ok(()),
            Some(before) => Err(StoreError::Damaged(format!(
                "query {query} had the total {before} and now has {total}"
            ))),
        }
    }

    /// Writes a line, and beside it a total's or a decision's compressed bytes.
    fn append(
        &self,
        study: &StudyId,
        receipt: &Receipt,
        kept: Kept,
        compressed: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.check_total(study, receipt)?;
        let file = self.put_file(compressed)?;
        let head = self.journal_head(study)?;
        let (sequence, before) = match &head {
            Some((sequence, chain)) => (sequence + 1, Some(chain)),
            None => (1, None),
        };
        let chain = JournalEntry::link(before, study, receipt, &kept);
        let sites: Vec<&str> = receipt.sites.iter().map(|site| site.as_str()).collect();
        let (purpose, decision) = match kept {
            Kept::Total => (String::new(), String::new()),
            Kept::Decision { purpose, digest } => (purpose.0.to_string(), digest.to_string()),
        };
        self.run(
            "INSERT INTO journal
             (study, sequence, query, purpose, total, decision, file, what, sites, numbers, time_ms,
              chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                study.as_str(),
                sequence as i64,
                receipt.query.to_string(),
                purpose,
                receipt.total.to_string(),
                decision,
                file.to_string(),
                &receipt.what,
                sites.join(","),
                receipt.numbers as i64,
                now.0,
                chain.to_string(),
            ),
        )?;
        Ok(())
    }
}

/// As totals and decisions lie on the disk.
fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, 3)
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<JournalEntry> {
    let (decision, sites): (String, String) = (row.get(3)?, row.get(5)?);
    let sites = sites.split(',').filter(|site| !site.is_empty());
    let sites: Result<Vec<SiteId>, _> = sites.map(SiteId::parse).collect();
    let sites = sites.map_err(|error| {
        let text = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(5, text, error.into())
    })?;
    Ok(JournalEntry {
        sequence: row.get::<_, i64>(0)? as u64,
        receipt: Receipt {
            query: parsed(row, 1)?,
            total: parsed(row, 2)?,
            what: row.get(4)?,
            sites,
            numbers: row.get::<_, i64>(6)? as u64,
        },
        kept: match decision.is_empty() {
            true => Kept::Total,
            false => Kept::Decision { purpose: Purpose(parsed(row, 9)?), digest: parsed(row, 3)? },
        },
        time: Timestamp(row.get(7)?),
        chain: parsed(row, 8)?,
    })
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

impl StudyJournal {
    /// Single sites' answers to a question that is decided are of no use any more. Those that a cut left
    /// are removed when the study comes by again.
    fn forget_answers(&self, receipt: &Receipt) -> Result<(), StoreError> {
        receipt
            .sites
            .iter()
            .try_for_each(|site| self.store.forget_answer(&self.study, site, &receipt.query))
    }
}

impl Journal for StudyJournal {
    fn find(&self, query: &Digest) -> Result<Option<Sum>, String> {
        self.store.total(&self.study, query).map_err(|error| error.to_string())
    }

    fn find_decision(
        &self,
        query: &Digest,
        purpose: &Purpose,
    ) -> Result<Option<(Receipt, Vec<u8>)>, String> {
        let found = self.store.kept(&self.study, query, &purpose.0.to_string());
        let found = found.map_err(|error| error.to_string())?;
        let Some((JournalEntry { receipt, .. }, decision)) = found else { return Ok(None) };
        self.forget_answers(&receipt).map_err(|error| error.to_string())?;
        Ok(Some((receipt, decision)))
    }

    fn record(&self, query: &Query, sum: &Sum) -> Result<(), String> {
        let bytes = sum.encode();
        let receipt = || Receipt::of_encoded(query, sum, &bytes);
        let (receipt, compressed) = std::thread::scope(|scope| {
            let compressed = scope.spawn(|| compress(&bytes));
            (receipt(), compressed.join().unwrap_or_else(|_| Err(std::io::Error::other("stopped"))))
        });
        let (compressed, now) = (compressed.map_err(|error| error.to_string())?, self.clock.now());
        self.store
            .append(&self.study, &receipt, Kept::Total, &compressed, now)
            .map_err(|error| error.to_string())
    }

    fn record_decision(
        &self,
        receipt: &Receipt,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), String> {
        let kept = Kept::Decision { purpose: *purpose, digest: Digest::of(decision) };
        let compressed = compress(decision).map_err(|error| error.to_string())?;
        self.store
            .append(&self.study, receipt, kept, &compressed, self.clock.now())
            .and_then(|()| self.forget_answers(receipt))
            .map_err(|error| error.to_string())
    }
}
