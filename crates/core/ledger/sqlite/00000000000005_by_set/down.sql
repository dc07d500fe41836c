ALTER TABLE replant_chunks DROP COLUMN by_set;
ALTER TABLE replant_steps DROP COLUMN orphans;
