DROP TABLE replant_earlier;
