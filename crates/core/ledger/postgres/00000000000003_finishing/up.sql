-- The end of a step: parts that are committed one after the other, then unique indexes that are built beside the live site.
ALTER TABLE replant.replant_steps ADD COLUMN parts_done BIGINT NOT NULL DEFAULT 0; -- of its end
ALTER TABLE replant.replant_steps DROP CONSTRAINT replant_steps_state_check;
ALTER TABLE replant.replant_steps ADD CONSTRAINT replant_steps_state_check CHECK (state IN ('planned', 'indexing', 'done'));

-- Ids of a block are `step_by` apart: not every sequence counts by ones.
ALTER TABLE replant.replant_id_blocks ADD COLUMN step_by BIGINT NOT NULL DEFAULT 1 CHECK (step_by > 0);
