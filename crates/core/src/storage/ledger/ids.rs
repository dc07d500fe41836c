//! Ids of the target's own sequences, taken beside the live site.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::storage::db::Db;

#[derive(QueryableByName)]
struct Sequence {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Reserved {
    #[diesel(sql_type = BigInt)]
    first_id: i64,
    #[diesel(sql_type = BigInt)]
    ids: i64,
}

/// Takes ids from the sequence of a table's `id`, as the live site does: safe beside it, and gaps where it came between.
pub(super) fn reserve(db: &mut Db, table: &str, ids: u64) -> QueryResult<Vec<(i64, i64)>> {
    if ids == 0 {
        return Ok(Vec::new());
    }
    let ids = ids.cast_signed();
    let reserved: Vec<Reserved> = match db {
        // nextval() has no place in diesel's query builder. The sequence is looked up once, not once an id.
        Db::Pg(pg) => {
            let sequence: Sequence =
                diesel::sql_query("SELECT pg_get_serial_sequence(format('public.%I', $1), 'id') AS name")
                    .bind::<Text, _>(table)
                    .get_result(pg)?;
            if let Some(first) = reserve_at_once(pg, &sequence.name, ids)? {
                return Ok(vec![(first, ids)]);
            }
            let name = sequence.name.replace('\'', "''");
            diesel::sql_query(format!(
                "SELECT min(id)::bigint AS first_id, count(*) AS ids \
                 FROM (SELECT nextval('{name}'::regclass) AS id, place FROM generate_series(1::bigint, $1) place OFFSET 0) taken \
                 GROUP BY id - place ORDER BY 1"
            ))
            .bind::<BigInt, _>(ids)
            .load(pg)?
        }
        _ => {
            let top = format!(
                "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0), \
                 coalesce((SELECT max(id) FROM \"{table}\"), 0)) + 1 AS first_id, ? AS ids"
            );
            let reserved: Vec<Reserved> =
                diesel::sql_query(top).bind::<Text, _>(table).bind::<BigInt, _>(ids).load(db)?;
            let last = reserved[0].first_id + ids - 1;
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
            reserved
        }
    };
    Ok(reserved.into_iter().map(|r| (r.first_id, r.ids)).collect())
}

/// Takes ids from a sequence in one go, while nobody else can: the lock of ALTER SEQUENCE keeps others from it until this
/// transaction ends. None where that needs a right that is not there, a longer wait than customers may notice, or a sequence
/// that does not count by ones.
fn reserve_at_once(pg: &mut PgConnection, sequence: &str, ids: i64) -> QueryResult<Option<i64>> {
    #[derive(QueryableByName)]
    struct First {
        #[diesel(sql_type = BigInt)]
        first: i64,
    }
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = BigInt)]
        increment: i64,
        #[diesel(sql_type = Text)]
        patience: String,
    }
    if ids < WORTH_A_LOCK {
        return Ok(None);
    }
    let sql = "SELECT seqincrement AS increment, current_setting('lock_timeout') AS patience \
               FROM pg_sequence WHERE seqrelid = $1::regclass";
    let now: Now = diesel::sql_query(sql).bind::<Text, _>(sequence).get_result(pg)?;
    if now.increment != 1 {
        return Ok(None);
    }
    let locked = pg.transaction(|pg| {
        pg.batch_execute("SET LOCAL lock_timeout = '100ms'")?;
        pg.batch_execute(&format!("ALTER SEQUENCE {sequence} INCREMENT BY 1"))?;
        pg.batch_execute(&format!("SET LOCAL lock_timeout = '{}'", now.patience))
    });
    if locked.is_err() {
        return Ok(None);
    }
    let First { first } =
        diesel::sql_query("SELECT nextval($1::regclass) AS first").bind::<Text, _>(sequence).get_result(pg)?;
    diesel::sql_query("SELECT setval($1::regclass, $2)")
        .bind::<Text, _>(sequence)
        .bind::<BigInt, _>(first + ids - 1)
        .execute(pg)?;
    Ok(Some(first))
}

/// Fewer ids are taken one by one.
const WORTH_A_LOCK: i64 = 1_000;
