//! The rows of a table that a step has written, as the migration left them: whatever customers did since.

use diesel::QueryResult;
use diesel::result::Error;
use serde::de::DeserializeOwned;

use crate::storage::db::Db;
use crate::storage::imprint::{Value, row};
use crate::storage::ledger::changes::{self, RowName};
use crate::storage::ledger::{LedgerError, imprints, recorded};
use crate::storage::shape::TableShape;

/// Calls `each` with every row of a table that the chunks of a step have written, and that later steps have left.
///
/// # Errors
/// The database fails, or a row is not one of `T`.
pub(super) fn each<T: DeserializeOwned>(
    db: &mut Db,
    step: &str,
    shape: &TableShape,
    each: &mut dyn FnMut(T),
) -> QueryResult<()> {
    let since = changes::since_imprints(db, shape.name).map_err(LedgerError::into_diesel)?;
    for (chunk, _) in recorded::chunks(db, step).map_err(LedgerError::into_diesel)? {
        let tables = imprints::of_table(db, chunk, shape.name).map_err(LedgerError::into_diesel)?;
        for table in tables {
            let id = table.column("id");
            for place in 0..table.keys.len() {
                let mut values = table.row(place);
                let name = id.and_then(|id| values[id].integer()).map(RowName::Id);
                let done = name.and_then(|name| since.get(&name)).map_or(&[][..], Vec::as_slice);
                if done.iter().any(|change| change.after.is_none()) {
                    continue;
                }
                for (column, json) in done.iter().filter_map(|change| change.after.as_ref()).flatten() {
                    let known = shape.columns.iter().find(|known| known.name == column);
                    if let (Some(known), Some(at)) = (known, table.column(column)) {
                        values[at] = Value::from_json(json, known.kind);
                    }
                }
                let columns = table.columns.iter().map(|column| &**column).zip(values.iter().map(Value::field));
                each(row(columns).map_err(|no_row| Error::DeserializationError(Box::new(no_row)))?);
            }
        }
    }
    Ok(())
}
