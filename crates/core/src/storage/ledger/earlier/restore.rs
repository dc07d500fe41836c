//! Having the ledger say again what it said of a chunk.

use diesel::prelude::*;
use rustc_hash::FxHashMap;

use super::chunk::Earlier;
use super::kept::forget_chunk;
use crate::storage::db::Db;
use crate::storage::imprint::{Packed, is_hash};
use crate::storage::ledger::error::{Attempt, LedgerError};
use crate::storage::ledger::numbers::Numbers;
use crate::storage::ledger::record::CarriedBy;
use crate::storage::ledger::tables::{
    replant_changes as ch, replant_chunks as c, replant_conflicts as k, replant_first as f, replant_imprints as i,
    replant_money as m, replant_moved as mv, replant_outcomes as o, replant_quarantine as q, replant_repairs as r,
    replant_seen as s, replant_unread as u,
};
use crate::storage::ledger::{changes, generations, history, of_chunk, record};
use crate::storage::types::Instant;
use crate::words::{Counts, Key, MoneyTotals, Outcome};

impl Earlier {
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
        of_chunk::forget_rows(db, step, &keys).attempt("written")?;
        let generation = generations::number(db).attempt("read")?;
        for some in keys.chunks(1_000) {
            let waiting = mv::table.filter(mv::step.eq(step)).filter(mv::legacy_key.eq_any(some.to_vec()));
            diesel::delete(waiting).execute(db).attempt("written")?;
            let first = f::table.filter(f::step.eq(step)).filter(f::legacy_key.eq_any(some.to_vec()));
            diesel::delete(first.filter(f::generation.eq(generation))).execute(db).attempt("written")?;
        }
        of_chunk::forget(db, chunk).attempt("written")?;
        self.forget_secrets(db)?;
        self.write(db, step, redone).attempt("written")?;
        forget_chunk(db, chunk).attempt("written")
    }

    /// Secrets that the last state has written stay where they stand. Where the chunk had written one before, they are its own.
    fn forget_secrets(&self, db: &mut Db) -> Result<(), LedgerError> {
        let last = generations::number(db).attempt("read")?;
        for ((_, table, target_id, ..), (_, _, after, ..)) in &self.changes {
            let after = changes::columns(table, after.clone())?.unwrap_or_default();
            let secrets = after.into_iter().filter(|(_, value)| is_hash(value)).map(|(column, _)| column);
            let secrets: Vec<String> = secrets.collect();
            let Some(id) = target_id.filter(|_| !secrets.is_empty()) else { continue };
            let of_row = ch::table.filter(ch::target_table.eq(table)).filter(ch::target_id.eq(id));
            let of_row = of_row.filter(ch::generation.eq(last)).filter(ch::in_imprint.eq(false)).select(ch::id);
            let later: Vec<i64> = of_row.load(db).attempt("read")?;
            changes::forget_columns(db, &later, &secrets)?;
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
            amount.count(outcome, &mut money);
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
