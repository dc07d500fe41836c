//! What else stands on the tables of the target: row-level security, triggers, rules, partitions.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, Text};

use super::tables::over_tables;
use crate::contract::inspect::Finding;
use crate::storage::db::{Db, Role};

#[derive(QueryableByName)]
struct Secured {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    me: String,
}

/// The function knows of owners, FORCE, BYPASSRLS and superusers.
const SECURED: &str = "
SELECT n.name, quote_ident(current_user) AS me FROM named n JOIN pg_class t ON t.oid = n.oid
 WHERE t.relkind IN ('r', 'p') AND row_security_active(n.oid) ORDER BY 1";

/// Tables whose row-level security applies to the user: rows that its policies hide would be taken for missing.
pub(super) fn hidden_rows(db: &mut Db, side: Role, tables: &BTreeSet<String>) -> QueryResult<Vec<Finding>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    let secured: Vec<Secured> = diesel::sql_query(over_tables(SECURED)).bind::<Array<Text>, _>(tables).load(pg)?;
    Ok(secured
        .into_iter()
        .map(|Secured { name, me }| {
            let what = format!(
                "row-level security of `{name}` applies to the database user: rows that a policy hides would be taken for missing"
            );
            let mend = format!("ALTER ROLE {me} BYPASSRLS; (a policy that shows some of the rows is not enough)");
            Finding::refusal(side, what).mend(mend)
        })
        .collect())
}

#[derive(QueryableByName)]
struct OnTable {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    what: String,
}

/// Triggers of foreign keys are internal. A trigger of a partitioned table stands on its partitions as well, from which it is
/// told by its parent. Rules that make a view of a table are no rules on rows.
const ON_TABLES: &str = "
SELECT n.name, 'trigger' AS kind, g.tgname::text AS what
  FROM named n JOIN pg_trigger g ON g.tgrelid = n.oid WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
UNION ALL
SELECT n.name, 'trigger of a partition', format('%s on %s', g.tgname, g.tgrelid::regclass)
  FROM named n CROSS JOIN LATERAL pg_partition_tree(n.oid) p
  JOIN pg_trigger g ON g.tgrelid = p.relid AND p.relid <> n.oid AND g.tgparentid = 0
 WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
UNION ALL
SELECT n.name, 'rule', r.rulename::text FROM named n JOIN pg_class t ON t.oid = n.oid AND t.relkind IN ('r', 'p')
  JOIN pg_rewrite r ON r.ev_class = n.oid WHERE r.ev_type IN ('2', '3', '4') AND r.ev_enabled IN ('O', 'A')
UNION ALL
SELECT n.name, 'partitions', '' FROM named n JOIN pg_class t ON t.oid = n.oid AND t.relkind = 'p'
UNION ALL
SELECT n.name, 'no table', CASE t.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table' ELSE 'no table' END
  FROM named n JOIN pg_class t ON t.oid = n.oid AND t.relkind NOT IN ('r', 'p')
ORDER BY 1, 2, 3";

const ON_TABLES_LITE: &str =
    "SELECT tbl_name AS name, 'trigger' AS kind, name AS what FROM sqlite_master WHERE type = 'trigger' ORDER BY 1, 3";

/// What changes, redirects or refuses what is written into `tables`.
pub(super) fn in_the_way(db: &mut Db, tables: &BTreeSet<String>) -> QueryResult<Vec<Finding>> {
    let found: Vec<OnTable> = match db {
        Db::Pg(pg) => {
            let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
            diesel::sql_query(over_tables(ON_TABLES)).bind::<Array<Text>, _>(tables).load(pg)?
        }
        db => diesel::sql_query(ON_TABLES_LITE).load(db)?,
    };
    let same = |a: &OnTable, b: &OnTable| (&a.name, &a.kind) == (&b.name, &b.kind);
    let of_tables = found.chunk_by(same).filter(|found| tables.contains(&found[0].name));
    Ok(of_tables.flat_map(judge).collect())
}

/// Judges all of one kind on one table.
fn judge(found: &[OnTable]) -> Vec<Finding> {
    let table = &found[0].name;
    let names: Vec<String> = found.iter().map(|one| format!("`{}`", one.what)).collect();
    match found[0].kind.as_str() {
        // COPY goes round a rule on INSERT, ON CONFLICT is refused where there is one on INSERT or UPDATE, and a rule on DELETE
        // may do something else in its place: in each case the table would hold something else than the ledger says.
        "rule" => {
            let rules = found.iter().map(|one| {
                let what =
                    format!("the table `{table}` has a rule, `{}`, which what is written here goes round", one.what);
                Finding::refusal(Role::Target, what)
                    .mend(format!("DROP RULE {} ON {table}; (a trigger can do its work)", one.what))
            });
            rules.collect()
        }
        "partitions" => {
            let what =
                format!("the table `{table}` is partitioned: a row for which there is no partition is quarantined");
            vec![Finding::note(Role::Target, what)]
        }
        "no table" => {
            let what = format!("`{table}` is {}, where rows are to be written", found[0].what);
            vec![Finding::refusal(Role::Target, what)]
        }
        _ => {
            let names = names.join(", ");
            let what = format!(
                "triggers of `{table}` fire on the rows that are written, and may change or refuse them: {names}"
            );
            vec![Finding::note(Role::Target, what)]
        }
    }
}
