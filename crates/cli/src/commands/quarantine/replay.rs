//! `quarantine replay`: mended rows through the same rules, and all that waited for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use replant_core::db::Db;
use replant_core::ledger::mends::{self, Mend};
use replant_core::ledger::{history, quarantine};
use replant_core::{AnyStep, Key, Registry, Rejudged};
use serde::Serialize;

use super::problems::Problems;
use super::sheet::{Known, Mended, Read, Sheet};
use crate::arguments::{Form, On};
use crate::commands::migrate;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print, render, table};
use crate::progress::Progress;
use crate::signals;
use crate::typed::{LOCAL, typed};

/// Judge all rows again, mended ones in the place of the legacy ones, and let in what can come in now
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct Replay {
    #[command(flatten)]
    on: On,
    /// The folder of mended files, as `quarantine export` writes them
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Take cells as mends that say the same in another form, too: `01/04/2019 00:00` for `2019-04-01 00:00:00`
    #[arg(long, requires = "from")]
    exact: bool,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    form: Form,
}

fn help() -> String {
    format!(
        "\
With --from, cells that differ from the quarantined row are mended: the ledger keeps the mended rows,
the legacy database stays as it is. Without it, only what was mended before, a mended source or a
mended rule changes anything. Rows that waited for a mended one come in after it.
A file with a mistake is refused as a whole, by line, and nothing is changed. Dates, numbers and flags
that a spreadsheet wrote in a form of its own say the same as before: they are no mends.

Examples:
  {}
  {}",
        typed("quarantine export --out mend", LOCAL),
        typed("quarantine replay --from mend", LOCAL)
    )
}

/// The account of a replay.
#[derive(Debug, Serialize)]
struct Account {
    environment: String,
    complete: bool,
    /// Rows of files that were mended, by legacy table and column.
    mended: BTreeMap<String, BTreeMap<String, u64>>,
    steps: BTreeMap<&'static str, Rejudged>,
    /// Rows that are still quarantined.
    quarantined: u64,
}

impl Replay {
    pub(super) fn run(&self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let mut db = cx.ledger(&self.on.env)?;
        let registry = cx.registry();
        let mut mended = BTreeMap::new();
        let mends = match &self.from {
            None => Vec::new(),
            Some(folder) => read(&mut db, &registry, folder, self.exact, &mut mended)?,
        };
        migrate::confirm(cx, &environment, self.confirm.as_deref(), false)?;
        let stop = signals::stop()?;
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        tracing::info!("from {}, into {}", legacy.place(), target.place());
        let migration = cx.migration(&registry, legacy, target, environment.settings(Vec::new(), false, None));
        let again = typed("quarantine replay", &self.on.env);
        let replay = migration.replay(&mends, &stop, &Progress::of_replay(again))?;
        let quarantined = quarantine::count(&mut db)?;
        let account = account(environment.name, replay, mended, quarantined);
        match self.form.json {
            true => json(&account),
            false => print(account.text(&self.on.env)),
        }
        Ok(if account.complete { Exit::Done } else { Exit::Stopped })
    }
}

type Counted = BTreeMap<String, BTreeMap<String, u64>>;

/// Reads every file of the folder; one mistake refuses them all.
fn read(
    db: &mut Db,
    registry: &Registry,
    folder: &Path,
    exact: bool,
    counted: &mut Counted,
) -> Result<Vec<Mend>, Error> {
    let failed = || Error::io(format!("read the folder {}", folder.display()));
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(failed())?.collect();
    let mut files: Vec<PathBuf> = entries.map_err(failed())?.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")));
    files.sort();
    let (mut mends, mut wrong) = (Vec::new(), Vec::new());
    let known: Vec<String> = history::known_steps(db)?.into_iter().map(|step| step.name).collect();
    for file in &files {
        let table = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut steps = registry.steps().filter(|step| known.iter().any(|name| name == step.name()));
        let Some(step) = steps.find(|step| step.legacy_table() == table) else {
            wrong.push(format!("{table}.csv: the ledger knows no legacy table of this name"));
            continue;
        };
        match read_file(db, step, file, exact) {
            Ok(read) => {
                note_respelled(&table, &read);
                for Mended { key, row, columns, .. } in read.mended {
                    let of_table = counted.entry(table.clone()).or_default();
                    columns.iter().for_each(|column| *of_table.entry((*column).to_owned()).or_default() += 1);
                    mends.push(Mend { table: table.clone(), key, row });
                }
            }
            Err(problems) => wrong.extend(problems),
        }
    }
    if files.is_empty() {
        wrong.push(format!("{} holds no CSV file", folder.display()));
    }
    if wrong.is_empty() {
        return Ok(mends);
    }
    let hint = "nothing was changed. Mend these lines, or export anew and mend again".to_owned();
    Err(Error::Refused { what: format!("the files cannot be taken as they are:\n{}", wrong.join("\n")), hint })
}

/// A spreadsheet writes cells anew that nobody touched: they are left as they were, and that is said once a file.
fn note_respelled(table: &str, read: &Read) {
    if let Some((line, column)) = read.respelled.first {
        tracing::warn!(
            "{table}.csv: {} cells stand there as a spreadsheet writes them, the first in line {line}, column `{column}`; \
             they say what they said before, so they stay as they were (--exact takes them as mends)",
            grouped(read.respelled.cells)
        );
    }
}

fn read_file(db: &mut Db, step: &dyn AnyStep, file: &Path, exact: bool) -> Result<Read, Vec<String>> {
    let (shape, key) = step.legacy_shape();
    let sheet = Sheet { step: step.name().to_owned(), shape, key };
    let mut failed = None;
    let mends = mends::load(db).map_err(|error| vec![error.to_string()])?;
    let read = sheet.read(file, exact, |key: Key| match quarantine::of_row(db, step.name(), key) {
        Ok(Some(found)) => Known::Quarantined(Box::new(found)),
        Ok(None) if mends.get(step.legacy_table(), key).is_some() => Known::Mended,
        Ok(None) => Known::No,
        Err(error) => {
            failed = Some(error.to_string());
            Known::No
        }
    });
    if let Some(failed) = failed {
        return Err(vec![failed]);
    }
    let read = read?;
    let mut problems = Problems::of(format!("{}.csv", sheet.shape.name));
    for row in &read.mended {
        if let Err(why) = step.accepts(&row.row) {
            problems.add(row.line, None, why);
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(problems.said()) }
}

fn account(environment: String, replay: replant_core::Replay, mended: Counted, quarantined: u64) -> Account {
    Account { environment, complete: replay.complete, mended, steps: replay.steps.into_iter().collect(), quarantined }
}

impl Account {
    fn text(&self, env: &str) -> String {
        let mut parts = Vec::new();
        for (table, columns) in &self.mended {
            let columns: Vec<String> = columns.iter().map(|(column, rows)| format!("{column} of {rows}")).collect();
            parts.push(format!("Mended in {table}: {}", columns.join(", ")));
        }
        let heads = ["step", "judged", "came in", "written anew", "taken out", "still out, otherwise", "kept"];
        let mut table = table(&heads);
        let mut kept = 0;
        for (step, done) in &self.steps {
            let numbers = [done.read, done.came_in, done.rewritten, done.taken_out, done.still_out, done.kept];
            table.add_row(std::iter::once((*step).to_owned()).chain(numbers.map(grouped)));
            kept += done.kept;
        }
        parts.push(render(table, 1..7));
        if kept > 0 {
            parts.push(format!(
                "Kept: {kept} rows would not come in now, but stay in the target: something points to what was written for \
                 them, or it was there before. `{}` shows a row.",
                typed("trace TABLE ID", env)
            ));
        }
        parts.push(match self.complete {
            true => format!("Quarantined still: {}", grouped(self.quarantined)),
            false => format!("Stopped; to go on: {}", typed("quarantine replay", env)),
        });
        parts.join("\n\n")
    }
}
