ALTER TABLE replant_imprints DROP COLUMN written_by;
DROP TABLE replant_verifications;
