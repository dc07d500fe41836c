DROP TABLE replant_first;
DROP INDEX replant_changes_key;
DROP TABLE replant_conflicts;
DROP TABLE replant_unread;
ALTER TABLE replant_changes DROP COLUMN generation;
ALTER TABLE replant_id_blocks DROP COLUMN generation;
CREATE TABLE replant_chunks_6 (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  step        TEXT NOT NULL REFERENCES replant_steps,
  lo          BIGINT NOT NULL,
  hi          BIGINT NOT NULL,
  keys        BIGINT NOT NULL,          -- legacy keys in the range
  state       TEXT NOT NULL CHECK (state IN ('free', 'claimed', 'done')),
  owner       TEXT,
  epoch       BIGINT NOT NULL DEFAULT 0, -- grows with every claim: a worker that lost its chunk cannot close it
  lease_until TIMESTAMPTZ,
  attempts    BIGINT NOT NULL DEFAULT 0,
  reason      TEXT,                     -- of the last failure
  rows_read   BIGINT NOT NULL DEFAULT 0,
  migrated    BIGINT NOT NULL DEFAULT 0,
  merged      BIGINT NOT NULL DEFAULT 0,
  skipped     BIGINT NOT NULL DEFAULT 0,
  quarantined BIGINT NOT NULL DEFAULT 0,
  repairs     BIGINT NOT NULL DEFAULT 0,
  busy_ms     BIGINT NOT NULL DEFAULT 0, -- reading, transforming and writing
  done_at     TIMESTAMPTZ,
  record      BLOB,                     -- the migrated rows: key, target
  token       TEXT,                     -- of the last claim
  by_set      BOOLEAN NOT NULL DEFAULT 0,
  digest      BLOB,                     -- of the verdicts; NULL where the target does not hold all that they say
  CHECK (lo <= hi),
  CHECK (state <> 'done' OR rows_read = migrated + merged + skipped + quarantined),
  UNIQUE (step, lo)
);
INSERT INTO replant_chunks_6 SELECT id, step, lo, hi, keys, state, owner, epoch, lease_until, attempts, reason, rows_read, migrated, merged, skipped, quarantined, repairs, busy_ms, done_at, record, token, by_set, digest FROM replant_chunks;
DROP TABLE replant_chunks;
ALTER TABLE replant_chunks_6 RENAME TO replant_chunks;
CREATE INDEX replant_chunks_open ON replant_chunks (step, lo) WHERE state <> 'done';
DROP TABLE replant_gone;
DROP TABLE replant_added;
DROP TABLE replant_generations;
