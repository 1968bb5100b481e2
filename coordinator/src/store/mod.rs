//! What the coordinator remembers: members, invites, studies, the journal of totals, sealed answers
//! of single sites, events and deeds. SQLite, embedded; large bytes lie beside it as
//! content-addressed files.
//!
//! ```text
//! <data>/coordinator.db     the index (write-ahead log, synchronous: a committed row survives a power cut)
//! <data>/files/ab/abcd...   totals, decisions, reports, bundles, by SHA-256
//! <data>/sealed/...         single sites' answers, encrypted under a key per site and study
//! ```

mod deeds;
mod export;
mod files;
mod journal;
mod members;
pub(crate) mod one_or_many;
mod sealed;
mod studies;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension};

pub use deeds::Deed;
pub use export::AnswerEntry;
pub use journal::{JournalEntry, Kept, StudyJournal};
pub use members::{Invitee, Member, MemberState, NewCertificate, Spent};
pub use studies::{
    Artefact, EnlistedSite, LostAttempt, NewStudy, StoredEvent, StudyRecord, StudyState, Traffic,
};

/// The format of the database; an older one is brought to it, a newer one is refused.
const FORMAT: i64 = 3;

const TABLES: &str = include_str!("tables.sql");

/// What makes format 2 of format 1: a journal may keep decisions.
const FROM_1: &str = include_str!("from_1.sql");

/// What makes format 3 of format 2: certificates are kept, not only their serial numbers.
const FROM_2: &str = include_str!("from_2.sql");

/// Why the store can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed: disk, permissions, a damaged file.
    #[error("the coordinator's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file beside the database can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database was written by a newer version.
    #[error(
        "the database has format {found}, this version of wardround reads up to {FORMAT}: install a newer one"
    )]
    Newer {
        /// The format found.
        found: i64,
    },
    /// What is stored isn't what its digest or type says.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}

/// The coordinator's memory. Cheap to share; every method is short and blocking.
pub struct Store {
    folder: PathBuf,
    connection: Mutex<Connection>,
    master: wardround_privacy::seal::MasterKey,
}

impl Store {
    /// Opens or makes the store in a folder.
    ///
    /// # Errors
    /// [`StoreError`]: the folder can't be used, or a newer version wrote it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| StoreError::File { path: folder.to_owned(), source })?;
        let connection = Connection::open(folder.join("coordinator.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        // A destroyed sealing key must not linger in a free page.
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > FORMAT {
            return Err(StoreError::Newer { found });
        }
        if found == 0 {
            connection.execute_batch(TABLES)?;
            connection.execute(
                "INSERT INTO meta (key, value) VALUES ('software', ?1)",
                [env!("CARGO_PKG_VERSION")],
            )?;
            connection.pragma_update(None, "user_version", FORMAT)?;
        }
        if found == 1 {
            connection.execute_batch(FROM_1)?;
        }
        if matches!(found, 1 | 2) {
            connection.execute_batch(FROM_2)?;
        }
        let path = folder.join("sealing.key");
        let master = wardround_privacy::seal::MasterKey::open_or_create(&path)
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), connection: Mutex::new(connection), master })
    }

    /// The folder it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held leaves at most an open transaction, which SQLite undoes.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.db().prepare_cached(sql)?.query_row(parameters, read).optional()?)
    }

    fn all<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let db = self.db();
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, read)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    fn run(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
        Ok(self.db().prepare_cached(sql)?.execute(parameters)?)
    }
}

/// Reads a column that holds an id or a digest as text.
fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<T>
where
    T::Err: std::fmt::Display,
{
    let text: String = row.get(at)?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(
            at,
            rusqlite::types::Type::Text,
            format!("'{text}': {error}").into(),
        )
    })
}

#[cfg(test)]
mod tests;
