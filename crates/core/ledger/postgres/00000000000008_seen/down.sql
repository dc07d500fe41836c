DROP TABLE replant.replant_seen;
