-- The ledger: what was done, by which run, and what became of every legacy row. Our own tables, told apart by their prefix.
-- Counts are rows. Times are UTC. Payloads are postcard, read by replant-core alone.

CREATE TABLE replant_runs (            -- one invocation against one environment
  id          TEXT NOT NULL PRIMARY KEY, -- host:pid:random, the owner of the chunks that it claims
  environment TEXT NOT NULL,
  version     TEXT NOT NULL,            -- of Replant
  snapshot_at TIMESTAMPTZ NOT NULL,       -- the legacy snapshot that it read
  started_at  TIMESTAMPTZ NOT NULL,
  ended_at    TIMESTAMPTZ,
  state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
  reason      TEXT                      -- why it stopped or failed
);

CREATE TABLE replant_steps (           -- the plan: one row a step, written once
  name         TEXT NOT NULL PRIMARY KEY,
  position     BIGINT NOT NULL,
  legacy_table TEXT NOT NULL,
  target_table TEXT NOT NULL,
  legacy_rows  BIGINT NOT NULL,
  legacy_keys  BLOB NOT NULL,          -- the keys as they were when planned
  state        TEXT NOT NULL CHECK (state IN ('planned', 'done')),
  planned_at   TIMESTAMPTZ NOT NULL,
  done_at      TIMESTAMPTZ
);

CREATE TABLE replant_id_blocks (       -- ids reserved from the target's sequences
  step         TEXT NOT NULL REFERENCES replant_steps,
  target_table TEXT NOT NULL,
  first_id     BIGINT NOT NULL,
  ids          BIGINT NOT NULL CHECK (ids > 0),
  handed_out   TEXT NOT NULL CHECK (handed_out IN ('planned', 'finished')), -- one for each legacy row, or some at the end
  PRIMARY KEY (target_table, first_id)
);

CREATE TABLE replant_chunks (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  step        TEXT NOT NULL REFERENCES replant_steps,
  lo          BIGINT NOT NULL,
  hi          BIGINT NOT NULL,
  keys        BIGINT NOT NULL,             -- legacy keys in the range
  state       TEXT NOT NULL CHECK (state IN ('free', 'claimed', 'done')),
  owner       TEXT,
  epoch       BIGINT NOT NULL DEFAULT 0,   -- grows with every claim: a worker that lost its chunk cannot close it
  lease_until TIMESTAMPTZ,
  attempts    BIGINT NOT NULL DEFAULT 0,
  reason      TEXT,                     -- of the last failure
  rows_read   BIGINT NOT NULL DEFAULT 0,
  migrated    BIGINT NOT NULL DEFAULT 0,
  merged      BIGINT NOT NULL DEFAULT 0,
  skipped     BIGINT NOT NULL DEFAULT 0,
  quarantined BIGINT NOT NULL DEFAULT 0,
  repairs     BIGINT NOT NULL DEFAULT 0,
  busy_ms     BIGINT NOT NULL DEFAULT 0,   -- reading, transforming and writing
  done_at     TIMESTAMPTZ,
  record      BLOB,                    -- the migrated rows: key, target, fingerprint
  CHECK (lo <= hi),
  CHECK (state <> 'done' OR rows_read = migrated + merged + skipped + quarantined),
  UNIQUE (step, lo)
);
CREATE INDEX replant_chunks_open ON replant_chunks (step, lo) WHERE state <> 'done';

CREATE TABLE replant_money (           -- read = migrated + merged + skipped + quarantined + repaired, in minor units
  step        TEXT NOT NULL REFERENCES replant_steps,
  chunk_id    BIGINT, -- NULL: when the step was finished
  currency    TEXT NOT NULL,
  flow        TEXT NOT NULL,            -- exact decimals, as JSON
  UNIQUE (chunk_id, currency)
);
CREATE INDEX replant_money_step ON replant_money (step);

CREATE TABLE replant_outcomes (        -- rows that were merged, skipped or quarantined, and followers; migrated leaders are in replant_chunks.record
  step       TEXT NOT NULL,
  legacy_key BIGINT NOT NULL,
  chunk_id   BIGINT NOT NULL,
  outcome    TEXT NOT NULL CHECK (outcome IN ('migrated', 'merged', 'skipped', 'quarantined')),
  code       TEXT CHECK ((code IS NULL) = (outcome = 'migrated')),
  target_table TEXT CHECK ((target_table IS NULL) = (outcome <> 'migrated')), -- of a follower that is a row of its own
  target_id  BIGINT,                       -- its row; of a merged row: what it went into
  PRIMARY KEY (step, legacy_key)
);
CREATE INDEX replant_outcomes_chunk ON replant_outcomes (chunk_id);

CREATE TABLE replant_repairs (
  step         TEXT NOT NULL,
  legacy_key   BIGINT NOT NULL,
  chunk_id     BIGINT, -- NULL: noted when another step was finished
  by_step      TEXT,                    -- that step
  code         TEXT NOT NULL,
  column_name  TEXT NOT NULL,
  value_before TEXT,
  value_after  TEXT
);
CREATE INDEX replant_repairs_row ON replant_repairs (step, legacy_key);

CREATE TABLE replant_quarantine (
  step           TEXT NOT NULL,
  legacy_key     BIGINT NOT NULL,
  chunk_id       BIGINT NOT NULL,
  code           TEXT NOT NULL,
  reason         TEXT NOT NULL,
  root_step      TEXT NOT NULL,         -- the row that it waits for; its own where it waits for none
  root_key       BIGINT NOT NULL,
  legacy_row     TEXT NOT NULL,         -- the whole legacy row, as JSON
  money          TEXT NOT NULL,         -- what it carries by currency, in exact minor units, as JSON
  quarantined_at TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (step, legacy_key)
);
CREATE INDEX replant_quarantine_root ON replant_quarantine (root_step, root_key);

CREATE TABLE replant_changes (         -- target rows that were there before and that a step changed
  step         TEXT NOT NULL,
  chunk_id     BIGINT, -- NULL: changed when the step was finished
  target_table TEXT NOT NULL,
  target_id    BIGINT NOT NULL,
  legacy_key   BIGINT,                     -- the legacy row for whose sake
  what         TEXT NOT NULL,
  value_before TEXT,                    -- a value, or several as JSON
  value_after  TEXT
);
CREATE INDEX replant_changes_row ON replant_changes (target_table, target_id);

CREATE TABLE replant_frozen (          -- the live target as a step saw it first: later reads of it must not differ
  name TEXT NOT NULL PRIMARY KEY,
  data BLOB NOT NULL
);

CREATE TABLE replant_mends (           -- legacy rows as a person mended them: they are read in the place of the legacy ones
  legacy_table TEXT NOT NULL,
  legacy_key   BIGINT NOT NULL,
  legacy_row   TEXT NOT NULL,           -- the whole row, as JSON
  mended_at    TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (legacy_table, legacy_key)
);

CREATE TABLE replant_constraints (     -- what loads dropped of an offline platform: nothing in SQLite, whose loads drop nothing
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  step        TEXT NOT NULL,
  table_name  TEXT NOT NULL,
  name        TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('foreign key', 'index')),
  definition  TEXT NOT NULL,
  refuses     TEXT CHECK ((refuses IS NULL) = (kind = 'index')),
  tablespace  TEXT,
  remark      TEXT,
  dropped_at  TIMESTAMPTZ NOT NULL,
  restored_at TIMESTAMPTZ
);
