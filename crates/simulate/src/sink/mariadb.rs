//! MariaDB: LOAD DATA LOCAL INFILE, a slice at a time, from a file that lives as long as the statement.

use std::io::{Seek, SeekFrom, Write};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Db, DbUrl, Role};

use super::{side_by_side, workers};
use crate::row::Row;
use crate::table::Table;
use crate::world::World;
use crate::{Progress, SimulateError};

const SESSION: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', unique_checks = 0, foreign_key_checks = 0";

pub(super) fn fill(
    world: &World,
    tables: &[Table],
    url: &DbUrl,
    progress: Progress<'_>,
) -> Result<Vec<(&'static str, u64)>, SimulateError> {
    side_by_side(tables, workers(), |table| {
        let mut db = Db::open(url, Role::Target)?;
        let refused = |source| SimulateError::Database { what: table.name, source };
        db.batch_execute(SESSION).map_err(refused)?;
        let folder = std::env::temp_dir();
        let unwritable = |source| SimulateError::io(&folder, source);
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(unwritable)?;
        let path = file.path().to_string_lossy().replace('\\', "\\\\").replace('\'', "''");
        let columns: Vec<String> = table.columns.iter().map(|column| format!("`{column}`")).collect();
        let sql = format!(
            "LOAD DATA LOCAL INFILE '{path}' INTO TABLE `{}` CHARACTER SET utf8mb4 ({})",
            table.name,
            columns.join(", ")
        );
        let (mut buffer, mut rows) = (Vec::new(), 0);
        for slice in table.slices() {
            buffer.clear();
            let made = table.slice(world, slice, &mut buffer, Row::tabbed);
            let mut rewrite = || {
                file.as_file().set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&buffer)
            };
            rewrite().map_err(unwritable)?;
            db.batch_execute(&sql).map_err(refused)?;
            no_warning(&mut db, table.name).map_err(refused)?;
            progress(table.name, made);
            rows += made;
        }
        db.batch_execute(&format!("ANALYZE TABLE `{}`", table.name)).map_err(refused)?;
        Ok(rows)
    })
}

#[derive(QueryableByName)]
struct Warnings {
    #[diesel(sql_type = BigInt)]
    warnings: i64,
}

/// LOCAL makes warnings of errors, and would drop rows in silence.
fn no_warning(db: &mut Db, table: &'static str) -> QueryResult<()> {
    let found: Warnings = diesel::sql_query("SELECT CAST(@@warning_count AS SIGNED) AS warnings").get_result(db)?;
    match found.warnings {
        0 => Ok(()),
        _ => Err(diesel::result::Error::QueryBuilderError(format!("{table}: a value does not fit").into())),
    }
}
