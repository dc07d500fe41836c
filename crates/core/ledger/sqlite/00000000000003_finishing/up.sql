-- The end of a step: parts that are committed one after the other, then unique indexes.
ALTER TABLE replant_steps ADD COLUMN parts_done BIGINT NOT NULL DEFAULT 0; -- of its end
-- SQLite cannot alter a CHECK, and other tables point to this one: its text is changed, as sqlite.org/lang_altertable.html has it.
PRAGMA writable_schema = ON;
UPDATE sqlite_master SET sql = replace(sql, 'state IN (''planned'', ''done'')', 'state IN (''planned'', ''indexing'', ''done'')')
 WHERE type = 'table' AND name = 'replant_steps';
PRAGMA writable_schema = RESET;

-- Ids of a block are `step_by` apart: not every sequence counts by ones.
ALTER TABLE replant_id_blocks ADD COLUMN step_by BIGINT NOT NULL DEFAULT 1 CHECK (step_by > 0);
