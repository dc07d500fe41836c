-- What a chunk left behind is found by the chunk: a lineage of all rows, and a replay, ask for it chunk by chunk.
CREATE INDEX replant_repairs_chunk ON replant_repairs (chunk_id);
CREATE INDEX replant_quarantine_chunk ON replant_quarantine (chunk_id);
