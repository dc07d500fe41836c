//! What the migration wrote, held against what the target holds.

use super::step::AnyStep;
use crate::storage::bulk::Before;
use crate::storage::db::Db;
use crate::storage::imprint::Lock;
use crate::storage::ledger::changes::RowName;
use crate::storage::ledger::{Attempt, LedgerError, imprints, recorded};

/// A row that does not stand as the migration left it: somebody has changed it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The table.
    pub table: &'static str,
    /// The row.
    pub row: RowName,
    /// The columns that hold something else; none where the row is gone.
    pub columns: Vec<String>,
}

/// What a comparison came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Rows that the migration wrote, and that it did not take out again.
    pub rows: u64,
    /// Those that differ.
    pub differing: Vec<Differing>,
}

/// Compares every row that steps have written, column by column. Locks nothing.
///
/// # Errors
/// The database fails, or the ledger cannot be read back.
pub(crate) fn compare(db: &mut Db, steps: &[&dyn AnyStep]) -> Result<Compared, LedgerError> {
    let mut compared = Compared::default();
    for step in steps {
        let models = step.models();
        for (chunk, _) in recorded::chunks(db, step.name())? {
            let imprint = imprints::of_chunk(db, chunk)?;
            for known in Before::new(db, &models, imprint)?.tables {
                let keys: Vec<_> = known.rows.keys().cloned().collect();
                let standing = known.reading.rows(db, &keys, Lock::No).attempt("compared")?;
                compared.rows += keys.len() as u64;
                for (key, was) in &known.rows {
                    let columns = match standing.get(key).map(|stands| known.hashed(stands)) {
                        Some(stands) if stands == was.left => continue,
                        Some(stands) => {
                            let places = (0..stands.len()).filter(|place| stands[*place] != was.left[*place]);
                            places.map(|place| known.reading.columns()[place].0.clone()).collect()
                        }
                        None => Vec::new(),
                    };
                    compared.differing.push(Differing { table: known.model.shape.name, row: known.name(key), columns });
                }
            }
        }
    }
    Ok(compared)
}
