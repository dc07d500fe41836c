DROP TABLE replant.replant_first;
DROP INDEX replant.replant_changes_key;
DROP TABLE replant.replant_conflicts;
DROP TABLE replant.replant_unread;
ALTER TABLE replant.replant_chunks DROP COLUMN carried;
ALTER TABLE replant.replant_changes DROP COLUMN generation;
ALTER TABLE replant.replant_id_blocks DROP COLUMN generation;
ALTER TABLE replant.replant_chunks DROP COLUMN generation; -- and the constraint with it
ALTER TABLE replant.replant_chunks ADD CONSTRAINT replant_chunks_step_lo_key UNIQUE (step, lo);
DROP TABLE replant.replant_gone;
DROP TABLE replant.replant_added;
DROP TABLE replant.replant_generations;
