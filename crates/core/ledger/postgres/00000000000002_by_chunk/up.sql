-- What a chunk left behind is found by the chunk: a lineage of all rows, and a replay, ask for it chunk by chunk.
CREATE INDEX replant_repairs_chunk ON replant.replant_repairs (chunk_id);
CREATE INDEX replant_quarantine_chunk ON replant.replant_quarantine (chunk_id);

-- Fingerprints do not compress: the attempt is spared.
ALTER TABLE replant.replant_chunks ALTER COLUMN record SET STORAGE EXTERNAL;
