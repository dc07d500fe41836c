DROP TABLE replant_moved;
CREATE TABLE replant_changes_5 (
  step         TEXT NOT NULL,
  chunk_id     BIGINT,
  target_table TEXT NOT NULL,
  target_id    BIGINT NOT NULL,
  legacy_key   BIGINT,
  what         TEXT NOT NULL,
  value_before TEXT,
  value_after  TEXT
);
INSERT INTO replant_changes_5
  SELECT step, chunk_id, target_table, target_id, legacy_key, what, value_before, value_after FROM replant_changes
   WHERE target_id IS NOT NULL;
DROP TABLE replant_changes;
ALTER TABLE replant_changes_5 RENAME TO replant_changes;
CREATE INDEX replant_changes_row ON replant_changes (target_table, target_id);
ALTER TABLE replant_chunks DROP COLUMN digest;
DROP TABLE replant_imprints;
