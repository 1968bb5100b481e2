//! Sites and people: invitations, certificates, revocation.

use rusqlite::{Connection, OptionalExtension};
use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_core::ids::{Role, SiteId, UserId};

use super::{Store, StoreError, parsed};

/// Whom an invitation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitee {
    /// A hospital's agent.
    Site(SiteId),
    /// A person.
    User(UserId, Role),
}

impl Invitee {
    /// `site` or `user`.
    pub fn kind(&self) -> &'static str {
        match self {
            Invitee::Site(_) => "site",
            Invitee::User(..) => "user",
        }
    }

    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Invitee::Site(site) => site.as_str(),
            Invitee::User(user, _) => user.as_str(),
        }
    }

    fn role(&self) -> String {
        match self {
            Invitee::Site(_) => String::new(),
            Invitee::User(_, role) => role.to_string(),
        }
    }

    fn read(kind: &str, id: &str, role: &str) -> Result<Self, StoreError> {
        let damaged = |error: String| StoreError::Damaged(format!("{kind} '{id}': {error}"));
        match kind {
            "site" => SiteId::parse(id).map(Invitee::Site).map_err(|e| damaged(e.to_string())),
            _ => {
                let user = UserId::parse(id).map_err(|e| damaged(e.to_string()))?;
                Ok(Invitee::User(user, role.parse().map_err(damaged)?))
            }
        }
    }
}

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// Invited, not yet joined.
    Invited,
    /// Has a valid enrolment.
    Enrolled,
    /// Turned away by an operator.
    Revoked,
    /// Left by itself.
    Left,
}

impl MemberState {
    /// The state as a word.
    pub fn word(self) -> &'static str {
        match self {
            MemberState::Invited => "invited",
            MemberState::Enrolled => "enrolled",
            MemberState::Revoked => "revoked",
            MemberState::Left => "left",
        }
    }
}

impl std::str::FromStr for MemberState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        use MemberState::{Enrolled, Invited, Left, Revoked};
        let all = [Invited, Enrolled, Revoked, Left];
        all.into_iter().find(|s| s.word() == text).ok_or_else(|| format!("no state '{text}'"))
    }
}

/// A site or a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// A person's role; empty for a site.
    pub role: String,
    /// Where it stands.
    pub state: MemberState,
    /// Since when.
    pub since: Timestamp,
    /// When it last called; 0 when never.
    pub last_seen: Timestamp,
    /// When its newest certificate (or its invitation) ends.
    pub not_after: Timestamp,
    /// Software version it stated.
    pub software: String,
    /// Device it stated.
    pub device: String,
}

/// A certificate just issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewCertificate<'a> {
    /// Its serial number.
    pub serial: &'a str,
    /// When it ends.
    pub not_after: Timestamp,
    /// The certificate itself.
    pub pem: &'a str,
}

/// What became of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spent {
    /// It was good and is now used up.
    Accepted(Invitee),
    /// No invitation has it.
    Unknown,
    /// It was used before.
    Used(Timestamp),
    /// It ended.
    Expired(Timestamp),
}

const ADD_CERTIFICATE: &str = "INSERT INTO certificates (serial, kind, id, not_after_ms, pem) \
                               VALUES (?1, ?2, ?3, ?4, ?5)";

impl Store {
    /// Keeps an invitation. A member who is enrolled stays so until the new token is used.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn add_invite(
        &self,
        hash: &Digest,
        invitee: &Invitee,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO invites (hash, kind, id, role, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            (hash.to_string(), invitee.kind(), invitee.id(), invitee.role(), expires.0),
        )?;
        Ok(())
    }

    /// Whom a token invites, if it is good for this key: unused, or used with the same key by a
    /// join whose answer was lost. Nothing is used up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn invite(&self, hash: &Digest, key: &Digest, now: Timestamp) -> Result<Spent, StoreError> {
        invite(&self.db(), hash, key, now)
    }

    /// Uses a token up and enrols its member with a certificate, all or nothing. Certificates that
    /// the member had before are revoked. With the key that the token was used with already, it only
    /// adds the certificate: the answer before was lost.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    pub fn enrol(
        &self,
        hash: &Digest,
        key: &Digest,
        certificate: NewCertificate<'_>,
        software: &str,
        now: Timestamp,
    ) -> Result<Spent, StoreError> {
        let mut db = self.db();
        let change = db.transaction()?;
        let spent = invite(&change, hash, key, now)?;
        let Spent::Accepted(invitee) = &spent else { return Ok(spent) };
        let (kind, id) = (invitee.kind(), invitee.id());
        let first = change.execute(
            "UPDATE invites SET used_ms = ?2, key = ?3 WHERE hash = ?1 AND used_ms = 0",
            (hash.to_string(), now.0, key.to_string()),
        )?;
        if first == 1 {
            // What was joined with an earlier token is over.
            change.execute(
                "UPDATE invites SET key = '' WHERE kind = ?1 AND id = ?2 AND hash <> ?3",
                (kind, id, hash.to_string()),
            )?;
            change.execute(
                "UPDATE certificates SET revoked = 1 WHERE kind = ?1 AND id = ?2",
                (kind, id),
            )?;
            change.execute(
                "INSERT INTO members (kind, id, role, state, since_ms, software)
                 VALUES (?1, ?2, ?3, 'enrolled', ?4, ?5)
                 ON CONFLICT (kind, id) DO UPDATE SET
                 role = ?3, state = 'enrolled', since_ms = ?4, software = ?5",
                (kind, id, invitee.role(), now.0, software),
            )?;
        }
        let NewCertificate { serial, not_after, pem } = certificate;
        change.execute(ADD_CERTIFICATE, (serial, kind, id, not_after.0, pem))?;
        change.commit()?;
        Ok(spent)
    }

    /// Adds a renewed certificate of an enrolled member.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn add_certificate(
        &self,
        kind: &str,
        id: &str,
        certificate: NewCertificate<'_>,
    ) -> Result<(), StoreError> {
        let NewCertificate { serial, not_after, pem } = certificate;
        self.run(ADD_CERTIFICATE, (serial, kind, id, not_after.0, pem))?;
        Ok(())
    }

    /// Ends a member's enrolment; `false` when there is no such enrolled or invited member.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn end_membership(
        &self,
        kind: &str,
        id: &str,
        state: MemberState,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut db = self.db();
        let change = db.transaction()?;
        let member = change.execute(
            "UPDATE members SET state = ?3, since_ms = ?4
             WHERE kind = ?1 AND id = ?2 AND state = 'enrolled'",
            (kind, id, state.word(), now.0),
        )?;
        change.execute(
            "UPDATE certificates SET revoked = 1 WHERE kind = ?1 AND id = ?2",
            (kind, id),
        )?;
        change.execute("UPDATE invites SET key = '' WHERE kind = ?1 AND id = ?2", (kind, id))?;
        let invites = change.execute(
            "DELETE FROM invites WHERE kind = ?1 AND id = ?2 AND used_ms = 0",
            (kind, id),
        )?;
        change.commit()?;
        Ok(member + invites > 0)
    }

    /// Serials of all certificates that were issued, and whether they were revoked since.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn admitted_serials(&self) -> Result<Vec<(String, bool)>, StoreError> {
        self.all("SELECT serial, revoked FROM certificates", [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)? != 0))
        })
    }

    /// Every certificate of a member that is kept, as PEM, oldest first; revoked ones too.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn certificates(&self, kind: &str, id: &str) -> Result<Vec<String>, StoreError> {
        self.all(
            "SELECT pem FROM certificates WHERE kind = ?1 AND id = ?2 AND pem <> '' ORDER BY rowid",
            [kind, id],
            |row| row.get(0),
        )
    }

    /// The version of the software that a site stated last; empty where it stated none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn software_of(&self, site: &SiteId) -> Result<String, StoreError> {
        let found = self.one(
            "SELECT software FROM members WHERE kind = 'site' AND id = ?1",
            [site.as_str()],
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or_default())
    }

    /// Notes that a member called.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn seen(
        &self,
        kind: &str,
        id: &str,
        software: &str,
        device: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "UPDATE members SET last_seen_ms = ?3, software = ?4, device = ?5
             WHERE kind = ?1 AND id = ?2",
            (kind, id, now.0, software, device),
        )?;
        Ok(())
    }

    /// All members of a kind, open invitations of new ones included, by id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn members(&self, kind: &str) -> Result<Vec<Member>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Member {
                id: row.get(0)?,
                role: row.get(1)?,
                state: parsed(row, 2)?,
                since: Timestamp(row.get(3)?),
                last_seen: Timestamp(row.get(4)?),
                not_after: Timestamp(row.get(5)?),
                software: row.get(6)?,
                device: row.get(7)?,
            })
        };
        self.all(
            "SELECT id, role, state, since_ms, last_seen_ms,
                    coalesce((SELECT max(not_after_ms) FROM certificates c
                              WHERE c.kind = m.kind AND c.id = m.id AND c.revoked = 0), 0),
                    software, device
             FROM members m WHERE kind = ?1
             UNION ALL
             SELECT id, max(role), 'invited', 0, 0, max(expires_ms), '', '' FROM invites i
             WHERE kind = ?1 AND used_ms = 0
               AND NOT EXISTS (SELECT 1 FROM members m WHERE m.kind = i.kind AND m.id = i.id)
             GROUP BY id ORDER BY id",
            [kind],
            read,
        )
    }

    /// The sites that are enrolled, sorted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn enrolled_sites(&self) -> Result<Vec<SiteId>, StoreError> {
        self.all(
            "SELECT id FROM members WHERE kind = 'site' AND state = 'enrolled' ORDER BY id",
            [],
            |row| parsed(row, 0),
        )
    }

    /// Whether any person was ever enrolled.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn has_users(&self) -> Result<bool, StoreError> {
        let db = self.db();
        let found: Option<i64> = db
            .query_row("SELECT 1 FROM members WHERE kind = 'user' LIMIT 1", [], |row| row.get(0))
            .optional()?;
        Ok(found.is_some())
    }
}

/// What a token is good for.
fn invite(
    db: &Connection,
    hash: &Digest,
    key: &Digest,
    now: Timestamp,
) -> Result<Spent, StoreError> {
    let row = db
        .prepare_cached(
            "SELECT kind, id, role, expires_ms, used_ms, key FROM invites WHERE hash = ?1",
        )?
        .query_row([hash.to_string()], |row| {
            let words: (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((words, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?, row.get::<_, String>(5)?))
        })
        .optional()?;
    let Some(((kind, id, role), expires, used, used_with)) = row else {
        return Ok(Spent::Unknown);
    };
    if used != 0 && used_with != key.to_string() {
        return Ok(Spent::Used(Timestamp(used)));
    }
    if now.0 > expires {
        return Ok(Spent::Expired(Timestamp(expires)));
    }
    Ok(Spent::Accepted(Invitee::read(&kind, &id, &role)?))
}
