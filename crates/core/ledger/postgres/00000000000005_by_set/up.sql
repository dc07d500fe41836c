-- Whether foreign keys of the chunk's rows were checked by sets, and the rows without a parent that the step then had, as its end
-- looked for them (NULL: it did not look).
ALTER TABLE replant.replant_chunks ADD COLUMN by_set BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE replant.replant_steps ADD COLUMN orphans BIGINT;
