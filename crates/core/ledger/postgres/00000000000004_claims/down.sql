ALTER TABLE replant.replant_chunks DROP COLUMN token;
ALTER TABLE replant.replant_runs DROP COLUMN beat_at;
ALTER TABLE replant.replant_runs DROP COLUMN scope;
