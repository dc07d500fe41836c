//! Ids of the target's own sequences, taken beside the live site: whoever inserts a row there takes ids from them as well, and
//! must not wait for us.

use std::time::Duration;

use diesel::connection::{Connection, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Bool, Text};

use super::blocks::IdRange;
use crate::storage::db::Db;
use crate::storage::place::TABLE;
use crate::storage::sql::quoted;

/// Fewer ids are taken one by one.
const WORTH_A_LOCK: i64 = 1_000;

/// How long the lock of a sequence may be waited for, in milliseconds: whoever asks for an id meanwhile waits behind us.
const LOCK_WAIT_MS: u32 = 20;

/// How often the lock is tried for. Transactions that have taken an id keep it from us until they end.
const TRIES: u32 = 5;

/// The longest pause between two tries, in milliseconds.
const PAUSE_MS: u64 = 60;

/// Takes ids of a table, as the live site does: safe beside it, and with gaps where it came between. Nobody waits for a
/// sequence for longer than [`LOCK_WAIT_MS`] and a few statements; inside a transaction it is not locked at all.
pub(super) fn reserve(db: &mut Db, table: &str, ids: u64) -> QueryResult<Vec<IdRange>> {
    if ids == 0 {
        return Ok(Vec::new());
    }
    let ids = ids.cast_signed();
    match db {
        Db::Pg(pg) => {
            let sequence = Sequence::of(pg, table)?;
            if ids >= WORTH_A_LOCK
                && sequence.owned
                && !in_transaction(pg)?
                && let Some(range) = sequence.take_at_once(pg, ids)?
            {
                return Ok(vec![range]);
            }
            sequence.take_each(pg, ids)
        }
        db => db.write(|db| reserve_lite(db, table, ids)),
    }
}

/// A lock that is taken in a transaction is kept until that ends.
fn in_transaction(pg: &mut PgConnection) -> QueryResult<bool> {
    let status = <PgConnection as Connection>::TransactionManager::transaction_manager_status_mut(pg);
    Ok(status.transaction_depth()?.is_some())
}

#[derive(QueryableByName)]
struct Sequence {
    /// Quoted where it must be, with its schema.
    #[diesel(sql_type = Text)]
    name: String,
    /// Below zero where it counts downwards.
    #[diesel(sql_type = BigInt)]
    increment: i64,
    /// Whether we may alter it.
    #[diesel(sql_type = Bool)]
    owned: bool,
}

/// The sequence of a table's `id`.
const SEQUENCE: &str = "
SELECT q.seqrelid::regclass::text AS name, q.seqincrement AS increment, pg_has_role(o.relowner, 'USAGE') AS owned
  FROM pg_sequence q JOIN pg_class o ON o.oid = q.seqrelid
 WHERE q.seqrelid = pg_get_serial_sequence(TABLE::regclass::text, 'id')::regclass";

#[derive(QueryableByName)]
struct Reserved {
    #[diesel(sql_type = BigInt)]
    first_id: i64,
    #[diesel(sql_type = BigInt)]
    ids: i64,
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = BigInt)]
    first: i64,
}

/// What [`Sequence::set_ahead`] leaves behind: a block of statements returns nothing.
const FIRST: &str = "SELECT current_setting('replant.first_id')::bigint AS first";

impl Sequence {
    fn of(pg: &mut PgConnection, table: &str) -> QueryResult<Self> {
        diesel::sql_query(SEQUENCE.replace("TABLE", TABLE)).bind::<Text, _>(table).get_result(pg)
    }

    fn range(&self, lowest: i64, ids: i64) -> IdRange {
        IdRange { first: lowest, ids: ids.cast_unsigned(), step_by: self.increment.unsigned_abs() }
    }

    /// The name as a literal of SQL.
    fn literal(&self) -> String {
        format!("'{}'", self.name.replace('\'', "''"))
    }

    /// Takes ids by setting the sequence ahead, while nobody else can take one. None where that was not to be.
    fn take_at_once(&self, pg: &mut PgConnection, ids: i64) -> QueryResult<Option<IdRange>> {
        let ahead = self.set_ahead(ids);
        for attempt in 1..=TRIES {
            match pg.batch_execute(&ahead) {
                Ok(()) => {
                    let First { first } = diesel::sql_query(FIRST).get_result(pg)?;
                    return Ok(Some(self.range(first.min(first + (ids - 1) * self.increment), ids)));
                }
                // Whatever the server has against it, one by one is the other way: a lost connection shows there.
                Err(Error::DatabaseError(..)) => std::thread::sleep(Duration::from_millis(pause(attempt))),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// One statement, which is its own transaction: a slow network, or a process that is stopped, must not keep the lock.
    /// ALTER SEQUENCE alone locks a sequence; this one changes nothing.
    fn set_ahead(&self, ids: i64) -> String {
        let Self { name, increment, .. } = self;
        let sequence = self.literal();
        format!(
            "DO $replant$ DECLARE first_id bigint; BEGIN \
             PERFORM set_config('lock_timeout', '{LOCK_WAIT_MS}', true); \
             ALTER SEQUENCE {name} INCREMENT BY {increment}; \
             first_id := nextval({sequence}::regclass); \
             PERFORM setval({sequence}::regclass, first_id + {}); \
             PERFORM set_config('replant.first_id', first_id::text, false); \
             END $replant$",
            (ids - 1) * increment
        )
    }

    /// Takes ids one by one, in one statement: nothing is locked, and others come between. The sequence is looked up once, not
    /// once an id.
    fn take_each(&self, pg: &mut PgConnection, ids: i64) -> QueryResult<Vec<IdRange>> {
        // nextval() has no place in diesel's query builder.
        let taken: Vec<Reserved> = diesel::sql_query(format!(
            "SELECT min(id)::bigint AS first_id, count(*) AS ids \
             FROM (SELECT nextval({}::regclass) AS id, place FROM generate_series(1::bigint, $1) place OFFSET 0) taken \
             GROUP BY id - place * ({}) ORDER BY 1",
            self.literal(),
            self.increment
        ))
        .bind::<BigInt, _>(ids)
        .load(pg)?;
        Ok(taken.into_iter().map(|taken| self.range(taken.first_id, taken.ids)).collect())
    }
}

/// Longer from try to try, and by chance, so that two who want one sequence do not meet again.
fn pause(attempt: u32) -> u64 {
    let chance = u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs()) % PAUSE_MS;
    (u64::from(attempt) * PAUSE_MS / u64::from(TRIES) + chance).min(2 * PAUSE_MS)
}

/// SQLite has one writer, so nobody comes between.
fn reserve_lite(db: &mut Db, table: &str, ids: i64) -> QueryResult<Vec<IdRange>> {
    let top = format!(
        "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0), \
         coalesce((SELECT max(id) FROM {}), 0)) + 1 AS first_id, ? AS ids",
        quoted(table)
    );
    let Reserved { first_id, .. } =
        diesel::sql_query(top).bind::<Text, _>(table).bind::<BigInt, _>(ids).get_result(db)?;
    let last = first_id + ids - 1;
    let known = diesel::sql_query("UPDATE sqlite_sequence SET seq = ? WHERE name = ?")
        .bind::<BigInt, _>(last)
        .bind::<Text, _>(table)
        .execute(db)?;
    if known == 0 {
        diesel::sql_query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)")
            .bind::<Text, _>(table)
            .bind::<BigInt, _>(last)
            .execute(db)?;
    }
    Ok(vec![IdRange { first: first_id, ids: ids.cast_unsigned(), step_by: 1 }])
}
