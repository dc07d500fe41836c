-- What was written, row by row: the values of each row as the target was to hold them, by chunk and table.
CREATE TABLE replant_imprints (
  chunk_id     BIGINT NOT NULL,
  target_table TEXT NOT NULL,
  rows         BIGINT NOT NULL,
  first_id     BIGINT,                  -- the lowest id among them, where rows have one
  last_id      BIGINT,                  -- the highest
  data         BLOB NOT NULL,           -- by columns, compressed
  PRIMARY KEY (chunk_id, target_table)
);
CREATE INDEX replant_imprints_ids ON replant_imprints (target_table, last_id);

-- A hash of the verdicts of a chunk, as they were judged last; NULL where the target does not hold all that they say.
ALTER TABLE replant_chunks ADD COLUMN digest BLOB;

-- What was done to rows, as columns before and after. Of a row without `id`, `target_key` has the columns of its key.
CREATE TABLE replant_changes_6 (
  id           INTEGER PRIMARY KEY,
  step         TEXT NOT NULL,
  chunk_id     BIGINT, -- NULL: changed when the step was finished
  target_table TEXT NOT NULL,
  target_id    BIGINT,
  target_key   TEXT,
  legacy_key   BIGINT,                  -- the legacy row for whose sake
  what         TEXT NOT NULL,
  value_before TEXT,                    -- columns as JSON; NULL: the row was not there
  value_after  TEXT,                    -- the same columns; NULL: the row was taken out
  in_imprint   BOOLEAN NOT NULL DEFAULT 0 -- the imprint of the row tells it too
);
INSERT INTO replant_changes_6 (step, chunk_id, target_table, target_id, legacy_key, what, value_before, value_after)
  SELECT step, chunk_id, target_table, target_id, legacy_key, what, value_before, value_after FROM replant_changes;
DROP TABLE replant_changes;
ALTER TABLE replant_changes_6 RENAME TO replant_changes;
CREATE INDEX replant_changes_row ON replant_changes (target_table, target_id);

-- Rows that have left their chunk because they follow a leader elsewhere, until the leader's chunk takes them.
CREATE TABLE replant_moved (
  step       TEXT NOT NULL,
  legacy_key BIGINT NOT NULL,
  data       BLOB NOT NULL,             -- what was recorded of the row, and what was written for it
  PRIMARY KEY (step, legacy_key)
);
