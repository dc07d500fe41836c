DROP TABLE replant.replant_moved;
ALTER TABLE replant.replant_changes DROP COLUMN in_imprint;
DELETE FROM replant.replant_changes WHERE target_id IS NULL;
ALTER TABLE replant.replant_changes ALTER COLUMN target_id SET NOT NULL;
ALTER TABLE replant.replant_changes DROP COLUMN target_key;
ALTER TABLE replant.replant_changes DROP COLUMN id;
ALTER TABLE replant.replant_chunks DROP COLUMN digest;
DROP TABLE replant.replant_imprints;
