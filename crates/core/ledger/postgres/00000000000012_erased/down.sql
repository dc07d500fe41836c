DROP TABLE replant.replant_erased_rows;
DROP TABLE replant.replant_erased;
