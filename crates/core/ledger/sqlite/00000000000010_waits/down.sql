ALTER TABLE replant_chunks DROP COLUMN waits;
