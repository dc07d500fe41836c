//! `demo`: the sample, migrated into SQLite files here and now.

use std::fs;
use std::path::{Path, PathBuf};

use replant_core::RunError;
use replant_core::db::DbUrl;
use replant_core::ledger::runs::{Alive, Owner};
use replant_testkit::sample::Sample;

use super::At;
use super::migrate::{Work, carry_out};
use crate::cli::Demo;
use crate::config::{self, Environment, Vars};
use crate::error::Error;
use crate::exit::Exit;

pub(crate) fn run(args: &Demo, at: &At) -> Result<Exit, Error> {
    let places = at.places()?;
    let environment = Environment::load("local", &places, &harmless(config::vars()))?;
    let folder = places.work.join("local");
    let (legacy, target) = (folder.join("legacy.db"), folder.join("platform.db"));
    fs::create_dir_all(&folder).map_err(Error::io(format!("make the folder {}", folder.display())))?;
    if args.fresh && target.is_file() {
        let _held = Alive::file(&DbUrl::sqlite(&target), &Owner::of_this_process()).map_err(RunError::Held)?;
        remove(&[&legacy, &target])?;
    }
    make(&legacy, &fixtures::LEGACY)?;
    make(&target, &fixtures::PLATFORM)?;
    let work = Work {
        legacy: DbUrl::sqlite(&legacy),
        target: DbUrl::sqlite(&target),
        settings: environment.settings(Vec::new(), false, None),
        again: "cargo xtask demo".to_owned(),
    };
    carry_out(work, args.form.json)
}

/// The variables without those that say where databases are: a demo must never find its way to a real one.
fn harmless(mut vars: Vars) -> Vars {
    vars.retain(|name, _| {
        let name = name.to_ascii_uppercase();
        !name.starts_with("REPLANT__LEGACY__") && !name.starts_with("REPLANT__TARGET__")
    });
    vars
}

/// Makes a file from the sample where there is none. It appears when it is complete.
fn make(file: &Path, sample: &Sample) -> Result<(), Error> {
    if file.is_file() {
        return Ok(());
    }
    if !fixtures::sample().is_dir() {
        let hint = "run the demo in a checkout of Replant, by `cargo xtask demo`".to_owned();
        return Err(Error::NotFound { what: "fixtures/sample is not there".to_owned(), hint });
    }
    tracing::info!("makes {} from the sample", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    let making = tempfile::tempdir_in(folder).map_err(Error::io(format!("make a folder in {}", folder.display())))?;
    let made = sample.in_sqlite(making.path()).sqlite_path().unwrap_or_default();
    fs::rename(made, file).map_err(Error::io(format!("make {}", file.display())))
}

/// Removes SQLite files with what SQLite keeps beside them.
fn remove(files: &[&Path]) -> Result<(), Error> {
    for file in files {
        for suffix in ["-wal", "-shm", ""] {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            let name = PathBuf::from(name);
            if name.exists() {
                fs::remove_file(&name).map_err(Error::io(format!("remove {}", name.display())))?;
            }
        }
    }
    Ok(())
}
