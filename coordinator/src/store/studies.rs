//! Studies: their file, state, sites, events and what they left.

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId, UserId};
use wardround_privacy::dominance::LevelCell;
use wardround_privacy::policy::Policy;

use super::{Store, StoreError, parsed};

/// Where a study is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StudyState {
    /// Sites freeze their cohorts and compute features.
    Enlisting,
    /// Rounds run.
    Running,
    /// Over, with a report.
    Done,
    /// Over, without one.
    Failed,
    /// Ended by a person.
    Aborted,
}

impl StudyState {
    /// The state as a word.
    pub fn word(self) -> &'static str {
        match self {
            StudyState::Enlisting => "enlisting",
            StudyState::Running => "running",
            StudyState::Done => "done",
            StudyState::Failed => "failed",
            StudyState::Aborted => "aborted",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, StudyState::Done | StudyState::Failed | StudyState::Aborted)
    }
}

impl std::str::FromStr for StudyState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        use StudyState::{Aborted, Done, Enlisting, Failed, Running};
        let all = [Enlisting, Running, Done, Failed, Aborted];
        all.into_iter().find(|s| s.word() == text).ok_or_else(|| format!("no state '{text}'"))
    }
}

/// A study that is submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStudy {
    /// Its name.
    pub name: String,
    /// Its file.
    pub toml: String,
    /// Its sites, sorted.
    pub sites: Vec<SiteId>,
    /// Who submitted it.
    pub by: UserId,
    /// The submitter's token; empty: none.
    pub token: String,
    /// The study it was cloned from; empty: none.
    pub parent: String,
}

/// A study as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyRecord {
    /// Its id.
    pub id: StudyId,
    /// Its name.
    pub name: String,
    /// Its file.
    pub toml: String,
    /// Where it is.
    pub state: StudyState,
    /// Why it failed; empty otherwise.
    pub reason: String,
    /// Who submitted it.
    pub submitted_by: String,
    /// When.
    pub submitted: Timestamp,
    /// When it ended; 0 while it runs.
    pub ended: Timestamp,
    /// The study it was cloned from; empty: none.
    pub parent: String,
}

/// What a site said when its cohort was frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnlistedSite {
    /// Digest of the frozen cohort.
    pub lock: Digest,
    /// Feature columns of each input.
    #[serde(with = "super::one_or_many")]
    pub features: Vec<u32>,
    /// Patients in the cohort.
    pub patients: u64,
    /// Rows in the cohort.
    pub rows: u64,
    /// Rows set aside because of problems.
    pub set_aside: u64,
    /// Rows that the study's filters left out.
    pub filtered_out: u64,
    /// Rows that miss a value.
    pub rows_with_missing: u64,
    /// SHA-256 of each backbone's weights in hexadecimal; none for a table.
    #[serde(with = "super::one_or_many")]
    pub weights: Vec<String>,
    /// How images are prepared for each backbone, JSON; none for a table.
    #[serde(with = "super::one_or_many")]
    pub preprocess: Vec<String>,
    /// Where the site computes.
    pub device: String,
    /// The site's disclosure rules.
    pub policy: Policy,
    /// Rows set aside: reason, patients, rows.
    pub reasons: Vec<(String, u64, u64)>,
    /// Whether its rows were drawn by a generator.
    pub synthetic: bool,
    /// Levels in which one patient has more than its policy's share of the rows.
    #[serde(default)]
    pub dominated: Vec<LevelCell>,
    /// Version of the software that it ran; empty where an earlier coordinator didn't keep it.
    #[serde(default)]
    pub software: String,
}

/// A run that lost a site and was started again without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAttempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// The sites it began with.
    pub sites: Vec<SiteId>,
    /// The site it lost.
    pub lost: SiteId,
    /// After how many rounds.
    pub round: u64,
    /// Why.
    pub reason: String,
}

/// What one answer moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of the query as it travelled.
    pub bytes_down: u64,
    /// Bytes of the answer as it travelled.
    pub bytes_up: u64,
    /// Numbers in the answer.
    pub numbers: u64,
}

/// A file that a study left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artefact {
    /// `report.json`.
    ReportJson,
    /// `report.html`.
    ReportHtml,
    /// The result table as text.
    ReportText,
    /// The model bundle.
    Bundle,
    /// What the study found, before suppression; never leaves the coordinator by itself.
    Findings,
}

impl Artefact {
    fn word(self) -> &'static str {
        match self {
            Artefact::ReportJson => "report.json",
            Artefact::ReportHtml => "report.html",
            Artefact::ReportText => "report.txt",
            Artefact::Bundle => "model.bundle",
            Artefact::Findings => "findings.json",
        }
    }
}

/// An event of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number, from 1.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// Its kind.
    pub kind: String,
    /// What happened, JSON.
    pub json: String,
}

const STUDY_COLUMNS: &str =
    "id, name, toml, state, reason, submitted_by, submitted_ms, ended_ms, parent";

impl Store {
    /// Keeps a new study; with a token that its submitter used before, returns that study.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_study(&self, new: &NewStudy, now: Timestamp) -> Result<(StudyId, bool), StoreError> {
        let mut db = self.db();
        let change = db.transaction()?;
        if !new.token.is_empty() {
            let before: Option<StudyId> = change
                .query_row(
                    "SELECT id FROM studies WHERE submitted_by = ?1 AND token = ?2",
                    (new.by.as_str(), &new.token),
                    |row| parsed(row, 0),
                )
                .optional()?;
            if let Some(id) = before {
                return Ok((id, false));
            }
        }
        let count: i64 = change.query_row("SELECT count(*) FROM studies", [], |row| row.get(0))?;
        let nonce = Digest::of_parts([
            new.toml.as_bytes(),
            &now.0.to_le_bytes(),
            &count.to_le_bytes(),
            new.by.as_str().as_bytes(),
        ]);
        let id = StudyId::parse(&format!("s{}-{}", count + 1, &nonce.short()[..6]))
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        change.execute(
            "INSERT INTO studies (id, name, toml, state, submitted_by, submitted_ms, token, parent)
             VALUES (?1, ?2, ?3, 'enlisting', ?4, ?5, ?6, ?7)",
            (id.as_str(), &new.name, &new.toml, new.by.as_str(), now.0, &new.token, &new.parent),
        )?;
        for site in &new.sites {
            change.execute(
                "INSERT INTO study_sites (study, site) VALUES (?1, ?2)",
                (id.as_str(), site.as_str()),
            )?;
        }
        change.commit()?;
        Ok((id, true))
    }

    /// The study that a person submitted with a token before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn study_by_token(&self, by: &UserId, token: &str) -> Result<Option<StudyId>, StoreError> {
        self.one(
            "SELECT id FROM studies WHERE submitted_by = ?1 AND token = ?2 AND token <> ''",
            (by.as_str(), token),
            |row| parsed(row, 0),
        )
    }

    /// A study by its id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn study(&self, id: &StudyId) -> Result<Option<StudyRecord>, StoreError> {
        let sql = format!("SELECT {STUDY_COLUMNS} FROM studies WHERE id = ?1");
        self.one(&sql, [id.as_str()], read_study)
    }

    /// All studies, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn studies(&self) -> Result<Vec<StudyRecord>, StoreError> {
        let sql = format!("SELECT {STUDY_COLUMNS} FROM studies ORDER BY submitted_ms, rowid");
        self.all(&sql, [], read_study)
    }

    /// Moves a study on, unless it is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_study_state(
        &self,
        id: &StudyId,
        state: StudyState,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let ended = if state.is_over() { now.0 } else { 0 };
        let changed = self.run(
            "UPDATE studies SET state = ?2, reason = ?3, ended_ms = ?4
             WHERE id = ?1 AND state NOT IN ('done', 'failed', 'aborted')",
            (id.as_str(), state.word(), reason, ended),
        )?;
        Ok(changed == 1)
    }

    /// A study's sites that weren't given up, sorted, with what they said when enlisted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn study_sites(
        &self,
        id: &StudyId,
    ) -> Result<Vec<(SiteId, Option<EnlistedSite>)>, StoreError> {
        self.sites_where(id, "lost = 0")
    }

    /// Sites that were given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lost_sites(&self, id: &StudyId) -> Result<Vec<SiteId>, StoreError> {
        Ok(self.sites_where(id, "lost = 1")?.into_iter().map(|(site, _)| site).collect())
    }

    /// Gives a site up and keeps the attempt that lost it, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn lose_site(&self, id: &StudyId, attempt: &LostAttempt) -> Result<(), StoreError> {
        let sites: Vec<&str> = attempt.sites.iter().map(SiteId::as_str).collect();
        let mut db = self.db();
        let change = db.transaction()?;
        change.execute(
            "UPDATE study_sites SET lost = 1 WHERE study = ?1 AND site = ?2",
            (id.as_str(), attempt.lost.as_str()),
        )?;
        change.execute(
            "INSERT INTO attempts (study, attempt, sites, lost, round, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                id.as_str(),
                attempt.attempt,
                sites.join(","),
                attempt.lost.as_str(),
                attempt.round as i64,
                &attempt.reason,
            ),
        )?;
        change.commit()?;
        Ok(())
    }

    /// Attempts that lost a site, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn lost_attempts(&self, id: &StudyId) -> Result<Vec<LostAttempt>, StoreError> {
        self.all(
            "SELECT attempt, sites, lost, round, reason FROM attempts
             WHERE study = ?1 ORDER BY attempt",
            [id.as_str()],
            |row| {
                let sites: String = row.get(1)?;
                Ok(LostAttempt {
                    attempt: row.get(0)?,
                    sites: sites.split(',').filter_map(|s| SiteId::parse(s).ok()).collect(),
                    lost: parsed(row, 2)?,
                    round: row.get::<_, i64>(3)? as u64,
                    reason: row.get(4)?,
                })
            },
        )
    }

    /// Keeps what a site said when its cohort was frozen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_enlisted(
        &self,
        id: &StudyId,
        site: &SiteId,
        enlisted: &EnlistedSite,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(enlisted)
            .map_err(|error| StoreError::Damaged(error.to_string()))?;
        self.run(
            "UPDATE study_sites SET enlisted = ?3 WHERE study = ?1 AND site = ?2",
            (id.as_str(), site.as_str(), json),
        )?;
        Ok(())
    }

    /// Adds an answer to its site's and its round's account.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn add_traffic(
        &self,
        id: &StudyId,
        site: &SiteId,
        query: &Digest,
        traffic: &Traffic,
    ) -> Result<(), StoreError> {
        let (down, up) = (traffic.bytes_down as i64, traffic.bytes_up as i64);
        let mut db = self.db();
        let change = db.transaction()?;
        change.execute(
            "UPDATE study_sites SET bytes_down = bytes_down + ?3, bytes_up = bytes_up + ?4,
                    numbers_sent = numbers_sent + ?5, rounds = rounds + 1
             WHERE study = ?1 AND site = ?2",
            (id.as_str(), site.as_str(), down, up, traffic.numbers as i64),
        )?;
        change.execute(
            "INSERT INTO rounds (study, query, bytes_down, bytes_up) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (study, query) DO UPDATE SET
             bytes_down = bytes_down + ?3, bytes_up = bytes_up + ?4",
            (id.as_str(), query.to_string(), down, up),
        )?;
        change.commit()?;
        Ok(())
    }

    /// Notes how long a round took.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_round_time(&self, id: &StudyId, query: &Digest, ms: i64) -> Result<(), StoreError> {
        self.run(
            "UPDATE rounds SET took_ms = ?3 WHERE study = ?1 AND query = ?2 AND took_ms = 0",
            (id.as_str(), query.to_string(), ms),
        )?;
        Ok(())
    }

    /// What a round cost: bytes down, bytes up, milliseconds.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn round_cost(&self, id: &StudyId, query: &Digest) -> Result<[u64; 3], StoreError> {
        let found = self.one(
            "SELECT bytes_down, bytes_up, took_ms FROM rounds WHERE study = ?1 AND query = ?2",
            (id.as_str(), query.to_string()),
            |row| {
                let at = |i| row.get::<_, i64>(i).map(|v| v as u64);
                Ok([at(0)?, at(1)?, at(2)?])
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    /// A site's account: bytes down, bytes up, numbers sent, rounds.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn traffic(&self, id: &StudyId, site: &SiteId) -> Result<[u64; 4], StoreError> {
        let found = self.one(
            "SELECT bytes_down, bytes_up, numbers_sent, rounds FROM study_sites
             WHERE study = ?1 AND site = ?2",
            (id.as_str(), site.as_str()),
            |row| {
                let at = |i| row.get::<_, i64>(i).map(|v| v as u64);
                Ok([at(0)?, at(1)?, at(2)?, at(3)?])
            },
        )?;
        Ok(found.unwrap_or_default())
    }

    /// Keeps a file that a study leaves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_artefact(
        &self,
        id: &StudyId,
        artefact: Artefact,
        bytes: &[u8],
    ) -> Result<Digest, StoreError> {
        let digest = self.put_file(bytes)?;
        self.run(
            "INSERT INTO artefacts (study, name, digest) VALUES (?1, ?2, ?3)
             ON CONFLICT (study, name) DO UPDATE SET digest = ?3",
            (id.as_str(), artefact.word(), digest.to_string()),
        )?;
        Ok(digest)
    }

    /// A file that a study left, if it did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn artefact(
        &self,
        id: &StudyId,
        artefact: Artefact,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let digest: Option<Digest> = self.one(
            "SELECT digest FROM artefacts WHERE study = ?1 AND name = ?2",
            (id.as_str(), artefact.word()),
            |row| parsed(row, 0),
        )?;
        digest.map(|digest| self.file(&digest)).transpose()
    }

    /// Adds an event and returns it with its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn add_event(
        &self,
        id: &StudyId,
        kind: &str,
        json: &str,
        now: Timestamp,
    ) -> Result<StoredEvent, StoreError> {
        let sequence = self.one(
            "INSERT INTO events (study, sequence, time_ms, kind, json)
             VALUES (?1, (SELECT coalesce(max(sequence), 0) + 1 FROM events WHERE study = ?1),
                     ?2, ?3, ?4) RETURNING sequence",
            (id.as_str(), now.0, kind, json),
            |row| row.get::<_, i64>(0),
        )?;
        let sequence = sequence.ok_or_else(|| {
            StoreError::Damaged("an inserted event came back without number".into())
        })?;
        let (kind, json) = (kind.to_owned(), json.to_owned());
        Ok(StoredEvent { sequence: sequence as u64, time: now, kind, json })
    }

    /// Events after a number, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn events(&self, id: &StudyId, after: u64) -> Result<Vec<StoredEvent>, StoreError> {
        self.all(
            "SELECT sequence, time_ms, kind, json FROM events
             WHERE study = ?1 AND sequence > ?2 ORDER BY sequence",
            (id.as_str(), after as i64),
            |row| {
                Ok(StoredEvent {
                    sequence: row.get::<_, i64>(0)? as u64,
                    time: Timestamp(row.get(1)?),
                    kind: row.get(2)?,
                    json: row.get(3)?,
                })
            },
        )
    }

    fn sites_where(
        &self,
        id: &StudyId,
        condition: &str,
    ) -> Result<Vec<(SiteId, Option<EnlistedSite>)>, StoreError> {
        let sql = format!(
            "SELECT site, enlisted FROM study_sites WHERE study = ?1 AND {condition} ORDER BY site"
        );
        let rows: Vec<(SiteId, String)> =
            self.all(&sql, [id.as_str()], |row| Ok((parsed(row, 0)?, row.get(1)?)))?;
        rows.into_iter()
            .map(|(site, json)| match json.is_empty() {
                true => Ok((site, None)),
                false => serde_json::from_str(&json)
                    .map(|enlisted| (site, Some(enlisted)))
                    .map_err(|error| StoreError::Damaged(error.to_string())),
            })
            .collect()
    }
}

fn read_study(row: &rusqlite::Row<'_>) -> rusqlite::Result<StudyRecord> {
    Ok(StudyRecord {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        toml: row.get(2)?,
        state: parsed(row, 3)?,
        reason: row.get(4)?,
        submitted_by: row.get(5)?,
        submitted: Timestamp(row.get(6)?),
        ended: Timestamp(row.get(7)?),
        parent: row.get(8)?,
    })
}
