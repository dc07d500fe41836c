//! Folders of CSV files, as the testkit reads them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::{side_by_side, workers};
use crate::row::Row;
use crate::table::{Side, Table};
use crate::world::World;
use crate::{Progress, SimulateError};

/// Writes `legacy/TABLE.csv` and `platform/TABLE.csv`.
pub(crate) fn into_folder(
    world: &World,
    tables: &[Table],
    folder: &Path,
    progress: Progress<'_>,
) -> Result<Vec<(&'static str, u64)>, SimulateError> {
    for side in [Side::Legacy, Side::Platform] {
        let folder = folder.join(side.name());
        fs::create_dir_all(&folder).map_err(|source| SimulateError::io(&folder, source))?;
        let mut there = fs::read_dir(&folder).map_err(|source| SimulateError::io(&folder, source))?;
        if there.next().is_some() {
            return Err(SimulateError::FolderNotEmpty { folder });
        }
    }
    side_by_side(tables, workers(), |table| {
        let path = folder.join(table.side.name()).join(format!("{}.csv", table.name));
        write(world, table, &path, progress)
    })
}

fn write(world: &World, table: &Table, path: &Path, progress: Progress<'_>) -> Result<u64, SimulateError> {
    let unwritable = |source| SimulateError::io(path, source);
    let mut file = File::create(path).map_err(unwritable)?;
    file.write_all(format!("{}\n", table.columns.join(",")).as_bytes()).map_err(unwritable)?;
    let (mut buffer, mut rows) = (Vec::new(), 0);
    for slice in table.slices() {
        buffer.clear();
        let made = table.slice(world, slice, &mut buffer, Row::csv);
        file.write_all(&buffer).map_err(unwritable)?;
        progress(table.name, made);
        rows += made;
    }
    Ok(rows)
}
