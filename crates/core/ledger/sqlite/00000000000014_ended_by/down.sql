ALTER TABLE replant_steps DROP COLUMN ended_by;
