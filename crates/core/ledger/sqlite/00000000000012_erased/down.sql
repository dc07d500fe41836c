DROP TABLE replant_erased_rows;
DROP TABLE replant_erased;
