ALTER TABLE replant.replant_steps DROP COLUMN ended_by;
