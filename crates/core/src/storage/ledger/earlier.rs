//! What the ledger said of a chunk before the last state of the legacy database changed it. The first state is taken back without it, and
//! of earlier ones it is forgotten: there is one copy of a chunk at the most.

use diesel::prelude::*;
use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::changes::{Done, Known, RowName};
use super::error::{Attempt, LedgerError};
use super::numbers::Numbers;
use super::record::CarriedBy;
use super::recorded::{self, ByKey};
use super::tables::{
    replant_changes as ch, replant_chunks as c, replant_conflicts as k, replant_earlier as b, replant_first as f,
    replant_imprints as i, replant_money as m, replant_moved as mv, replant_outcomes as o, replant_quarantine as q,
    replant_repairs as r, replant_seen as s, replant_steps as st, replant_unread as u,
};
use super::{generations, history, imprints, record};
use crate::storage::db::Db;
use crate::storage::imprint::{Columns, Packed, Table, is_hash};
use crate::storage::types::Instant;
use crate::words::{Counts, Key, Money, MoneyTotals, Outcome};

/// Compression of what is kept: it is read once at the most.
const LEVEL: i32 = 1;

type Outcomes = (Key, String, Option<String>, Option<String>, Option<i64>);
type Repairs = (Key, Option<String>, String, String, Option<String>, Option<String>);
type LateRepairs = (String, Key, String, String, Option<String>, Option<String>);
type Quarantined = (Key, String, String, String, Key, String, String, i64);
type Imprinted = (String, i64, Option<i64>, Option<i64>, Vec<u8>, Option<String>);
type Conflicts = (Option<Key>, String, Option<i64>, Option<String>, String, i64);
type Changed =
    ((i64, String, Option<i64>, Option<String>, Option<Key>), (String, Option<String>, Option<String>, bool, i64));

/// All that the ledger said of a chunk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Earlier {
    chunk: i64,
    counts: [i64; 6],
    busy_ms: i64,
    /// In microseconds since 1970.
    done_at: Option<i64>,
    record: Option<Vec<u8>>,
    digest: Option<Vec<u8>>,
    waits: bool,
    carried: Option<Vec<u8>>,
    outcomes: Vec<Outcomes>,
    repairs: Vec<Repairs>,
    quarantined: Vec<Quarantined>,
    money: Vec<(String, String)>,
    unread: Vec<Key>,
    imprints: Vec<Imprinted>,
    seen: Option<Vec<u8>>,
    conflicts: Vec<Conflicts>,
    changes: Vec<Changed>,
}

/// Reads what the ledger says of a chunk that the last state is about to change. None: there was but one state, or it is kept already.
///
/// # Errors
/// The database fails.
pub(crate) fn look(db: &mut Db, chunk: i64) -> Result<Option<Earlier>, LedgerError> {
    let generation = generations::number(db).attempt("read")?;
    if generation < 2 {
        return Ok(None);
    }
    let known = b::table.find(chunk).filter(b::generation.eq(generation)).select(b::chunk_id);
    if known.first::<i64>(db).optional().attempt("read")?.is_some() {
        return Ok(None);
    }
    read(db, chunk).attempt("read").map(Some)
}

fn read(db: &mut Db, chunk: i64) -> QueryResult<Earlier> {
    type Row =
        ((i64, i64, i64, i64, i64, i64), i64, Option<Instant>, Option<Vec<u8>>, Option<Vec<u8>>, bool, Option<Vec<u8>>);
    let columns = (
        (c::rows_read, c::migrated, c::merged, c::skipped, c::quarantined, c::repairs),
        c::busy_ms,
        c::done_at,
        c::record,
        c::digest,
        c::waits,
        c::carried,
    );
    let row: Row = c::table.find(chunk).select(columns).first(db)?;
    let ((read, migrated, merged, skipped, quarantined, repairs), busy_ms, done_at, record, digest, waits, carried) =
        row;
    type Waits = (Key, String, String, String, Key, String, String, Instant);
    let of_quarantine =
        (q::legacy_key, q::code, q::reason, q::root_step, q::root_key, q::legacy_row, q::money, q::quarantined_at);
    let waiting: Vec<Waits> = q::table.filter(q::chunk_id.eq(chunk)).select(of_quarantine).load(db)?;
    let waiting = waiting.into_iter().map(|(key, code, reason, step, root, row, money, at)| {
        (key, code, reason, step, root, row, money, at.micros())
    });
    let of_change = (
        (ch::id, ch::target_table, ch::target_id, ch::target_key, ch::legacy_key),
        (ch::what, ch::value_before, ch::value_after, ch::in_imprint, ch::generation),
    );
    Ok(Earlier {
        chunk,
        counts: [read, migrated, merged, skipped, quarantined, repairs],
        busy_ms,
        done_at: done_at.map(|at| at.micros()),
        record,
        digest,
        waits,
        carried,
        outcomes: o::table
            .filter(o::chunk_id.eq(chunk))
            .select((o::legacy_key, o::outcome, o::code, o::target_table, o::target_id))
            .load(db)?,
        repairs: r::table
            .filter(r::chunk_id.eq(chunk))
            .select((r::legacy_key, r::by_step, r::code, r::column_name, r::value_before, r::value_after))
            .load(db)?,
        quarantined: waiting.collect(),
        money: m::table.filter(m::chunk_id.eq(chunk)).select((m::currency, m::flow)).load(db)?,
        unread: u::table.filter(u::chunk_id.eq(chunk)).select(u::legacy_key).load(db)?,
        imprints: i::table
            .filter(i::chunk_id.eq(chunk))
            .select((i::target_table, i::rows, i::first_id, i::last_id, i::data, i::written_by))
            .load(db)?,
        seen: s::table.find(chunk).select(s::data).first(db).optional()?,
        conflicts: k::table
            .filter(k::chunk_id.eq(chunk))
            .select((k::legacy_key, k::target_table, k::target_id, k::target_key, k::column_names, k::generation))
            .load(db)?,
        changes: ch::table
            .filter(ch::chunk_id.eq(chunk))
            .filter(ch::in_imprint.eq(false))
            .order(ch::id)
            .select(of_change)
            .load(db)?,
    })
}

/// Keeps what the ledger said of a chunk, unless that is kept.
///
/// # Errors
/// The database fails.
pub(crate) fn keep(db: &mut Db, earlier: Option<&Earlier>) -> Result<(), LedgerError> {
    let Some(earlier) = earlier else { return Ok(()) };
    let generation = generations::number(db).attempt("read")?;
    insert(db, earlier.chunk, generation, earlier)
}

fn insert(db: &mut Db, place: i64, generation: i64, what: &impl Serialize) -> Result<(), LedgerError> {
    let bytes = postcard::to_stdvec(what).map_err(|_| unreadable(place))?;
    let data = zstd::bulk::compress(&bytes, LEVEL).map_err(|_| unreadable(place))?;
    forget_chunk(db, place).attempt("written")?;
    let row = (b::chunk_id.eq(place), b::generation.eq(generation), b::data.eq(data));
    diesel::insert_into(b::table).values(row).execute(db).attempt("written").map(|_| ())
}

fn kept<T: DeserializeOwned>(db: &mut Db, place: i64) -> Result<Option<T>, LedgerError> {
    let data: Option<Vec<u8>> = b::table.find(place).select(b::data).first(db).optional().attempt("read")?;
    let Some(data) = data else { return Ok(None) };
    let bytes = zstd::stream::decode_all(&*data).map_err(|_| unreadable(place))?;
    postcard::from_bytes(&bytes).map(Some).map_err(|_| unreadable(place))
}

fn unreadable(chunk: i64) -> LedgerError {
    LedgerError::Unreadable { what: "state before the last one", of: format!("chunk {chunk}") }
}

/// The chunks of which it is known what the ledger said before a state.
///
/// # Errors
/// The database fails.
pub(crate) fn chunks(db: &mut Db, generation: i64) -> Result<Vec<i64>, LedgerError> {
    b::table.filter(b::generation.eq(generation)).select(b::chunk_id).load(db).attempt("read")
}

/// What the ledger said of a chunk.
///
/// # Errors
/// The database fails, or it cannot be read back.
pub(crate) fn of_chunk(db: &mut Db, chunk: i64) -> Result<Option<Earlier>, LedgerError> {
    kept(db, chunk)
}

/// Forgets what the ledger said before states that are not the last one any more, or of all chunks: `generation` none.
///
/// # Errors
/// The database fails.
pub(crate) fn forget(db: &mut Db, generation: Option<i64>) -> Result<usize, LedgerError> {
    match generation {
        Some(generation) => diesel::delete(b::table.filter(b::generation.lt(generation))).execute(db),
        None => diesel::delete(b::table).execute(db),
    }
    .attempt("written")
}

/// Forgets what the ledger said of a chunk.
///
/// # Errors
/// The database fails.
pub(super) fn forget_chunk(db: &mut Db, chunk: i64) -> QueryResult<()> {
    diesel::delete(b::table.find(chunk)).execute(db).map(|_| ())
}

impl Earlier {
    /// The rows that it had, with what was recorded of them.
    ///
    /// # Errors
    /// The record cannot be read back.
    pub(crate) fn keys(&self, step: &str) -> Result<Vec<Key>, LedgerError> {
        let migrated = self.record.as_deref().map(|record| record::unpacked(step, record)).transpose()?;
        let migrated = migrated.into_iter().flatten().map(|row| row.key);
        Ok(migrated.chain(self.outcomes.iter().map(|(key, ..)| *key)).collect())
    }

    /// What it had written.
    ///
    /// # Errors
    /// It cannot be read back.
    pub(crate) fn tables(&self) -> Result<Vec<Table>, LedgerError> {
        let table = |(name, .., data, _): &Imprinted| Packed::unpacked(name.clone(), data);
        self.imprints.iter().map(table).collect::<Result<_, _>>().map_err(|_| unreadable(self.chunk))
    }

    /// What it had done to rows that were there before and that is not recorded any more, first things first: it was taken back since, be it
    /// some columns of it. `refused`: changes of the last state that the target does not let go of yet.
    ///
    /// # Errors
    /// The database fails, or it cannot be read back.
    pub(crate) fn undone(&self, db: &mut Db, refused: &[i64]) -> Result<Vec<Done>, LedgerError> {
        let ids: Vec<i64> = self.changes.iter().map(|((id, ..), _)| *id).collect();
        // A number that was free again may be that of a later change.
        let last = generations::number(db).attempt("read")?;
        let left = ch::table.filter(ch::id.eq_any(ids)).filter(ch::generation.lt(last));
        let left: Vec<(i64, Option<String>)> = left.select((ch::id, ch::value_after)).load(db).attempt("read")?;
        let left: FxHashMap<i64, Option<String>> = left.into_iter().collect();
        let mut undone = Vec::new();
        for ((id, table, target_id, key, _), (_, before, after, ..)) in &self.changes {
            let Some(row) = target_id.map(RowName::Id).or_else(|| key.clone().map(RowName::Key)) else { continue };
            let columns = |json: &Option<String>| super::changes::columns(table, json.clone());
            let (mut before, mut after) = (columns(before)?, columns(after)?);
            if let Some(still) = left.get(id) {
                let still = columns(still)?.unwrap_or_default();
                for columns in [&mut before, &mut after].into_iter().flatten() {
                    columns.retain(|column, _| !still.contains_key(column));
                }
                if after.as_ref().is_none_or(Columns::is_empty) {
                    continue;
                }
            }
            // A row that somebody has changed since, where the state had changed it, is theirs: nobody who was erased has a name again.
            let later = super::changes::of_rows(db, table, std::slice::from_ref(&row))?;
            let is_theirs =
                |known: &Known| known.generation == last && !known.tells_nothing() && !refused.contains(&known.id);
            if !later.values().flatten().any(is_theirs) {
                undone.push(Done { id: *id, table: table.clone(), row, before, after });
            }
        }
        Ok(undone)
    }

    /// Has the ledger say of the chunk what it said, but for rows that stay as they are: these are left to whoever judges it again.
    /// `redone`: what was done to rows that were there before and is done again.
    ///
    /// # Errors
    /// The database fails, or something cannot be read back.
    pub(crate) fn restore(
        mut self,
        db: &mut Db,
        step: &str,
        (stays, redone): (&[Key], &[i64]),
    ) -> Result<(), LedgerError> {
        let chunk = self.chunk;
        let keys = self.keys(step)?;
        if !stays.is_empty() {
            self.leave_out(step, stays)?;
        }
        for some in keys.chunks(1_000) {
            let some = || some.to_vec();
            diesel::delete(o::table.filter(o::step.eq(step)).filter(o::legacy_key.eq_any(some())))
                .execute(db)
                .attempt("written")?;
            diesel::delete(q::table.filter(q::step.eq(step)).filter(q::legacy_key.eq_any(some())))
                .execute(db)
                .attempt("written")?;
            let own = r::table.filter(r::step.eq(step)).filter(r::chunk_id.is_not_null());
            diesel::delete(own.filter(r::legacy_key.eq_any(some()))).execute(db).attempt("written")?;
            diesel::delete(mv::table.filter(mv::step.eq(step)).filter(mv::legacy_key.eq_any(some())))
                .execute(db)
                .attempt("written")?;
            let first = f::table.filter(f::step.eq(step)).filter(f::legacy_key.eq_any(some()));
            let generation = generations::number(db).attempt("read")?;
            diesel::delete(first.filter(f::generation.eq(generation))).execute(db).attempt("written")?;
        }
        diesel::delete(o::table.filter(o::chunk_id.eq(chunk))).execute(db).attempt("written")?;
        diesel::delete(q::table.filter(q::chunk_id.eq(chunk))).execute(db).attempt("written")?;
        diesel::delete(r::table.filter(r::chunk_id.eq(chunk))).execute(db).attempt("written")?;
        diesel::delete(m::table.filter(m::chunk_id.eq(chunk))).execute(db).attempt("written")?;
        diesel::delete(u::table.filter(u::chunk_id.eq(chunk))).execute(db).attempt("written")?;
        diesel::delete(k::table.filter(k::chunk_id.eq(chunk))).execute(db).attempt("written")?;
        imprints::forget(db, chunk).attempt("written")?;
        diesel::delete(s::table.find(chunk)).execute(db).attempt("written")?;
        self.forget_secrets(db)?;
        self.write(db, step, redone).attempt("written")?;
        diesel::delete(b::table.find(chunk)).execute(db).attempt("written").map(|_| ())
    }

    /// Secrets that the last state has written stay where they stand. Where the chunk had written one before, they are its own.
    fn forget_secrets(&self, db: &mut Db) -> Result<(), LedgerError> {
        let last = generations::number(db).attempt("read")?;
        for ((_, table, target_id, ..), (_, _, after, ..)) in &self.changes {
            let after = super::changes::columns(table, after.clone())?.unwrap_or_default();
            let secrets = after.into_iter().filter(|(_, value)| is_hash(value)).map(|(column, _)| column);
            let secrets: Vec<String> = secrets.collect();
            let Some(id) = target_id.filter(|_| !secrets.is_empty()) else { continue };
            let of_row = ch::table.filter(ch::target_table.eq(table)).filter(ch::target_id.eq(id));
            let of_row = of_row.filter(ch::generation.eq(last)).filter(ch::in_imprint.eq(false)).select(ch::id);
            let later: Vec<i64> = of_row.load(db).attempt("read")?;
            super::changes::forget_columns(db, &later, &secrets)?;
        }
        Ok(())
    }

    fn write(self, db: &mut Db, step: &str, redone: &[i64]) -> QueryResult<()> {
        let chunk = self.chunk;
        let [rows_read, migrated, merged, skipped, quarantined, repairs] = self.counts;
        let numbers = Numbers {
            rows_read,
            migrated,
            merged,
            skipped,
            quarantined,
            repairs,
            busy_ms: self.busy_ms,
            done_at: self.done_at.map(Instant::from_micros),
            reason: None,
            record: self.record,
            digest: self.digest,
            waits: self.waits,
            carried: self.carried,
        };
        diesel::update(c::table.find(chunk)).set((numbers, c::epoch.eq(c::epoch + 1))).execute(db)?;
        for (key, outcome, code, table, id) in self.outcomes {
            let row = (
                (o::step.eq(step), o::legacy_key.eq(key), o::chunk_id.eq(chunk), o::outcome.eq(outcome)),
                (o::code.eq(code), o::target_table.eq(table), o::target_id.eq(id)),
            );
            diesel::insert_into(o::table).values(row).execute(db)?;
        }
        for (key, by_step, code, column, before, after) in self.repairs {
            let row = (
                (r::step.eq(step), r::legacy_key.eq(key), r::chunk_id.eq(chunk), r::by_step.eq(by_step)),
                (r::code.eq(code), r::column_name.eq(column), r::value_before.eq(before), r::value_after.eq(after)),
            );
            diesel::insert_into(r::table).values(row).execute(db)?;
        }
        for (key, code, reason, root_step, root_key, legacy_row, money, at) in self.quarantined {
            let row = (
                (
                    q::step.eq(step),
                    q::legacy_key.eq(key),
                    q::chunk_id.eq(chunk),
                    q::code.eq(code),
                    q::reason.eq(reason),
                ),
                (q::root_step.eq(root_step), q::root_key.eq(root_key), q::legacy_row.eq(legacy_row)),
                (q::money.eq(money), q::quarantined_at.eq(Instant::from_micros(at))),
            );
            diesel::insert_into(q::table).values(row).execute(db)?;
        }
        for (currency, flow) in self.money {
            let row = (m::step.eq(step), m::chunk_id.eq(chunk), m::currency.eq(currency), m::flow.eq(flow));
            diesel::insert_into(m::table).values(row).execute(db)?;
        }
        for key in self.unread {
            let row = (u::step.eq(step), u::legacy_key.eq(key), u::chunk_id.eq(chunk));
            diesel::insert_into(u::table).values(row).execute(db)?;
        }
        for (table, rows, first, last, data, written_by) in self.imprints {
            let row = (
                (i::chunk_id.eq(chunk), i::target_table.eq(table), i::rows.eq(rows), i::first_id.eq(first)),
                (i::last_id.eq(last), i::data.eq(data), i::written_by.eq(written_by)),
            );
            diesel::insert_into(i::table).values(row).execute(db)?;
        }
        if let Some(seen) = self.seen {
            diesel::insert_into(s::table).values((s::chunk_id.eq(chunk), s::data.eq(seen))).execute(db)?;
        }
        for (key, table, id, target_key, columns, generation) in self.conflicts {
            let row = (
                (k::step.eq(step), k::chunk_id.eq(chunk), k::legacy_key.eq(key), k::target_table.eq(table)),
                (k::target_id.eq(id), k::target_key.eq(target_key), k::column_names.eq(columns)),
                k::generation.eq(generation),
            );
            diesel::insert_into(k::table).values(row).execute(db)?;
        }
        let last = generations::number(db)?;
        for ((id, table, target_id, target_key, key), (what, before, after, in_imprint, generation)) in self.changes {
            let values = (ch::value_before.eq(&before), ch::value_after.eq(&after));
            let own = ch::table.find(id).filter(ch::generation.lt(last));
            if diesel::update(own).set(values).execute(db)? > 0 || !redone.contains(&id) {
                continue;
            }
            // One that was done again is the last that was done.
            let row = (
                (ch::step.eq(step), ch::chunk_id.eq(chunk), ch::target_table.eq(table)),
                (ch::target_id.eq(target_id), ch::target_key.eq(target_key), ch::legacy_key.eq(key), ch::what.eq(what)),
                (ch::value_before.eq(before), ch::value_after.eq(after), ch::in_imprint.eq(in_imprint)),
                ch::generation.eq(generation),
            );
            diesel::insert_into(ch::table).values(row).execute(db)?;
        }
        Ok(())
    }

    /// Leaves out some of its rows, with what they count and carry.
    fn leave_out(&mut self, step: &str, stays: &[Key]) -> Result<(), LedgerError> {
        let is_left = |key: &Key| !stays.contains(key);
        let amounts = self.carried.as_deref().map(|packed| record::unpacked_amounts(step, packed)).transpose()?;
        let record = self.record.as_deref().map(|packed| record::unpacked(step, packed)).transpose()?;
        let record: Vec<_> = record.into_iter().flatten().filter(|row| is_left(&row.key)).collect();
        self.outcomes.retain(|(key, ..)| is_left(key));
        self.quarantined.retain(|(key, ..)| is_left(key));
        self.repairs.retain(|(key, ..)| is_left(key));
        self.conflicts.retain(|(key, ..)| key.as_ref().is_none_or(is_left));
        let mut counts = Counts::default();
        let mut ended: FxHashMap<Key, Outcome> = FxHashMap::default();
        ended.extend(record.iter().map(|row| (row.key, Outcome::Migrated)));
        for (key, outcome, ..) in &self.outcomes {
            ended.insert(*key, history::outcome_of(step, outcome)?);
        }
        for outcome in ended.values() {
            counts.read += 1;
            counts.add(*outcome);
        }
        let amounts: Vec<CarriedBy> = amounts.into_iter().flatten().filter(|one| is_left(&one.key)).collect();
        let mut money = MoneyTotals::default();
        for amount in &amounts {
            let outcome = ended.get(&amount.key).copied().unwrap_or(Outcome::Quarantined);
            let carried = Money { currency: amount.currency, minor: amount.minor };
            money.row(carried, amount.exact.unwrap_or(amount.minor.into()), outcome);
            if outcome == Outcome::Migrated {
                money.written(carried);
            }
        }
        let flow = |flow| serde_json::to_string(flow).expect("a money flow has a JSON form");
        self.money = money.iter().map(|(currency, of)| (currency.to_string(), flow(of))).collect();
        self.counts = [
            counts.read.cast_signed(),
            counts.migrated.cast_signed(),
            counts.merged.cast_signed(),
            counts.skipped.cast_signed(),
            counts.quarantined.cast_signed(),
            self.repairs.len() as i64,
        ];
        self.record = Some(record::packed(&record));
        self.carried = record::packed_amounts(&amounts);
        // It is judged again, whatever the legacy database says.
        self.digest = None;
        let mut tables = self.tables()?;
        tables.iter_mut().for_each(|table| table.retain(|key| is_left(&key)));
        for table in tables {
            let packed = Packed::of(&table);
            let Some(own) = self.imprints.iter_mut().find(|(name, ..)| *name == packed.table) else { continue };
            own.1 = packed.rows as i64;
            (own.2, own.3) = packed.ids.unzip();
            own.4 = packed.compressed().to_vec();
        }
        self.imprints.retain(|(_, rows, ..)| *rows > 0);
        Ok(())
    }
}

/// Whether the row of a table with an id was there before the last state, as a row of the chunk that a key was planned for.
///
/// # Errors
/// The database fails, or what was written cannot be read back.
pub(crate) fn had(db: &mut Db, step: &str, key: Key, (table, id): (&str, i64)) -> Result<bool, LedgerError> {
    let last = generations::number(db).attempt("read")?;
    let around = c::table.filter(c::step.eq(step)).filter(c::lo.le(key)).filter(c::hi.ge(key));
    let around: Vec<i64> = around.filter(c::generation.lt(last)).select(c::id).load(db).attempt("read")?;
    for chunk in around {
        let tables = match of_chunk(db, chunk)? {
            Some(earlier) => earlier.tables()?,
            None => imprints::of_table(db, chunk, table)?,
        };
        if tables.iter().any(|of| of.name == table && of.place_of(id).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

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
pub(super) fn keep_end(db: &mut Db, step: &str) -> Result<(), LedgerError> {
    let (generation, place) = (generations::number(db).attempt("read")?, place_of_end(db, step).attempt("read")?);
    let known = b::table.find(place).filter(b::generation.eq(generation)).select(b::chunk_id);
    if generation < 2 || known.first::<i64>(db).optional().attempt("read")?.is_some() {
        return Ok(());
    }
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

/// Where it is noted that the last state is being taken back.
const UNDER_WAY: i64 = i64::MIN;

/// Notes that the last state is being taken back: nobody else writes before that has come to its end.
///
/// # Errors
/// The database fails.
pub(crate) fn begin(db: &mut Db, generation: i64) -> Result<(), LedgerError> {
    insert(db, UNDER_WAY, generation, &())
}

/// Notes that the last state was taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn end(db: &mut Db) -> Result<(), LedgerError> {
    forget_chunk(db, UNDER_WAY).attempt("written")
}

/// Whether the last state is being taken back.
///
/// # Errors
/// The database fails.
pub(crate) fn is_under_way(db: &mut Db) -> Result<bool, LedgerError> {
    let found = b::table.find(UNDER_WAY).select(b::chunk_id).first::<i64>(db).optional().attempt("read")?;
    Ok(found.is_some())
}

/// What is recorded of a chunk that was closed, to be held against what was.
///
/// # Errors
/// The database fails.
pub(crate) fn now(db: &mut Db, step: &str, chunk: i64) -> Result<(ByKey, Vec<Table>), LedgerError> {
    Ok((recorded::rows(db, step, chunk)?, imprints::of_chunk(db, chunk)?))
}
