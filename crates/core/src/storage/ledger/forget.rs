//! Forgetting a person: what the ledger says of their rows is said without their values. Counts and money stay as they are.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value as Json;

use super::erased::{ERASED, ErasedRows, Erasure, Erasures, ToldAnew};
use super::error::{Attempt, LedgerError};
use super::moved::Moving;
use super::tables::{
    replant_changes as ch, replant_chunks as c, replant_conflicts as k, replant_frozen as f, replant_mends as m,
    replant_moved as mv, replant_quarantine as q, replant_repairs as r, replant_runs as ru, replant_seen as s,
};
use super::{frozen, imprints};
use crate::storage::db::{Backend, Db};
use crate::storage::imprint::{Columns, Packed, Value};
use crate::storage::sql::literal;
use crate::words::Key;

/// What is forgotten.
pub(crate) struct Forget<'a> {
    /// The steps, each with its legacy table.
    pub(crate) steps: &'a [(&'static str, &'static str)],
    /// What is read in the place of cells.
    pub(crate) erasures: &'a Erasures,
    /// Rows of the target that are the person's.
    pub(crate) rows: &'a ErasedRows,
    /// The addresses, in lower case.
    pub(crate) addresses: Vec<&'a str>,
    /// What stands in the place of a text that holds an address; none where it holds none.
    pub(crate) masked: &'a dyn Fn(&str) -> Option<String>,
    /// The columns of a table of the target that hold values of a person.
    pub(crate) held: &'a dyn Fn(&str) -> &'static [&'static str],
    /// The text of a row of the legacy table of a step, as the quarantine keeps it.
    pub(crate) text: &'a dyn Fn(&str, &Json) -> Option<String>,
}

/// What a chunk says without the person.
#[derive(Default)]
pub(crate) struct OfChunk {
    /// Its rows as they were read, packed.
    pub(crate) seen: Option<Vec<u8>>,
    pub(crate) written: Option<Written>,
}

/// What a chunk says of what was written.
#[derive(Debug)]
pub struct Written {
    pub(crate) imprint: Vec<Packed>,
    /// The record of the migrated rows, packed.
    pub(crate) record: Vec<u8>,
    /// The hash of what its rows come to; none where that is more than the ledger has, so that it is judged again.
    pub(crate) digest: Option<[u8; 16]>,
}

/// Rows that are asked for at once.
const PAGE: usize = 1_000;

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    key: i64,
}

impl Forget<'_> {
    /// Whether one of some columns holds one of the addresses, as SQL.
    fn holds(&self, db: &Db, columns: &[&str]) -> String {
        let place = if db.backend() == Backend::Postgres { "strpos" } else { "instr" };
        let one = |column: &str, address: &str| format!("{place}(lower({column}), {}) > 0", literal(address));
        let all = columns.iter().flat_map(|column| self.addresses.iter().map(move |address| one(column, address)));
        all.collect::<Vec<_>>().join(" OR ")
    }

    /// Rows of a table of the ledger that hold an address: by a name and a number, as SQL tells them.
    fn holding(
        &self,
        db: &mut Db,
        (table, name, key): (&str, &str, &str),
        columns: &[&str],
    ) -> Result<FxHashSet<(String, i64)>, LedgerError> {
        let holds = self.holds(db, columns);
        let sql = format!("SELECT {name} AS name, {key} AS key FROM {table} WHERE {holds}");
        let found: Vec<Named> = diesel::sql_query(sql).load(db).attempt("searched")?;
        Ok(found.into_iter().map(|found| (found.name, found.key)).collect())
    }

    /// The rows of the steps of which cells are erased.
    fn keys(&self) -> impl Iterator<Item = (&'static str, &'static str, Key, &Erasure)> {
        let of = |(step, table): &(&'static str, &'static str)| {
            let (step, table) = (*step, *table);
            let rows = self.erasures.of_table(table).into_iter().flatten();
            rows.map(move |(key, erasure)| (step, table, *key, erasure))
        };
        self.steps.iter().flat_map(of)
    }

    fn erasure(&self, step: &str, key: Key) -> Option<&Erasure> {
        let (_, table) = self.steps.iter().find(|(name, _)| *name == step)?;
        self.erasures.of(table, key)
    }

    fn replaced(&self, text: &mut String) -> bool {
        (self.masked)(text).map(|masked| *text = masked).is_some()
    }

    /// Forgets in all tables of the ledger but for those of chunks. Returns how many rows of each say something else now.
    ///
    /// # Errors
    /// The database fails, or something cannot be read back.
    pub(crate) fn everywhere(&self, db: &mut Db) -> Result<Vec<(&'static str, u64)>, LedgerError> {
        Ok(vec![
            ("replant_quarantine", self.quarantine(db)?),
            ("replant_repairs", self.repairs(db)?),
            ("replant_mends", self.mends(db)?),
            ("replant_moved", self.moved(db)?),
            ("replant_changes", self.changes(db)?),
            ("replant_conflicts", self.conflicts(db)?),
            ("replant_runs", self.runs(db)?),
            ("replant_chunks", self.reasons(db)?),
        ])
    }

    fn quarantine(&self, db: &mut Db) -> Result<u64, LedgerError> {
        let mut rows = self.holding(db, ("replant_quarantine", "step", "legacy_key"), &["legacy_row", "reason"])?;
        rows.extend(self.keys().map(|(step, _, key, _)| (step.to_owned(), key)));
        let mut told = 0;
        for (step, key) in rows {
            let place = || q::table.find((step.clone(), key));
            let found: Option<(String, String)> =
                place().select((q::legacy_row, q::reason)).first(db).optional().attempt("read")?;
            let Some((row, mut reason)) = found else { continue };
            let erased = self.erasure(&step, key).and_then(|erasure| {
                let mut json = serde_json::from_str(&row).ok()?;
                erasure.apply(&mut json);
                (self.text)(&step, &json)
            });
            let row = erased.or_else(|| (self.masked)(&row)).unwrap_or(row);
            self.replaced(&mut reason);
            let values = (q::legacy_row.eq(row), q::reason.eq(reason));
            told += diesel::update(place()).set(values).execute(db).attempt("written")? as u64;
        }
        Ok(told)
    }

    fn repairs(&self, db: &mut Db) -> Result<u64, LedgerError> {
        type Found = (String, String, Option<String>, Option<String>);
        let mut rows = self.holding(db, ("replant_repairs", "step", "legacy_key"), &["value_before", "value_after"])?;
        rows.extend(self.keys().map(|(step, _, key, _)| (step.to_owned(), key)));
        let mut told = 0;
        for (step, key) in rows {
            let of_row = || r::table.filter(r::step.eq(step.clone())).filter(r::legacy_key.eq(key));
            let columns = (r::code, r::column_name, r::value_before, r::value_after);
            let found: Vec<Found> = of_row().select(columns).load(db).attempt("read")?;
            let erasure = self.erasure(&step, key);
            for (code, column, before, after) in found {
                let is_erased = erasure.is_some_and(|erasure| !erasure.keeps(&column));
                let anew = |value: &Option<String>| {
                    value.as_ref().map(|text| match is_erased {
                        true => ERASED.to_owned(),
                        false => (self.masked)(text).unwrap_or_else(|| text.clone()),
                    })
                };
                let now = (anew(&before), anew(&after));
                if now != (before, after) {
                    let place = r::table.find((step.clone(), key, code, column));
                    let values = (r::value_before.eq(now.0), r::value_after.eq(now.1));
                    told += diesel::update(place).set(values).execute(db).attempt("written")? as u64;
                }
            }
        }
        Ok(told)
    }

    fn mends(&self, db: &mut Db) -> Result<u64, LedgerError> {
        let mut rows = self.holding(db, ("replant_mends", "legacy_table", "legacy_key"), &["legacy_row", "read_as"])?;
        rows.extend(self.keys().map(|(_, table, key, _)| (table.to_owned(), key)));
        let mut told = 0;
        for (table, key) in rows {
            let place = || m::table.find((table.clone(), key));
            let found: Option<(String, Option<String>)> =
                place().select((m::legacy_row, m::read_as)).first(db).optional().attempt("read")?;
            let Some((row, read_as)) = found else { continue };
            let erasure = self.erasures.of(&table, key);
            let anew = |text: String| {
                let erased = erasure.and_then(|erasure| {
                    let mut json: Json = serde_json::from_str(&text).ok()?;
                    erasure.apply(&mut json);
                    Some(json.to_string())
                });
                erased.or_else(|| (self.masked)(&text)).unwrap_or(text)
            };
            let values = (m::legacy_row.eq(anew(row)), m::read_as.eq(read_as.map(anew)));
            told += diesel::update(place()).set(values).execute(db).attempt("written")? as u64;
        }
        Ok(told)
    }

    /// Rows that wait without a chunk: nothing of them is judged before they are taken.
    fn moved(&self, db: &mut Db) -> Result<u64, LedgerError> {
        let unreadable = |step: &str| LedgerError::Unreadable { what: "row that moves", of: step.to_owned() };
        let mut told = 0;
        for (step, _) in self.steps {
            let mut after = Key::MIN;
            loop {
                let of_step = mv::table.filter(mv::step.eq(*step)).filter(mv::legacy_key.gt(after));
                let page = of_step.order(mv::legacy_key).limit(PAGE as i64).select((mv::legacy_key, mv::data));
                let page: Vec<(Key, Vec<u8>)> = page.load(db).attempt("read")?;
                let Some((last, _)) = page.last() else { break };
                after = *last;
                for (key, data) in page {
                    let mut row: Moving = postcard::from_bytes(&data).map_err(|_| unreadable(step))?;
                    self.of_moving(step, key, &mut row);
                    let anew = postcard::to_stdvec(&row).map_err(|_| unreadable(step))?;
                    if anew != data {
                        let place = mv::table.find((step.to_owned(), key));
                        told += diesel::update(place).set(mv::data.eq(anew)).execute(db).attempt("written")? as u64;
                    }
                }
            }
        }
        Ok(told)
    }

    fn of_moving(&self, step: &str, key: Key, (recorded, tables): &mut Moving) {
        let erasure = self.erasure(step, key);
        if let Some(text) = &mut recorded.legacy_row {
            let json = erasure.and_then(|erasure| {
                let mut json = serde_json::from_str(text).ok()?;
                erasure.apply(&mut json);
                (self.text)(step, &json)
            });
            match json {
                Some(json) => *text = json,
                None => drop(self.replaced(text)),
            }
        }
        for table in tables {
            let held = match erasure.is_some_and(Erasure::is_whole) {
                true => (self.held)(&table.name),
                false => &[],
            };
            for column in 0..table.columns.len() {
                let is_held = held.contains(&&*table.columns[column]);
                let values: Vec<Value> = table.values[column].iter().map(Value::from).collect();
                table.replace(column, |place| {
                    let text = values[place].as_text()?;
                    let masked = || (self.masked)(text).map(|mark| Value::Text(mark.into()));
                    if is_held { Some(Value::Null) } else { masked() }
                });
            }
        }
    }

    /// What was done to rows that were there before. Of columns that hold values of the person it is forgotten that anything was done:
    /// what stands there is the person's.
    fn changes(&self, db: &mut Db) -> Result<u64, LedgerError> {
        type Found = (i64, String, Option<i64>, Option<String>, Option<String>, Option<String>);
        let of_table = ("replant_changes", "target_table", "id");
        let columns = ["target_key", "value_before", "value_after"];
        let mut ids: FxHashSet<i64> = self.holding(db, of_table, &columns)?.into_iter().map(|(_, id)| id).collect();
        let mut theirs: FxHashSet<i64> = FxHashSet::default();
        for (step, _, key, _) in self.keys().filter(|(.., erasure)| erasure.is_whole()) {
            let of_key = ch::table.filter(ch::step.eq(step)).filter(ch::legacy_key.eq(key)).select(ch::id);
            theirs.extend(of_key.load::<i64>(db).attempt("read")?);
        }
        for (table, id) in self.rows.keys() {
            let of_row = ch::table.filter(ch::target_table.eq(table)).filter(ch::target_id.eq(*id)).select(ch::id);
            theirs.extend(of_row.load::<i64>(db).attempt("read")?);
        }
        ids.extend(&theirs);
        let ids: Vec<i64> = ids.into_iter().collect();
        let mut told = 0;
        for some in ids.chunks(PAGE) {
            let columns = (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::value_before, ch::value_after);
            let found: Vec<Found> =
                ch::table.filter(ch::id.eq_any(some.to_vec())).select(columns).load(db).attempt("read")?;
            for (id, table, target_id, target_key, before, after) in found {
                let held = if theirs.contains(&id) { (self.held)(&table) } else { &[] };
                let is_key_held = target_id.is_none() && !held.is_empty();
                let holds = |text: &String| (self.masked)(text).is_some();
                if is_key_held || target_key.as_ref().is_some_and(holds) {
                    told += diesel::delete(ch::table.find(id)).execute(db).attempt("written")? as u64;
                    continue;
                }
                let json = |text: &Option<String>| super::changes::columns(&table, text.clone());
                let (was, is) = (json(&before)?, json(&after)?);
                let goes = |name: &String, value: &Json| {
                    held.contains(&name.as_str()) || value.as_str().is_some_and(|text| (self.masked)(text).is_some())
                };
                let names: FxHashSet<String> = [&was, &is]
                    .into_iter()
                    .flatten()
                    .flat_map(|columns| columns.iter().filter(|(name, value)| goes(name, value)))
                    .map(|(name, _)| name.clone())
                    .collect();
                if names.is_empty() {
                    continue;
                }
                let left = |columns: Option<Columns>| -> Option<Columns> {
                    Some(columns?.into_iter().filter(|(name, _)| !names.contains(name)).collect())
                };
                let (was, is) = (left(was), left(is));
                let is_nothing = was.is_some() && is.as_ref().is_some_and(Columns::is_empty);
                let json = |columns: Option<Columns>| columns.map(|columns| Json::Object(columns).to_string());
                let place = ch::table.find(id);
                told += match is_nothing {
                    true => diesel::delete(place).execute(db),
                    false => diesel::update(place)
                        .set((ch::value_before.eq(json(was)), ch::value_after.eq(json(is))))
                        .execute(db),
                }
                .attempt("written")? as u64;
            }
        }
        Ok(told)
    }

    fn conflicts(&self, db: &mut Db) -> Result<u64, LedgerError> {
        let found = self.holding(db, ("replant_conflicts", "target_table", "id"), &["target_key"])?;
        let ids: Vec<i64> = found.into_iter().map(|(_, id)| id).collect();
        let gone = diesel::delete(k::table.filter(k::id.eq_any(ids))).execute(db).attempt("written")?;
        Ok(gone as u64)
    }

    fn runs(&self, db: &mut Db) -> Result<u64, LedgerError> {
        let found = self.holding(db, ("replant_runs", "id", "CAST(0 AS bigint)"), &["scope", "reason"])?;
        let mut told = 0;
        for (id, _) in found {
            let place = || ru::table.find(id.clone());
            let (mut scope, mut reason): (Option<String>, Option<String>) =
                place().select((ru::scope, ru::reason)).first(db).attempt("read")?;
            [&mut scope, &mut reason].into_iter().flatten().for_each(|text| {
                self.replaced(text);
            });
            let values = (ru::scope.eq(scope), ru::reason.eq(reason));
            told += diesel::update(place()).set(values).execute(db).attempt("written")? as u64;
        }
        Ok(told)
    }

    fn reasons(&self, db: &mut Db) -> Result<u64, LedgerError> {
        let found = self.holding(db, ("replant_chunks", "step", "id"), &["reason"])?;
        let ids: Vec<i64> = found.into_iter().map(|(_, id)| id).collect();
        let of = c::table.filter(c::id.eq_any(ids));
        Ok(diesel::update(of).set(c::reason.eq(ERASED)).execute(db).attempt("written")? as u64)
    }
}

/// Has a chunk say what it says without the person.
///
/// # Errors
/// The database fails.
pub(crate) fn of_chunk(db: &mut Db, chunk: i64, anew: &OfChunk) -> Result<(), LedgerError> {
    if let Some(seen) = &anew.seen {
        diesel::update(s::table.find(chunk)).set(s::data.eq(seen)).execute(db).attempt("written")?;
    }
    if let Some(Written { imprint, record, digest }) = &anew.written {
        let written_by = imprints::forget(db, chunk).attempt("written")?;
        imprints::save(db, chunk, imprint, &written_by).attempt("written")?;
        let digest = digest.map(Vec::from);
        let values = (c::record.eq(record), c::epoch.eq(c::epoch + 1));
        diesel::update(c::table.find(chunk)).set(values).execute(db).attempt("written")?;
        if let Some(digest) = digest {
            diesel::update(c::table.find(chunk)).set(c::digest.eq(digest)).execute(db).attempt("written")?;
        }
    }
    Ok(())
}

/// Puts readings of the target in the place of those that were frozen. Returns the names of those that hold an address still, which
/// are no readings that know of persons.
///
/// # Errors
/// The database fails.
pub(crate) fn readings(
    db: &mut Db,
    anew: &FxHashMap<&'static str, ToldAnew>,
    addresses: &[&str],
) -> Result<Vec<String>, LedgerError> {
    for (name, told) in anew {
        frozen::replace(db, name, &told.packed)?;
    }
    let names: Vec<String> = f::table.order(f::name).select(f::name).load(db).attempt("read")?;
    let mut holding = Vec::new();
    for name in names {
        if let Some(holds) = anew.get(&*name).and_then(|told| told.holds) {
            holding.extend(holds.then_some(name));
            continue;
        }
        let data: Vec<u8> = f::table.find(name.clone()).select(f::data).first(db).attempt("read")?;
        // Texts stand in them as they are.
        let lower = data.to_ascii_lowercase();
        let holds = |address: &&str| lower.windows(address.len().max(1)).any(|some| some == address.as_bytes());
        if addresses.iter().any(holds) {
            holding.push(name);
        }
    }
    Ok(holding)
}
