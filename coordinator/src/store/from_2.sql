-- From format 2 of the coordinator's database to format 3: certificates are kept whole. Of those issued before there is
-- the serial number alone.

BEGIN;

ALTER TABLE certificates ADD COLUMN pem TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 3;

COMMIT;
