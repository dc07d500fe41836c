DROP INDEX replant_quarantine_chunk;
DROP INDEX replant_repairs_chunk;
