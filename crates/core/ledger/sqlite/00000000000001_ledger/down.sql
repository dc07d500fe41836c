-- Drops the whole record of the migration. The target's rows stay.
DROP TABLE replant_constraints;
DROP TABLE replant_mends;
DROP TABLE replant_frozen;
DROP TABLE replant_changes;
DROP TABLE replant_quarantine;
DROP TABLE replant_repairs;
DROP TABLE replant_outcomes;
DROP TABLE replant_money;
DROP TABLE replant_chunks;
DROP TABLE replant_id_blocks;
DROP TABLE replant_steps;
DROP TABLE replant_runs;
