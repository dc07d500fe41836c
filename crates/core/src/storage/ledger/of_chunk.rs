//! What the ledger keeps of a chunk beside its own row, and how it is forgotten.

use diesel::prelude::*;

use super::tables::{
    replant_conflicts as k, replant_imprints as i, replant_money as m, replant_outcomes as o, replant_quarantine as q,
    replant_repairs as r, replant_seen as s, replant_unread as u,
};
use crate::storage::db::Db;
use crate::words::Key;

/// Forgets all that is kept of a chunk.
///
/// # Errors
/// The database fails.
pub(super) fn forget(db: &mut Db, chunk: i64) -> QueryResult<()> {
    diesel::delete(o::table.filter(o::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(q::table.filter(q::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(r::table.filter(r::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(m::table.filter(m::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(u::table.filter(u::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(i::table.filter(i::chunk_id.eq(chunk))).execute(db)?;
    diesel::delete(s::table.find(chunk)).execute(db)?;
    diesel::delete(k::table.filter(k::chunk_id.eq(chunk))).execute(db).map(|_| ())
}

/// Forgets what is kept of some rows of a step, in whichever chunk they were recorded.
///
/// # Errors
/// The database fails.
pub(super) fn forget_rows(db: &mut Db, step: &str, keys: &[Key]) -> QueryResult<()> {
    for some in keys.chunks(1_000) {
        let some = || some.to_vec();
        diesel::delete(o::table.filter(o::step.eq(step)).filter(o::legacy_key.eq_any(some()))).execute(db)?;
        diesel::delete(q::table.filter(q::step.eq(step)).filter(q::legacy_key.eq_any(some()))).execute(db)?;
        let own = r::table.filter(r::step.eq(step)).filter(r::chunk_id.is_not_null());
        diesel::delete(own.filter(r::legacy_key.eq_any(some()))).execute(db)?;
    }
    Ok(())
}
