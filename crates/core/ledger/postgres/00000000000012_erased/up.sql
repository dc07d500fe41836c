-- Legacy rows of persons who have asked to be forgotten: what is read in the place of their cells. No value of theirs stands here.
CREATE TABLE replant.replant_erased (
  legacy_table TEXT NOT NULL,
  legacy_key   BIGINT NOT NULL,
  cells        TEXT NOT NULL,           -- JSON: by column, what is read in its place
  kept         TEXT,                    -- JSON: of a row that is the person's, the columns that are read as they stand: all
                                        -- others are NULL. NULL: all others are read as they stand
  erased_at    TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (legacy_table, legacy_key)
);

-- Rows of the target that are such a person's.
CREATE TABLE replant.replant_erased_rows (
  target_table TEXT NOT NULL,
  target_id    BIGINT NOT NULL,
  mark         TEXT NOT NULL,           -- stands for the address of the person
  held         TEXT NOT NULL,           -- JSON: the columns that hold values of the person
  PRIMARY KEY (target_table, target_id)
);
