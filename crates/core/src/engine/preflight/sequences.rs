//! The sequences of the target from which ids are taken.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::contract::inspect::Finding;
use crate::engine::step::AnyStep;
use crate::storage::db::{Db, Role};
use crate::storage::place::in_schema;

#[derive(QueryableByName)]
struct Sequence {
    #[diesel(sql_type = Nullable<Text>)]
    sequence: Option<String>,
    #[diesel(sql_type = Text)]
    me: String,
    #[diesel(sql_type = Bool)]
    reads_table: bool,
    #[diesel(sql_type = Bool)]
    takes_ids: bool,
    #[diesel(sql_type = BigInt)]
    increment: i64,
    #[diesel(sql_type = Bool)]
    cycles: bool,
}

const SEQUENCE: &str = "
SELECT s.sequence, quote_ident(current_user) AS me, has_table_privilege(t.oid, 'SELECT') AS reads_table,
       coalesce(has_sequence_privilege(s.sequence, 'USAGE') AND has_sequence_privilege(s.sequence, 'SELECT'), false) AS takes_ids,
       coalesce(q.seqincrement, 1) AS increment, coalesce(q.seqcycle, false) AS cycles
  FROM pg_class t
  CROSS JOIN LATERAL (SELECT pg_get_serial_sequence(t.oid::regclass::text, 'id') AS sequence) s
  LEFT JOIN pg_sequence q ON q.seqrelid = s.sequence::regclass
 WHERE t.oid = to_regclass(format('%s.%I', current_setting('replant.schema'), $1))
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'id' AND NOT a.attisdropped)";

#[derive(QueryableByName)]
struct Behind {
    #[diesel(sql_type = BigInt)]
    highest: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
}

/// What is wrong with the sequences of the tables in which the steps take ids.
///
/// # Errors
/// The database fails.
pub(crate) fn sound(steps: &[&dyn AnyStep], db: &mut Db) -> QueryResult<Vec<Finding>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for table in with_ids(steps) {
        // A table that is not there, or has no `id`, is named elsewhere.
        let Some(sequence) = diesel::sql_query(SEQUENCE).bind::<Text, _>(table).get_result(pg).optional()? else {
            continue;
        };
        found.extend(judge(pg, table, &sequence)?);
    }
    Ok(found)
}

/// The tables in which the steps take ids.
pub(super) fn with_ids(steps: &[&dyn AnyStep]) -> BTreeSet<&'static str> {
    steps.iter().flat_map(|step| step.also().iter().copied().chain([step.target_table()])).collect()
}

fn judge(pg: &mut PgConnection, table: &str, found: &Sequence) -> QueryResult<Vec<Finding>> {
    let mut findings = Vec::new();
    let refuse = |what: String| Finding::refusal(Role::Target, what);
    let Some(sequence) = &found.sequence else {
        let mend = format!("ALTER SEQUENCE ... OWNED BY {table}.id;");
        return Ok(vec![refuse(format!("`{table}.id` has no sequence to take ids from")).mend(mend)]);
    };
    if !found.takes_ids {
        let what = format!("the database user lacks a right: SELECT and USAGE on the sequence {sequence}");
        findings.push(refuse(what).mend(format!("GRANT SELECT, USAGE ON SEQUENCE {sequence} TO {};", found.me)));
    }
    if found.increment < 0 {
        let what = format!("the sequence of `{table}.id` counts downwards: the migration takes ids upwards");
        findings.push(refuse(what).mend(format!("ALTER SEQUENCE {sequence} INCREMENT BY 1 ...;")));
    } else if found.increment > 1 {
        let what = format!(
            "the sequence of `{table}.id` counts by {}: ids are taken one by one, which takes longer",
            found.increment
        );
        findings.push(Finding::note(Role::Target, what));
    }
    if found.cycles {
        let what =
            format!("the sequence of `{table}.id` begins again at its end (CYCLE): it could give ids that are taken");
        findings.push(refuse(what).mend(format!("ALTER SEQUENCE {sequence} NO CYCLE;")));
    }
    if !found.takes_ids || !found.reads_table || found.increment < 0 {
        return Ok(findings);
    }
    // A sequence is read like a table, by its own name, which the catalogue has quoted.
    let name = in_schema(pg, table)?;
    let sql = format!(
        "SELECT coalesce((SELECT max(id) FROM {name}), 0)::bigint AS highest, last_value - (NOT is_called)::int AS last FROM {sequence}"
    );
    let Behind { highest, last } = diesel::sql_query(sql).get_result(pg)?;
    if last < highest {
        let what = format!("the sequence of `{table}.id` stands at {last}, behind the highest id {highest}");
        findings.push(refuse(what).mend(format!("SELECT setval('{sequence}', {highest});")));
    }
    Ok(findings)
}

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = BigInt)]
    left: i64,
}

/// Whether a table's sequence has as many ids left as rows are to come.
pub(super) fn enough(db: &mut Db, table: &str, rows: u64) -> QueryResult<Option<Finding>> {
    let Db::Pg(pg) = db else { return Ok(None) };
    let Some(Sequence { sequence: Some(sequence), takes_ids: true, .. }) =
        diesel::sql_query(SEQUENCE).bind::<Text, _>(table).get_result(pg).optional()?
    else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT greatest((q.seqmax - s.last_value) / q.seqincrement, 0) AS left FROM {sequence} s, pg_sequence q WHERE q.seqrelid = $1::regclass"
    );
    let Left { left } = diesel::sql_query(sql).bind::<Text, _>(&sequence).get_result(pg)?;
    if left.cast_unsigned() >= rows {
        return Ok(None);
    }
    let what = format!("the sequence of `{table}.id` has {left} ids left, and {rows} rows are to come");
    Ok(Some(Finding::refusal(Role::Target, what).mend(format!("ALTER SEQUENCE {sequence} AS bigint NO MAXVALUE;"))))
}
