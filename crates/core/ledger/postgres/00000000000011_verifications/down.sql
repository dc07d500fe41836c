ALTER TABLE replant.replant_imprints DROP COLUMN written_by;
DROP TABLE replant.replant_verifications;
