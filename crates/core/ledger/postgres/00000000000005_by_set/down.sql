ALTER TABLE replant.replant_chunks DROP COLUMN by_set;
ALTER TABLE replant.replant_steps DROP COLUMN orphans;
