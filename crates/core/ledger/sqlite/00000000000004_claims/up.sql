ALTER TABLE replant_chunks ADD COLUMN token TEXT;                -- of the last claim
ALTER TABLE replant_runs ADD COLUMN beat_at TEXT;                -- the last sign of life
ALTER TABLE replant_runs ADD COLUMN scope TEXT;                  -- domains or steps, as JSON; NULL: all
