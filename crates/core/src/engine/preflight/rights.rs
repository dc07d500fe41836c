//! The rights on tables of the target, and on the sequences that their ids come from.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};

use super::checked::Needs;
use super::tables::over_tables;
use crate::contract::inspect::{Finding, Right};
use crate::storage::db::{Db, Role};

#[derive(QueryableByName)]
struct Granted {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    me: String,
    #[diesel(sql_type = Bool)]
    selects: bool,
    #[diesel(sql_type = Bool)]
    inserts: bool,
    #[diesel(sql_type = Bool)]
    updates: bool,
    #[diesel(sql_type = Bool)]
    deletes: bool,
    #[diesel(sql_type = Bool)]
    uses_schema: bool,
    #[diesel(sql_type = Text)]
    schema: String,
}

const GRANTED: &str = "
SELECT n.name, n.oid::regclass::text AS table, quote_ident(current_user) AS me,
       has_table_privilege(n.oid, 'SELECT') AS selects, has_table_privilege(n.oid, 'INSERT') AS inserts,
       has_table_privilege(n.oid, 'UPDATE') AS updates, has_table_privilege(n.oid, 'DELETE') AS deletes,
       has_schema_privilege(t.relnamespace, 'USAGE') AS uses_schema, t.relnamespace::regnamespace::text AS schema
  FROM named n JOIN pg_class t ON t.oid = n.oid";

/// Names the rights that the user lacks, a table a finding.
pub(super) fn lacking(db: &mut Db, needs: &Needs) -> QueryResult<Vec<Finding>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let tables: Vec<&str> = needs.keys().map(String::as_str).collect();
    let granted: Vec<Granted> = diesel::sql_query(over_tables(GRANTED)).bind::<Array<Text>, _>(tables).load(pg)?;
    let mut found = Vec::new();
    if let Some(one) = granted.iter().find(|one| !one.uses_schema) {
        let what = format!("the database user lacks a right: USAGE on the schema of `{}`", one.name);
        let mend = format!("GRANT USAGE ON SCHEMA {} TO {};", one.schema, one.me);
        found.push(Finding::refusal(Role::Target, what).mend(mend));
    }
    for one in &granted {
        let has = |right: &Right| match right {
            Right::Select => one.selects,
            Right::Insert => one.inserts,
            Right::Update => one.updates,
            Right::Delete => one.deletes,
        };
        let lacking: Vec<&str> =
            needs[&one.name].iter().filter(|right| !has(right)).map(|right| right.in_sql()).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            let what = format!("the database user lacks a right: {lacking} on `{}`", one.name);
            let mend = format!("GRANT {lacking} ON {} TO {};", one.table, one.me);
            found.push(Finding::refusal(Role::Target, what).mend(mend));
        }
    }
    Ok(found)
}
