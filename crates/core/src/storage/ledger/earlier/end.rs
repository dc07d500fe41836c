//! What the end of a step had noted: repairs of rows of other steps, and money.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::kept::{due, forget_chunk, insert, kept};
use crate::storage::db::Db;
use crate::storage::ledger::error::{Attempt, LedgerError};
use crate::storage::ledger::tables::{replant_money as m, replant_repairs as r, replant_steps as st};
use crate::words::Key;

type LateRepairs = (String, Key, String, String, Option<String>, Option<String>);

/// What the end of a step had noted.
#[derive(Debug, Serialize, Deserialize)]
struct EarlierEnd {
    repairs: Vec<LateRepairs>,
    money: Vec<(String, String)>,
}

/// Where what the end of a step had noted stands among chunks.
fn place_of_end(db: &mut Db, step: &str) -> QueryResult<i64> {
    let position: i64 = st::table.find(step.to_owned()).select(st::position).first(db)?;
    Ok(-1 - position)
}

/// Keeps what the end of a step has noted, which the last state is about to change, unless it is kept.
///
/// # Errors
/// The database fails.
pub(in crate::storage::ledger) fn keep_end(db: &mut Db, step: &str) -> Result<(), LedgerError> {
    let place = place_of_end(db, step).attempt("read")?;
    let Some(generation) = due(db, place)? else { return Ok(()) };
    let columns = (r::step, r::legacy_key, r::code, r::column_name, r::value_before, r::value_after);
    let repairs = r::table.filter(r::by_step.eq(step.to_owned())).select(columns).load(db).attempt("read")?;
    let of_end = m::table.filter(m::step.eq(step.to_owned())).filter(m::chunk_id.is_null());
    let money = of_end.select((m::currency, m::flow)).load(db).attempt("read")?;
    insert(db, place, generation, &EarlierEnd { repairs, money })
}

/// Has the end of a step have noted what it had, where the last state has changed that.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(crate) fn restore_end(db: &mut Db, step: &str) -> Result<(), LedgerError> {
    let place = place_of_end(db, step).attempt("read")?;
    let Some(EarlierEnd { repairs, money }) = kept(db, place)? else { return Ok(()) };
    diesel::delete(r::table.filter(r::by_step.eq(step.to_owned()))).execute(db).attempt("written")?;
    for (of, key, code, column, before, after) in repairs {
        let row = (
            (r::step.eq(of), r::legacy_key.eq(key), r::by_step.eq(step), r::code.eq(code)),
            (r::column_name.eq(column), r::value_before.eq(before), r::value_after.eq(after)),
        );
        diesel::insert_into(r::table).values(row).execute(db).attempt("written")?;
    }
    let of_end = m::table.filter(m::step.eq(step.to_owned())).filter(m::chunk_id.is_null());
    diesel::delete(of_end).execute(db).attempt("written")?;
    for (currency, flow) in money {
        let row = (m::step.eq(step), m::currency.eq(currency), m::flow.eq(flow));
        diesel::insert_into(m::table).values(row).execute(db).attempt("written")?;
    }
    forget_chunk(db, place).attempt("written")
}
