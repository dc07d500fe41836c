//! Rows that an offline load let in although a foreign key would have refused them: found, and taken out with their units.

use std::time::Instant;

use diesel::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::engine::chunk::{ChunkError, Expelled, Packing, Weight};
use crate::engine::error::RunError;
use crate::engine::run::Running;
use crate::engine::step::{AnyStep, PreparedStep};
use crate::storage::constraints::{self, OfflineError};
use crate::storage::db::Db;
use crate::storage::ledger::plan::Span;
use crate::storage::ledger::tables::replant_quarantine as q;
use crate::storage::ledger::{LedgerError, history, recorded, stage};
use crate::words::{Code, Key};

/// A target row: its table and its id.
type Row = (String, i64);

/// Takes out what the missing foreign keys of a step refuse, in one transaction. Units that the target refused for the
/// sake of one that goes may come in for it, and point to nothing in their turn: the caller looks again. `before`: what
/// went in earlier rounds, and stays out.
///
/// # Errors
/// A row cannot be taken out, or a database fails. Nothing is changed then.
pub(crate) fn expel(
    run: &Running<'_>,
    step: &dyn AnyStep,
    prepared: &dyn PreparedStep,
    before: Expelled,
) -> Result<Expelled, RunError> {
    let mut target = run.databases.target.get()?;
    target.write(|db| {
        stage::lock(db, step.name()).map_err(OfflineError::from)?;
        let orphans = orphans(db, step)?;
        if orphans.is_empty() {
            return Ok(before);
        }
        constraints::take_away(db, step.name()).map_err(OfflineError::from)?;
        let mut out = before;
        let mut chunks = with_refused(db, step.name())?;
        for (chunk, key, name) in behind(db, step, &orphans)? {
            out.insert(key, name);
            chunks.insert(chunk);
        }
        let spans: FxHashMap<i64, Span> = recorded::chunks(db, step.name())?.into_iter().collect();
        let mut chunks: Vec<i64> = chunks.into_iter().collect();
        chunks.sort_unstable_by_key(|chunk| spans.get(chunk).map(|span| (span.layer, span.range.lo)));
        for chunk in chunks {
            let Some(span) = spans.get(&chunk).copied() else { continue };
            let started = Instant::now();
            let failed = |source| match source {
                ChunkError::Entangled { key } => {
                    let name = out.get(&key).map_or("a foreign key", String::as_str);
                    let orphans = format!("the legacy row {key} against `{name}`");
                    RunError::Entangled { step: step.name(), orphans }
                }
                source => RunError::Chunk { step: step.name(), lo: span.range.lo, hi: span.range.hi, source },
            };
            let (rows, _) = prepared.read(&run.databases.legacy, run.overlay(), span, Weight::ANY).map_err(failed)?;
            rows.transform(Packing::WhenAsked)
                .and_then(|judged| judged.expel(db, chunk, &out, started))
                .map_err(failed)?;
        }
        Ok(out)
    })
}

/// Whether the missing foreign keys of a step have nothing to refuse any more: another process has taken it out.
pub(crate) fn is_mended(run: &Running<'_>, step: &dyn AnyStep) -> Result<bool, RunError> {
    Ok(orphans(&mut *run.databases.target.get()?, step)?.is_empty())
}

/// The rows of the tables of a step that its missing foreign keys refuse; of a table without ids, the rows that they belong to.
fn orphans(db: &mut Db, step: &dyn AnyStep) -> Result<FxHashMap<Row, String>, RunError> {
    let mut orphans = FxHashMap::default();
    let own = [step.target_table()].into_iter().chain(step.also().iter().copied()).map(|table| (table, "id", table));
    let parts = step.parts().iter().map(|(part, column)| (*part, *column, step.target_table()));
    for (table, column, of) in own.chain(parts) {
        for (id, name) in constraints::ids(db, step.name(), table, column)? {
            orphans.entry((of.to_owned(), id)).or_insert(name);
        }
    }
    Ok(orphans)
}

/// The legacy rows behind target rows, with their chunks.
fn behind(
    db: &mut Db,
    step: &dyn AnyStep,
    rows: &FxHashMap<Row, String>,
) -> Result<Vec<(i64, Key, String)>, LedgerError> {
    let Some(known) = history::known_steps(db)?.into_iter().find(|known| known.name == step.name()) else {
        return Ok(Vec::new());
    };
    let mut behind = Vec::new();
    history::lineage(db, &known, |row| {
        if let Some(name) = row.targets.iter().find_map(|target| rows.get(target)) {
            behind.push((row.chunk, row.legacy_id, name.clone()));
        }
        Ok::<_, LedgerError>(())
    })?;
    Ok(behind)
}

/// The chunks of which the target refused something.
fn with_refused(db: &mut Db, step: &str) -> QueryResult<FxHashSet<i64>> {
    let refused = q::table.filter(q::step.eq(step.to_owned())).filter(q::code.eq(Code::CONSTRAINT_VIOLATED.as_str()));
    Ok(refused.select(q::chunk_id).distinct().load::<i64>(db)?.into_iter().collect())
}
