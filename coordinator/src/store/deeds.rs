//! Who did what and when.

use wardround_core::clock::Timestamp;

use super::{Store, StoreError};

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Its number, ascending.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Who: `user:NAME`, `site:NAME` or `coordinator`.
    pub who: String,
    /// What: `invite`, `join`, `revoke`, `submit`, `abort`, `read report`, ...
    pub what: String,
    /// To what: a site, a person, a study.
    pub subject: String,
}

impl Store {
    /// Adds a line.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn record_deed(
        &self,
        who: &str,
        what: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO deeds (time_ms, who, what, subject) VALUES (?1, ?2, ?3, ?4)",
            (now.0, who, what, subject),
        )?;
        Ok(())
    }

    /// Lines after a sequence number, oldest first, 1,000 at most.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn deeds(&self, after: u64) -> Result<Vec<Deed>, StoreError> {
        self.all(
            "SELECT sequence, time_ms, who, what, subject FROM deeds
             WHERE sequence > ?1 ORDER BY sequence LIMIT 1000",
            [after as i64],
            |row| {
                Ok(Deed {
                    sequence: row.get::<_, i64>(0)? as u64,
                    time: Timestamp(row.get(1)?),
                    who: row.get(2)?,
                    what: row.get(3)?,
                    subject: row.get(4)?,
                })
            },
        )
    }
}
