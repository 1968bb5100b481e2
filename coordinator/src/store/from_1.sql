-- From format 1 of the coordinator's database to format 2: a journal may keep decisions. SQLite changes no
-- constraint of a table that is there, so the lines move to a new one.

BEGIN;

ALTER TABLE journal RENAME TO journal_1;

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

INSERT INTO journal (study, sequence, query, total, file, what, sites, numbers, time_ms, chain)
SELECT study, sequence, query, total, file, what, sites, numbers, time_ms, chain FROM journal_1;

DROP TABLE journal_1;

PRAGMA user_version = 2;

COMMIT;
