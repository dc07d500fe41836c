DROP TABLE replant.replant_earlier;
