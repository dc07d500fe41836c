ALTER TABLE replant_chunks DROP COLUMN token;
ALTER TABLE replant_runs DROP COLUMN beat_at;
ALTER TABLE replant_runs DROP COLUMN scope;
