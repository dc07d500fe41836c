//! Tables and columns, held against what `table!` says of them.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use crate::contract::inspect::{Finding, Right};
use crate::engine::step::AnyStep;
use crate::storage::db::{Backend, Db, Role};
use crate::storage::shape::{Kind, Misfit, TableShape, Use, misfits};

/// What is wrong with the legacy tables that the steps read.
pub(super) fn legacy(steps: &[&dyn AnyStep], db: &mut Db) -> QueryResult<Vec<Finding>> {
    let mut found = Vec::new();
    for table in steps.iter().flat_map(|step| step.reads()) {
        for misfit in misfits(db, &table, Use::Read)? {
            found.push(of_legacy(db, &misfit)?);
        }
        found.extend(unreadable(db, &table)?);
    }
    Ok(found)
}

/// What is wrong with the target tables that the steps write or read.
pub(super) fn target(steps: &[&dyn AnyStep], db: &mut Db) -> QueryResult<Vec<Finding>> {
    let mut found = Vec::new();
    for step in steps {
        let filled: BTreeSet<&str> = step.filled().into_iter().collect();
        let adds =
            |(table, rights): &(&'static str, &'static [Right])| rights.contains(&Right::Insert).then_some(*table);
        let further: BTreeSet<&str> = step.changes().iter().filter_map(adds).collect();
        for table in step.writes() {
            let usage =
                if filled.contains(table.name) || further.contains(table.name) { Use::Write } else { Use::Reference };
            let backend = db.backend();
            found.extend(misfits(db, &table, usage)?.iter().map(|misfit| of_target(backend, misfit)));
        }
    }
    Ok(found)
}

fn of_legacy(db: &mut Db, misfit: &Misfit) -> QueryResult<Finding> {
    let finding = Finding::refusal(Role::Legacy, misfit.to_string());
    Ok(match misfit {
        // What may not be read, MariaDB does not show.
        Misfit::NoTable(table) | Misfit::NoColumn { table, .. } if db.backend() == Backend::MariaDb => {
            let reader: Reader = diesel::sql_query(READER).bind::<Text, _>(table).get_result(db)?;
            if reader.sees_all {
                return Ok(finding);
            }
            let (of, part) = match misfit {
                Misfit::NoColumn { column, .. } => (format!("{table}.{column}"), format!(" (`{column}`)")),
                _ => (table.clone(), String::new()),
            };
            let what = format!("{misfit}, or the database user lacks a right: SELECT on `{of}`");
            let mend = format!("GRANT SELECT{part} ON `{}`.`{table}` TO {};", reader.database, reader.me);
            Finding::refusal(Role::Legacy, what).mend(mend)
        }
        Misfit::OtherType { table, column, found, expected: Kind::Wall } if found.to_lowercase().starts_with("timestamp") => {
            finding.mend(format!(
                "in a copy of the database: SET time_zone = the zone of its wall times; ALTER TABLE `{table}` MODIFY `{column}` DATETIME;"
            ))
        }
        _ => finding,
    })
}

fn of_target(backend: Backend, misfit: &Misfit) -> Finding {
    let finding = Finding::refusal(Role::Target, misfit.to_string());
    if backend == Backend::Sqlite {
        return finding;
    }
    let alter = |table: &str, column: &str, what: &str| format!("ALTER TABLE {table} ALTER COLUMN {column} {what};");
    match misfit {
        Misfit::OtherType { table, column, expected, .. } => {
            finding.mend(alter(table, column, &format!("TYPE {}", postgres_type(*expected))))
        }
        Misfit::NotNull { table, column } => finding.mend(alter(table, column, "DROP NOT NULL")),
        Misfit::Unknown { table, column } => finding.mend(alter(table, column, "SET DEFAULT ...")),
        Misfit::Generated { table, column } => finding.mend(alter(table, column, "DROP EXPRESSION")),
        Misfit::NoTable(_) | Misfit::NoColumn { .. } => finding,
    }
}

fn postgres_type(kind: Kind) -> &'static str {
    match kind {
        Kind::SmallInt => "smallint",
        Kind::Integer => "integer",
        Kind::BigInt => "bigint",
        Kind::Float => "real",
        Kind::Double => "double precision",
        Kind::Text => "text",
        Kind::Bool => "boolean",
        Kind::Wall => "timestamp without time zone",
        Kind::Instant => "timestamp with time zone",
        Kind::Date => "date",
    }
}

#[derive(QueryableByName)]
struct Reader {
    #[diesel(sql_type = Bool)]
    sees_all: bool,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Text)]
    me: String,
}

/// Whether all columns of a MariaDB table are shown to the user: by a right to read that is not given column by column. The name
/// of a database in a grant is a pattern.
const READER: &str = "
SELECT EXISTS (SELECT 1 FROM information_schema.user_privileges WHERE privilege_type = 'SELECT')
    OR EXISTS (SELECT 1 FROM information_schema.schema_privileges WHERE privilege_type = 'SELECT' AND database() LIKE table_schema)
    OR EXISTS (SELECT 1 FROM information_schema.table_privileges
                WHERE privilege_type = 'SELECT' AND table_schema = database() AND table_name = ?) AS sees_all,
       database() AS `database`, concat(quote(substring_index(current_user(), '@', 1)), '@', quote(substring_index(current_user(), '@', -1))) AS me";

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    me: String,
}

const UNREADABLE: &str = "
SELECT a.attname::text AS name, quote_ident(current_user) AS me FROM pg_attribute a
 WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped
   AND NOT has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY a.attnum";

/// The columns of a legacy table in PostgreSQL that the user may not read.
fn unreadable(db: &mut Db, table: &TableShape) -> QueryResult<Vec<Finding>> {
    if db.backend() != Backend::Postgres {
        return Ok(Vec::new());
    }
    let columns: Vec<Column> = diesel::sql_query(UNREADABLE).bind::<Text, _>(table.name).load(db)?;
    let read = columns.iter().filter(|column| table.columns.iter().any(|read| read.name == column.name));
    let name = table.name;
    Ok(read
        .map(|Column { name: column, me }| {
            let what = format!("the database user lacks a right: SELECT on `{name}.{column}`");
            Finding::refusal(Role::Legacy, what).mend(format!("GRANT SELECT ({column}) ON {name} TO {me};"))
        })
        .collect())
}
