ALTER TABLE replant.replant_chunks DROP COLUMN waits;
