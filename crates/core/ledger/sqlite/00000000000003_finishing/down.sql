ALTER TABLE replant_id_blocks DROP COLUMN step_by;
UPDATE replant_steps SET state = 'planned' WHERE state = 'indexing';
PRAGMA writable_schema = ON;
UPDATE sqlite_master SET sql = replace(sql, 'state IN (''planned'', ''indexing'', ''done'')', 'state IN (''planned'', ''done'')')
 WHERE type = 'table' AND name = 'replant_steps';
PRAGMA writable_schema = RESET;
ALTER TABLE replant_steps DROP COLUMN parts_done;
