//! What every domain crate imports.

pub use crate::{
    Cell, Change, Code, Currency, Domain, Draft, Fate, FinishError, Followers, Frozen, Instant, Key, LegacyRow, Lookup,
    Money, Ours, Prepare, PrepareError, Refusal, Standing, Standings, Step, TableShape, Tx, UniqueIndex, Unit, Utc,
    Wall, Write,
};
