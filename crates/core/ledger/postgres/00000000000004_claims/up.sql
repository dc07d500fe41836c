-- A claim is committed without waiting for the disk, so a crash of the server can take it back, and the same chunk be claimed
-- again with the same epoch and another range: its token tells the claims apart.
ALTER TABLE replant.replant_chunks ADD COLUMN token TEXT;

-- When a run gave its last sign of life, and the domains or steps to which it is limited (JSON; NULL: all).
ALTER TABLE replant.replant_runs ADD COLUMN beat_at TIMESTAMPTZ;
ALTER TABLE replant.replant_runs ADD COLUMN scope TEXT;
