-- A mend holds for as long as its legacy row reads as it did.
ALTER TABLE replant.replant_mends ADD COLUMN read_as TEXT;     -- the whole legacy row as it read, as JSON; NULL: nobody knows
ALTER TABLE replant.replant_mends ADD COLUMN set_aside BIGINT; -- the state in which the row read otherwise: the mend is taken no more
