-- States of the legacy database, one after the other. The first is that of the migration; each later one a catch-up.
CREATE TABLE replant_generations (
  n           BIGINT NOT NULL PRIMARY KEY,
  snapshot_at TIMESTAMPTZ NOT NULL,     -- when the legacy database was frozen
  begun_at    TIMESTAMPTZ NOT NULL,
  ended_at    TIMESTAMPTZ               -- NULL: it is under way
);
INSERT INTO replant_generations (n, snapshot_at, begun_at, ended_at)
  SELECT 1, snapshot_at, started_at, CASE WHEN EXISTS (SELECT 1 FROM replant_runs WHERE state = 'done') THEN ended_at END
    FROM replant_runs ORDER BY started_at LIMIT 1;

-- Legacy keys that a later state added: they have ids and chunks of their own.
CREATE TABLE replant_added (
  step       TEXT NOT NULL REFERENCES replant_steps,
  generation BIGINT NOT NULL,
  keys       BLOB NOT NULL,
  PRIMARY KEY (step, generation)
);

-- Legacy keys of a step that are not there any more.
CREATE TABLE replant_gone (
  step       TEXT NOT NULL PRIMARY KEY REFERENCES replant_steps,
  keys       BLOB NOT NULL
);

-- The generation whose keys a chunk has, and that of ids; the one in which a change was made. Nothing points to chunks.
CREATE TABLE replant_chunks_7 (
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
  generation  BIGINT NOT NULL DEFAULT 1,
  carried     BLOB,                     -- what the rows carry, row by row: the sums go on when rows have gone
  CHECK (lo <= hi),
  CHECK (state <> 'done' OR rows_read = migrated + merged + skipped + quarantined),
  UNIQUE (step, generation, lo)
);
INSERT INTO replant_chunks_7 (id, step, lo, hi, keys, state, owner, epoch, lease_until, attempts, reason, rows_read, migrated, merged, skipped, quarantined, repairs, busy_ms, done_at, record, token, by_set, digest)
  SELECT id, step, lo, hi, keys, state, owner, epoch, lease_until, attempts, reason, rows_read, migrated, merged, skipped, quarantined, repairs, busy_ms, done_at, record, token, by_set, digest FROM replant_chunks;
DROP TABLE replant_chunks;
ALTER TABLE replant_chunks_7 RENAME TO replant_chunks;
CREATE INDEX replant_chunks_open ON replant_chunks (step, lo) WHERE state <> 'done';
ALTER TABLE replant_id_blocks ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE replant_changes ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;

CREATE INDEX replant_changes_key ON replant_changes (step, legacy_key);

-- Legacy keys of which no row was ever read: it had gone between the plan and the chunk. They stand outside of all counts.
CREATE TABLE replant_unread (
  step       TEXT NOT NULL,
  legacy_key BIGINT NOT NULL,
  chunk_id   BIGINT NOT NULL,
  PRIMARY KEY (step, legacy_key)
);

-- What customers keep although the source says otherwise now: the columns of a row; none where they have removed it.
CREATE TABLE replant_conflicts (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  step         TEXT NOT NULL,
  chunk_id     BIGINT,                    -- NULL: found at the end of the step
  legacy_key   BIGINT,
  target_table TEXT NOT NULL,
  target_id    BIGINT,
  target_key   TEXT,                      -- of a row without id, as JSON
  column_names TEXT NOT NULL,             -- as JSON
  generation   BIGINT NOT NULL
);
CREATE INDEX replant_conflicts_chunk ON replant_conflicts (step, chunk_id);

-- Rows that came in in a later state than that which added their keys: the state.
CREATE TABLE replant_first (
  step       TEXT NOT NULL,
  legacy_key BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  PRIMARY KEY (step, legacy_key)
);
