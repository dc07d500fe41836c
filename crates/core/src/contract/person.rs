//! Whose a legacy row is: what a step says of persons, so that one of them can be erased.

/// That the rows of a legacy table are a person each, known by an address.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// The column of the address.
    pub address: &'static str,
    /// The one form in which addresses are compared; none: it is no address.
    pub normal: fn(&str) -> Option<String>,
    /// What is read in the place of an address that was erased, given a number of its own: an address that nobody has, of which the
    /// rules make what they made of the other one.
    pub mark: fn(&str, u64) -> String,
    /// Text columns of the legacy table that say nothing of a person and that the rules decide by: they are read as they stand, like
    /// numbers and times.
    pub kept: &'static [&'static str],
    /// The columns of the target that hold values of a person, by table. The first table is that of the persons.
    pub held: &'static [(&'static str, &'static [&'static str])],
}

impl Person {
    /// The columns of a table of the target that hold values of a person.
    pub(crate) fn held_in(&self, table: &str) -> &'static [&'static str] {
        self.held.iter().find(|(name, _)| *name == table).map_or(&[], |(_, columns)| columns)
    }
}
