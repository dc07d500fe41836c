//! Whether a connection is one session of the server: a pooler between them may hand sessions around.
//!
//! Replant tells a worker that lives from one that died by a lock of its session, and prepares statements in it.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text};

use crate::contract::inspect::Finding;
use crate::engine::error::RunError;
use crate::storage::db::{Backend, Db, Role};
use crate::storage::pool::{Pool, PoolError};

/// How often two connections get in each other's way.
const ROUNDS: usize = 4;

#[derive(QueryableByName, PartialEq, Eq)]
struct Session {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Nullable<Text>)]
    mark: Option<String>,
}

const SESSION: &str = "SELECT pg_backend_pid() AS pid, current_setting('replant.session', true) AS mark";

/// What is found where a connection is another session from one transaction to the next: a refusal.
///
/// # Errors
/// No connection can be opened.
pub(super) fn are_kept(target: &Pool) -> Result<QueryResult<Vec<Finding>>, RunError> {
    if target.backend() != Backend::Postgres {
        return Ok(Ok(Vec::new()));
    }
    let same = if target.is_rehearsal() {
        // It has one connection, inside a transaction.
        let [mut one, mut other] =
            [target.dedicated().map_err(PoolError::from)?, target.dedicated().map_err(PoolError::from)?];
        compare(&mut one, &mut other)
    } else {
        compare(&mut *target.get()?, &mut *target.get()?)
    };
    Ok(same.map(|same| if same { Vec::new() } else { vec![refusal()] }))
}

fn refusal() -> Finding {
    let what = "the address is that of a pooler that hands sessions around (pgbouncer: pool_mode = transaction or statement): \
                a connection is another session from one transaction to the next";
    Finding::refusal(Role::Target, what).mend("connect to the server itself, or to a pool with pool_mode = session")
}

/// Each connection marks its session, then finds its mark again, also while the other one holds a transaction open: a pooler has
/// to give it another session then.
fn compare(one: &mut Db, other: &mut Db) -> QueryResult<bool> {
    let marks = ["one", "other"].map(|name| format!("{name} {}", std::process::id()));
    let sessions = [marked(one, &marks[0])?, marked(other, &marks[1])?];
    // First without any being held: a pooler of one session would let the other wait for it.
    if session(one)? != sessions[0] || session(other)? != sessions[1] {
        return Ok(false);
    }
    for _ in 0..ROUNDS {
        for turn in 0..2 {
            let (holder, asked) = if turn == 0 { (&mut *one, &mut *other) } else { (&mut *other, &mut *one) };
            holder.batch_execute("BEGIN; SELECT 1")?;
            let found = session(asked);
            holder.batch_execute("ROLLBACK")?;
            if found? != sessions[1 - turn] {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn marked(db: &mut Db, mark: &str) -> QueryResult<Session> {
    db.batch_execute(&format!("SET replant.session = '{mark}'"))?;
    let session = session(db)?;
    Ok(Session { mark: Some(mark.to_owned()), ..session })
}

/// In a transaction: a statement is prepared and executed in two messages, between which a pooler may change the session.
fn session(db: &mut Db) -> QueryResult<Session> {
    db.transaction(|db| diesel::sql_query(SESSION).get_result(db))
}
