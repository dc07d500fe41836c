-- Verifications, a row a step: how every row of it stood when it was read on both sides.
CREATE TABLE replant_verifications (
  step        TEXT NOT NULL,
  verified_at TIMESTAMPTZ NOT NULL,
  version     TEXT NOT NULL,            -- of the program
  generation  BIGINT NOT NULL,          -- the state of the legacy database to which the target was brought
  against     TEXT NOT NULL CHECK (against IN ('source', 'ledger')), -- 'ledger': the legacy rows were not judged again
  rows        BIGINT NOT NULL,          -- target rows that the ledger says were written
  equal       BIGINT NOT NULL,
  changed     BIGINT NOT NULL,          -- by somebody on the platform, since
  removed     BIGINT NOT NULL,
  added       BIGINT NOT NULL,          -- parts of our rows that somebody else has added
  stale       BIGINT NOT NULL,
  unexpected  BIGINT NOT NULL,
  defects     BIGINT NOT NULL,
  unexplained BIGINT NOT NULL,
  PRIMARY KEY (step, verified_at)
);

-- The transaction that wrote the rows of a chunk into a table first, with the server and the database in which it did:
-- a row that still has it as its xmin was touched by nobody. NULL: nobody knows.
ALTER TABLE replant_imprints ADD COLUMN written_by TEXT;
