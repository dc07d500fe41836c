-- The legacy rows of a chunk as they were read last: where one is gone, it counts as it was.
CREATE TABLE replant.replant_seen (
  chunk_id BIGINT PRIMARY KEY,
  data     BYTEA NOT NULL               -- by columns, compressed
);
ALTER TABLE replant.replant_seen ALTER COLUMN data SET STORAGE EXTERNAL;
