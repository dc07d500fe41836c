//! `demo`: the sample, migrated into SQLite files here and now.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use replant_core::RunError;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::diesel::connection::SimpleConnection;
use replant_core::ledger::alive::Alive;
use replant_core::ledger::owner::Owner;
use replant_testkit::load::load_dir;

use super::migrate::{Running, carry_out};
use crate::app::{App, Side};
use crate::arguments::Form;
use crate::command::Command;
use crate::config::{self, Vars};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::places;
use crate::typed::{LOCAL, typed};

/// Migrate the sample into SQLite files: nothing to install, done in seconds
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Make the files anew and begin again
    #[arg(long)]
    fresh: bool,
    /// Make the files and migrate nothing yet: a place for `migrate --only DOMAIN --limit N`
    #[arg(long)]
    prepare: bool,
    #[command(flatten)]
    form: Form,
}

impl Command for Demo {
    const NAME: &'static str = "demo";

    fn help(app: &App) -> Option<String> {
        let sample = app.sample?;
        let from = Path::new(sample.legacy.rows).parent().unwrap_or(Path::new(""));
        Some(format!(
            "\
The files are work/local/{} and work/local/{}: the environment `local`.
They are made from {} when they are not there. A second demo finds all done and
writes nothing.",
            sample.legacy.file,
            sample.target.file,
            from.display()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let Some(sample) = cx.app().sample else {
            let hint = "a migration with a sample names it in its App".to_owned();
            return Err(Error::NotFound { what: "there is no sample".to_owned(), hint });
        };
        let environment = cx.environment_with(LOCAL, &harmless(config::vars()))?;
        let folder = cx.places()?.work.join(LOCAL);
        let (legacy, target) = (folder.join(sample.legacy.file), folder.join(sample.target.file));
        fs::create_dir_all(&folder).map_err(Error::io(format!("make the folder {}", folder.display())))?;
        if self.fresh && target.is_file() {
            let _held = Alive::file(&DbUrl::sqlite(&target), &Owner::of_this_process()).map_err(RunError::Held)?;
            remove(&[&legacy, &target])?;
        }
        make(&legacy, &sample.legacy)?;
        make(&target, &sample.target)?;
        if self.prepare {
            match self.form.json {
                true => json(&serde_json::json!({ "legacy": legacy, "target": target })),
                false => print(format!("Ready, and nothing is migrated. Next:\n  {}", typed("migrate", LOCAL))),
            }
            return Ok(Exit::Done);
        }
        let running = Running {
            legacy: DbUrl::sqlite(&legacy),
            target: DbUrl::sqlite(&target),
            settings: environment.settings(Vec::new(), false, None),
            again: typed(Self::NAME, LOCAL),
        };
        carry_out(cx, running, self.form.json)
    }
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
fn make(file: &Path, side: &Side) -> Result<(), Error> {
    if file.is_file() {
        return Ok(());
    }
    let Some(rows) = places::around(side.rows).find(|folder| folder.is_dir()) else {
        let hint = format!("run it in the workspace, by `{}`", typed(Demo::NAME, LOCAL));
        return Err(Error::NotFound { what: format!("{} is not there", side.rows), hint });
    };
    tracing::info!("makes {} from the sample", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    let making = tempfile::tempdir_in(folder).map_err(Error::io(format!("make a folder in {}", folder.display())))?;
    let made = making.path().join(side.file);
    let failed = || Error::io(format!("make {}", file.display()));
    File::create(&made).map_err(failed())?;
    let mut db = Db::open(&DbUrl::sqlite(&made), Role::Target)?;
    db.batch_execute(side.ddl).map_err(|error| broken(side, &error))?;
    load_dir(&mut db, &rows).map_err(|error| broken(side, &error))?;
    drop(db);
    fs::rename(made, file).map_err(failed())
}

/// The sample is no one's data, so the whole chain may be shown.
fn broken(side: &Side, error: &dyn std::error::Error) -> Error {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let what = causes.fold(error.to_string(), |what, cause| format!("{what}: {cause}"));
    let hint = format!("mend the sample: the tables of {}, or the rows of {}", side.file, side.rows);
    Error::Failed { what, hint }
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
