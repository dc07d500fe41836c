ALTER TABLE replant.replant_id_blocks DROP COLUMN step_by;
UPDATE replant.replant_steps SET state = 'planned' WHERE state = 'indexing';
ALTER TABLE replant.replant_steps DROP CONSTRAINT replant_steps_state_check;
ALTER TABLE replant.replant_steps ADD CONSTRAINT replant_steps_state_check CHECK (state IN ('planned', 'done'));
ALTER TABLE replant.replant_steps DROP COLUMN parts_done;
