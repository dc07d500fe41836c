//! PostgreSQL: COPY, a slice at a time, parents before children.

use std::io::Write;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use replant_core::db::{Db, DbUrl, Role};
use replant_testkit::load::move_sequences;

use crate::row::Row;
use crate::schema;
use crate::table::Table;
use crate::world::World;
use crate::{Progress, SimulateError};

pub(super) fn fill(
    world: &World,
    tables: &[Table],
    url: &DbUrl,
    progress: Progress<'_>,
) -> Result<Vec<(&'static str, u64)>, SimulateError> {
    let mut db = Db::open(url, Role::Target)?;
    let mut loaded = Vec::new();
    for table in tables {
        let refused = |source| SimulateError::Database { what: table.name, source };
        let (mut buffer, mut rows) = (Vec::new(), 0);
        for slice in table.slices() {
            buffer.clear();
            let made = table.slice(world, slice, &mut buffer, Row::tabbed);
            copy(&mut db, table.name, &buffer).map_err(refused)?;
            progress(table.name, made);
            rows += made;
        }
        move_sequences(&mut db, table.name).map_err(refused)?;
        loaded.push((table.name, rows));
    }
    db.batch_execute("ANALYZE").map_err(|source| SimulateError::Database { what: "the statistics", source })?;
    Ok(loaded)
}

/// One arm a table: diesel's COPY wants its type.
fn copy(db: &mut Db, table: &str, lines: &[u8]) -> QueryResult<usize> {
    let Db::Pg(pg) = db else { unreachable!("`Empty` asked which database it is") };
    macro_rules! copy {
        ($($name:ident),*) => {
            match table {
                $(stringify!($name) => diesel::copy_from(schema::$name::table)
                    .from_raw_data(schema::$name::all_columns, |copy: &mut dyn Write| {
                        copy.write_all(lines).map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
                    })
                    .execute(pg),)*
                other => unreachable!("{other} has no COPY"),
            }
        };
    }
    copy!(
        currencies,
        countries,
        projects,
        project_species,
        accounts,
        account_emails,
        legacy_user_map,
        subscriptions,
        payments,
        refunds,
        plantings,
        credit_entries
    )
}
