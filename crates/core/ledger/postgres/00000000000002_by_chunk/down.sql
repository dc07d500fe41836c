ALTER TABLE replant.replant_chunks ALTER COLUMN record SET STORAGE EXTENDED;
DROP INDEX replant.replant_quarantine_chunk;
DROP INDEX replant.replant_repairs_chunk;
