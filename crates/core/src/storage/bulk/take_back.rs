//! Taking back what was done for a unit to rows that were there before: they stand again as if it had never been.
//!
//! Column by column it is compared and set: what somebody has changed since stays. What is taken back leaves the ledger, which
//! tells what the migration has done to a row, and not what it had done for a while.

use diesel::prelude::*;
use serde_json::Value as Json;

use crate::storage::db::{Backend, Db};
use crate::storage::failure::{Failure, Told};
use crate::storage::imprint::{Columns, hashed, is_hash};
use crate::storage::ledger::LedgerError;
use crate::storage::ledger::changes::{self, Done, RowName};
use crate::storage::pointing::is_pointed;
use crate::storage::sql::{literal, quoted};
use crate::storage::types::Instant;
use crate::words::Key;

/// Takes back what a step did for the sake of a legacy row to rows that were there before, last things first: all of it, but for what
/// somebody has changed since. `false`: the target refuses it, and nothing is taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn of_row(db: &mut Db, step: &str, key: Key) -> QueryResult<bool> {
    let done = changes::of_key(db, step, key).map_err(LedgerError::into_diesel)?;
    all(db, &done)
}

/// Takes back some changes, last things first: all but for what somebody has changed since, and rows that were removed are there
/// again. `false`: the target refuses it, and nothing is taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn whole(db: &mut Db, done: &[Done]) -> QueryResult<bool> {
    let taken = db.write(|db| {
        done.iter().try_for_each(|done| match (&done.before, &done.after) {
            (Some(before), None) => put_back(db, done, before),
            _ => one(db, done),
        })
    });
    match taken {
        Err(error) if Failure::of(&error).blames_a_row() => Ok(false),
        taken => taken.map(|()| true),
    }
}

/// The same, one after the other: what the target refuses stays. Returns how many were taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn each(db: &mut Db, done: &[Done]) -> QueryResult<u64> {
    let mut taken = 0;
    for done in done {
        taken += u64::from(whole(db, std::slice::from_ref(done))?);
    }
    Ok(taken)
}

/// Takes back a change, but for what somebody has changed since, and for secrets: of what stood there the ledger has a hash, so they stay.
/// Whether any of it was taken back; none: the target refuses it.
///
/// # Errors
/// The database fails.
pub(crate) fn but_for_secrets(db: &mut Db, mut done: Done) -> QueryResult<Option<bool>> {
    if let (Some(before), Some(after)) = (&mut done.before, &done.after) {
        before.retain(|column, _| !after.get(column).is_some_and(is_hash));
        if before.is_empty() {
            return Ok(Some(false));
        }
    }
    let was = changes::text(db, done.id)?;
    Ok(match whole(db, std::slice::from_ref(&done))? {
        true => Some(changes::text(db, done.id)? != was),
        false => None,
    })
}

/// Does again what was taken back, first things first, where what it was done to stands there as it stood then. Returns what was done.
///
/// # Errors
/// The database fails.
pub(crate) fn redo(db: &mut Db, undone: &[Done]) -> QueryResult<Vec<i64>> {
    let mut redone = Vec::new();
    for done in undone {
        match db.write(|db| again(db, done)) {
            Ok(true) => redone.push(done.id),
            Ok(false) => {}
            Err(error) if Failure::of(&error).blames_a_row() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(redone)
}

fn again(db: &mut Db, done: &Done) -> QueryResult<bool> {
    let Some(after) = &done.after else { return Ok(false) };
    let Some(before) = &done.before else {
        put_back(db, done, after)?;
        return Ok(true);
    };
    let (table, key) = (quoted(&done.table), row_condition(db, done)?);
    let mut set = Vec::new();
    for (column, value) in after.iter().filter(|(_, value)| !is_hash(value)) {
        let was = before.get(column).unwrap_or(&Json::Null);
        if !is_hash(was) && stands_there(db, done, column, was, &key)? {
            set.push(format!("{} = {}", quoted(column), sql(db, &done.table, column, value)?));
        }
    }
    if !set.is_empty() {
        execute_on_one(db, &done.table, &format!("UPDATE {table} AS t SET {} WHERE {key}", set.join(", ")))?;
    }
    Ok(!set.is_empty())
}

/// Puts a row back that was removed.
fn put_back(db: &mut Db, done: &Done, before: &Columns) -> QueryResult<()> {
    let mut columns = before.clone();
    // Of a secret the ledger has a hash: it is not there again.
    columns.retain(|_, value| !is_hash(value));
    match &done.row {
        RowName::Id(id) => drop(columns.insert("id".to_owned(), (*id).into())),
        RowName::Key(key) => columns.extend(serde_json::from_str::<Columns>(key).unwrap_or_default()),
    }
    let names: Vec<String> = columns.keys().map(|column| quoted(column)).collect();
    let mut values = Vec::new();
    for (column, value) in &columns {
        values.push(sql(db, &done.table, column, value)?);
    }
    let (table, names, values) = (quoted(&done.table), names.join(", "), values.join(", "));
    execute_on_one(db, &done.table, &format!("INSERT INTO {table} ({names}) VALUES ({values})"))?;
    changes::forget(db, &[done.id])
}

/// Likewise, what it did to rows of a table, in a word (`became_brand`), for the sake of no one legacy row: to those for which a
/// condition on `t` holds.
///
/// # Errors
/// The database fails.
pub(super) fn where_(db: &mut Db, step: &str, (table, what): (&str, &str), condition: &str) -> QueryResult<()> {
    let sql = format!(
        "SELECT t.id FROM {} t WHERE {condition} AND {}",
        quoted(table),
        changes::is_changed(step, table, what)
    );
    let rows: Vec<Named> = diesel::sql_query(sql).load(db)?;
    for Named { id } in rows {
        let done = changes::of_target(db, step, (table, what), id).map_err(LedgerError::into_diesel)?;
        all(db, &done)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
}

/// Takes back all of some changes, but for what somebody has changed since, or nothing: `false`.
fn all(db: &mut Db, done: &[Done]) -> QueryResult<bool> {
    if done.is_empty() {
        return Ok(true);
    }
    match db.write(|db| done.iter().try_for_each(|done| one(db, done))) {
        Err(error) if Failure::of(&error).blames_a_row() => Ok(false),
        taken => taken.map(|()| true),
    }
}

/// Takes back one change, but for columns that are not any more what was made of them.
fn one(db: &mut Db, done: &Done) -> QueryResult<()> {
    // What is done to it since, by whichever rule, goes with it: it was done to what this had made of it.
    let later = changes::after(db, done).map_err(LedgerError::into_diesel)?;
    let (Some(before), Some(after)) = (&done.before, &done.after) else { return remove(db, done) };
    let mut stands = after.clone();
    for later in &later {
        stands.extend(later.after.iter().flatten().map(owned));
    }
    let (table, key) = (quoted(&done.table), row_condition(db, done)?);
    let (mut set, mut back) = (Vec::new(), Vec::new());
    for (column, was) in before.iter().filter(|(_, was)| !is_hash(was)) {
        let mut now = stands.get(column).unwrap_or(&Json::Null).clone();
        if is_hash(&now) {
            // Of a secret the ledger has a hash: that of what stands there tells whether it is the same.
            let stood = text_of(db, &table, column, &key)?;
            now = stood.map(Json::String).filter(|stood| hashed(stood) == now).unwrap_or(now);
        }
        if stands_there(db, done, column, &now, &key)? {
            set.push(format!("{} = {}", quoted(column), sql(db, &done.table, column, was)?));
            back.push(column.clone());
        }
    }
    if set.is_empty() {
        return Ok(());
    }
    execute_on_one(db, &done.table, &format!("UPDATE {table} AS t SET {} WHERE {key}", set.join(", ")))?;
    let ids: Vec<i64> = std::iter::once(done.id).chain(later.iter().map(|later| later.id)).collect();
    changes::forget_columns(db, &ids, &back).map_err(LedgerError::into_diesel)
}

/// Removes a row that was added, unless it is not any more what it was, or something points to it.
fn remove(db: &mut Db, done: &Done) -> QueryResult<()> {
    // What was taken out was ours.
    let Some(after) = &done.after else { return Ok(()) };
    let key = row_condition(db, done)?;
    for (column, value) in after {
        if !stands_there(db, done, column, value, &key)? {
            return Ok(());
        }
    }
    // Whoever would point to it waits until it is gone, or is seen.
    if let Db::Pg(pg) = db {
        diesel::sql_query(format!("SELECT 1 FROM {} t WHERE {key} FOR UPDATE", quoted(&done.table))).execute(pg)?;
    }
    if is_pointed(db, &done.table, &key)? {
        return Ok(());
    }
    execute_on_one(db, &done.table, &format!("DELETE FROM {} AS t WHERE {key}", quoted(&done.table)))?;
    changes::forget(db, &[done.id])
}

/// Whether a column of the row of a change holds a value.
fn stands_there(db: &mut Db, done: &Done, column: &str, value: &Json, key: &str) -> QueryResult<bool> {
    let value = sql(db, &done.table, column, value)?;
    let is = match db.backend() {
        Backend::Postgres => "IS NOT DISTINCT FROM",
        Backend::Sqlite | Backend::MariaDb => "IS",
    };
    let lock = if matches!(db, Db::Pg(_)) { " FOR NO KEY UPDATE" } else { "" };
    let sql = format!(
        "SELECT CAST(t.{0} AS text) AS value FROM {1} t WHERE {key} AND t.{0} {is} {value}{lock}",
        quoted(column),
        quoted(&done.table)
    );
    Ok(diesel::sql_query(sql).get_result::<Stands>(db).optional()?.is_some())
}

fn execute_on_one(db: &mut Db, table: &str, sql: &str) -> QueryResult<()> {
    if db.execute_caught(sql)? == 1 { Ok(()) } else { Err(Told::not_taken(table)) }
}

fn owned((column, value): (&String, &Json)) -> (String, Json) {
    (column.clone(), value.clone())
}

#[derive(QueryableByName)]
struct Stands {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    value: Option<String>,
}

fn text_of(db: &mut Db, table: &str, column: &str, condition: &str) -> QueryResult<Option<String>> {
    let sql = format!("SELECT CAST(t.{} AS text) AS value FROM {table} t WHERE {condition}", quoted(column));
    let stands: Option<Stands> = diesel::sql_query(sql).get_result(db).optional()?;
    Ok(stands.and_then(|stands| stands.value))
}

/// The condition that names the row, as `t`.
fn row_condition(db: &mut Db, done: &Done) -> QueryResult<String> {
    match &done.row {
        RowName::Id(id) => Ok(format!("t.id = {id}")),
        RowName::Key(key) => {
            let key: Columns = serde_json::from_str(key).unwrap_or_default();
            let mut same = Vec::new();
            for (column, value) in &key {
                same.push(format!("t.{} = {}", quoted(column), sql(db, &done.table, column, value)?));
            }
            Ok(if same.is_empty() { "1 = 0".to_owned() } else { same.join(" AND ") })
        }
    }
}

#[derive(QueryableByName)]
struct Declared {
    #[diesel(sql_type = diesel::sql_types::Text)]
    kind: String,
}

/// A value as SQL, of the type of its column.
fn sql(db: &mut Db, table: &str, column: &str, value: &Json) -> QueryResult<String> {
    if db.backend() == Backend::Postgres {
        let row: Columns = std::iter::once((column.to_owned(), value.clone())).collect();
        let json = literal(&Json::Object(row).to_string());
        return Ok(format!("(jsonb_populate_record(NULL::{}, {json})).{}", quoted(table), quoted(column)));
    }
    Ok(match value {
        Json::Null => "NULL".to_owned(),
        Json::Bool(value) => u8::from(*value).to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => {
            let asked = format!(
                "SELECT type AS kind FROM pragma_table_info({}) WHERE name = {}",
                literal(table),
                literal(column)
            );
            let declared: Option<Declared> = diesel::sql_query(asked).get_result(db).optional()?;
            let is_instant = declared.is_some_and(|declared| declared.kind.eq_ignore_ascii_case("timestamptz"));
            match text.parse::<jiff::Timestamp>() {
                Ok(at) if is_instant => literal(&Instant(at).as_sql()),
                _ => literal(text),
            }
        }
        Json::Array(_) | Json::Object(_) => literal(&value.to_string()),
    })
}
