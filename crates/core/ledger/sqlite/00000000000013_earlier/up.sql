-- What the ledger said of a chunk before the last state of the legacy database changed it: so that state can be taken back.
CREATE TABLE replant_earlier (
  chunk_id   BIGINT PRIMARY KEY,        -- of what the end of a step has noted: less than 0, by the place of the step
  generation BIGINT NOT NULL,           -- the state that changed it
  data       BLOB NOT NULL               -- all that is kept of the chunk, packed
);
