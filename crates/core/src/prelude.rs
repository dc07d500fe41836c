//! What every domain crate imports.

pub use crate::{
    Cell, Change, Code, Currency, Domain, Draft, Fate, Finding, FinishError, FirstWritten, Followers, Frozen, Inspect,
    Instant, Key, LegacyRow, Lookup, Money, Ours, Prepare, PrepareError, Refusal, Right, Standing, Standings, Step,
    TableShape, Tx, UniqueIndex, Unit, Utc, Wall, Write,
};
