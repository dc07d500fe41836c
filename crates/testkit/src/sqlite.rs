//! SQLite files of one's own.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use replant_core::db::{Db, DbUrl, Role};

/// Makes an empty file, over one that may be there, and opens it for writing.
///
/// # Panics
/// The file can't be written.
pub fn create(path: &Path) -> Db {
    remove(path);
    File::create(path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
    Db::open(&DbUrl::sqlite(path), Role::Target).unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
}

/// A write-ahead log that was left behind would be taken for that of the new file.
pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        if let Err(error) = fs::remove_file(&file) {
            assert!(error.kind() == ErrorKind::NotFound, "remove {}: {error}", Path::new(&file).display());
        }
    }
}
