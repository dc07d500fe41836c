-- The legacy rows of a chunk as they were read last: where one is gone, it counts as it was.
CREATE TABLE replant_seen (
  chunk_id INTEGER PRIMARY KEY,
  data     BLOB NOT NULL                -- by columns, compressed
);
