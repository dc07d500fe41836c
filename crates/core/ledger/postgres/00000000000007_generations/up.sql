-- States of the legacy database, one after the other. The first is that of the migration; each later one a catch-up.
CREATE TABLE replant.replant_generations (
  n           BIGINT NOT NULL PRIMARY KEY,
  snapshot_at TIMESTAMPTZ NOT NULL,     -- when the legacy database was frozen
  begun_at    TIMESTAMPTZ NOT NULL,
  ended_at    TIMESTAMPTZ               -- NULL: it is under way
);
INSERT INTO replant.replant_generations (n, snapshot_at, begun_at, ended_at)
  SELECT 1, snapshot_at, started_at, CASE WHEN EXISTS (SELECT FROM replant.replant_runs WHERE state = 'done') THEN ended_at END
    FROM replant.replant_runs ORDER BY started_at LIMIT 1;

-- Legacy keys that a later state added: they have ids and chunks of their own.
CREATE TABLE replant.replant_added (
  step       TEXT NOT NULL REFERENCES replant.replant_steps,
  generation BIGINT NOT NULL,
  keys       BYTEA NOT NULL,
  PRIMARY KEY (step, generation)
);

-- Legacy keys of a step that are not there any more.
CREATE TABLE replant.replant_gone (
  step       TEXT NOT NULL PRIMARY KEY REFERENCES replant.replant_steps,
  keys       BYTEA NOT NULL
);

-- The generation whose keys a chunk has, and that of ids; the one in which a change was made.
ALTER TABLE replant.replant_chunks ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE replant.replant_chunks DROP CONSTRAINT replant_chunks_step_lo_key;
ALTER TABLE replant.replant_chunks ADD CONSTRAINT replant_chunks_step_lo_key UNIQUE (step, generation, lo);
ALTER TABLE replant.replant_id_blocks ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE replant.replant_changes ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;

CREATE INDEX replant_changes_key ON replant.replant_changes (step, legacy_key);

-- What the rows of a chunk carry, row by row: the sums of a chunk go on when its rows have gone.
ALTER TABLE replant.replant_chunks ADD COLUMN carried BYTEA;

-- Legacy keys of which no row was ever read: it had gone between the plan and the chunk. They stand outside of all counts.
CREATE TABLE replant.replant_unread (
  step       TEXT NOT NULL,
  legacy_key BIGINT NOT NULL,
  chunk_id   BIGINT NOT NULL,
  PRIMARY KEY (step, legacy_key)
);

-- What customers keep although the source says otherwise now: the columns of a row; none where they have removed it.
CREATE TABLE replant.replant_conflicts (
  id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  step         TEXT NOT NULL,
  chunk_id     BIGINT,                    -- NULL: found at the end of the step
  legacy_key   BIGINT,
  target_table TEXT NOT NULL,
  target_id    BIGINT,
  target_key   TEXT,                      -- of a row without id, as JSON
  column_names TEXT NOT NULL,             -- as JSON
  generation   BIGINT NOT NULL
);
CREATE INDEX replant_conflicts_chunk ON replant.replant_conflicts (step, chunk_id);

-- Rows that came in in a later state than that which added their keys: the state.
CREATE TABLE replant.replant_first (
  step       TEXT NOT NULL,
  legacy_key BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  PRIMARY KEY (step, legacy_key)
);
