DROP TABLE replant_seen;
