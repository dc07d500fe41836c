-- The run that has done the end of a step, so that it can be taken back with the run: of several that moved it, the last one.
ALTER TABLE replant.replant_steps ADD COLUMN ended_by TEXT;
