-- Format 3 of the coordinator's database.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

-- Sites and people. A revoked or departed member keeps its row.
CREATE TABLE members (
    kind TEXT NOT NULL CHECK (kind IN ('site', 'user')),
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('enrolled', 'revoked', 'left')),
    since_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL DEFAULT 0,
    software TEXT NOT NULL DEFAULT '',
    device TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, id)
) STRICT;

-- Every certificate issued. Only those in here that aren't revoked are admitted.
CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    not_after_ms INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0,
    -- The certificate; empty where it was issued before format 3.
    pem TEXT NOT NULL DEFAULT ''
) STRICT;

-- One-time invitations; only the token's hash is kept.
CREATE TABLE invites (
    hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER NOT NULL DEFAULT 0,
    -- Digest of the public key that it was used with, for a join that was cut and asks again; empty
    -- when unused, or when the enrolment it led to is over.
    key TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE studies (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    toml TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    submitted_by TEXT NOT NULL,
    submitted_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL DEFAULT 0,
    token TEXT NOT NULL DEFAULT '',
    parent TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX studies_by_token ON studies (submitted_by, token) WHERE token <> '';

-- The sites of a study; `lost` ones were given up in an attempt.
CREATE TABLE study_sites (
    study TEXT NOT NULL REFERENCES studies (id),
    site TEXT NOT NULL,
    lost INTEGER NOT NULL DEFAULT 0,
    -- What the site said when its cohort was frozen, JSON; empty before.
    enlisted TEXT NOT NULL DEFAULT '',
    bytes_down INTEGER NOT NULL DEFAULT 0,
    bytes_up INTEGER NOT NULL DEFAULT 0,
    numbers_sent INTEGER NOT NULL DEFAULT 0,
    rounds INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (study, site)
) STRICT;

-- The journal. `query` and `total` are digests of the encoded query and total. `file` is the file with
-- the compressed total; or, where `decision` isn't empty, with the compressed decision of that digest,
-- which is kept in the total's place, and was taken for that `purpose`. `chain` is the hash of the line before and of this one. Queries
-- aren't kept: a replay makes them again and is checked by their digest.
CREATE TABLE journal (
    study TEXT NOT NULL REFERENCES studies (id),
    sequence INTEGER NOT NULL,
    query TEXT NOT NULL,
    purpose TEXT NOT NULL DEFAULT '',
    total TEXT NOT NULL,
    decision TEXT NOT NULL DEFAULT '',
    file TEXT NOT NULL,
    what TEXT NOT NULL,
    sites TEXT NOT NULL,
    numbers INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    chain TEXT NOT NULL,
    PRIMARY KEY (study, sequence),
    UNIQUE (study, query, purpose)
) STRICT;

-- Digests of single sites' answers; the answers themselves are sealed files, removed with the journal's
-- decision where it keeps one.
CREATE TABLE answers (
    study TEXT NOT NULL REFERENCES studies (id),
    query TEXT NOT NULL,
    site TEXT NOT NULL,
    digest TEXT NOT NULL,
    lock TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    PRIMARY KEY (study, query, site)
) STRICT;

-- A wrapped key per study and site; without it that site's answers can't be read.
CREATE TABLE sealing_keys (
    study TEXT NOT NULL,
    site TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (study, site)
) STRICT;

-- What each round cost, all sites together.
CREATE TABLE rounds (
    study TEXT NOT NULL REFERENCES studies (id),
    query TEXT NOT NULL,
    bytes_down INTEGER NOT NULL DEFAULT 0,
    bytes_up INTEGER NOT NULL DEFAULT 0,
    took_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (study, query)
) STRICT;

-- Runs that lost a site and started again without it.
CREATE TABLE attempts (
    study TEXT NOT NULL REFERENCES studies (id),
    attempt INTEGER NOT NULL,
    sites TEXT NOT NULL,
    lost TEXT NOT NULL,
    round INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (study, attempt)
) STRICT;

CREATE TABLE artefacts (
    study TEXT NOT NULL REFERENCES studies (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (study, name)
) STRICT;

CREATE TABLE events (
    study TEXT NOT NULL REFERENCES studies (id),
    sequence INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (study, sequence)
) STRICT;

-- Who did what and when.
CREATE TABLE deeds (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;
