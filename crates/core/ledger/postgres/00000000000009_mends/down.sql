ALTER TABLE replant.replant_mends DROP COLUMN set_aside;
ALTER TABLE replant.replant_mends DROP COLUMN read_as;
