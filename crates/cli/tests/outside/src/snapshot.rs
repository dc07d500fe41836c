//! When the copy of the card index was made.

use diesel::prelude::*;
use jiff::Timestamp;
use replant_core::db::Db;

diesel::table! {
    copied (at) {
        at -> Text,
    }
}

/// The only row of `copied`.
pub(crate) fn snapshot(legacy: &mut Db) -> Result<Timestamp, String> {
    let at: Result<String, _> = copied::table.select(copied::at).first(legacy);
    let at = at.map_err(|_| "the table `copied` has no row: it says when this copy of the card index was made")?;
    at.parse().map_err(|_| "`copied.at` is no UTC time like 2026-03-01T06:00:00Z".to_owned())
}
