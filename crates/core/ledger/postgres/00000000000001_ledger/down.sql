-- Drops the whole record of the migration. The target's rows stay.
DROP SCHEMA replant CASCADE;
