-- A chunk that comes out as it did need not be written anew, but for what its target did not take.
ALTER TABLE replant.replant_chunks ADD COLUMN waits BOOLEAN NOT NULL DEFAULT FALSE; -- the target has not all that its verdicts say: it is tried each time
