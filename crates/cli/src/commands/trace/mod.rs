//! `trace`: the passport of a row. What a legacy row was and became, where a target row came from, and what stands there now.

mod rows;
mod text;

use std::time::Duration;

use clap::Args;
use replant_core::ledger::history::{self, KnownStep};
use replant_core::{LegacySide, Passport, Registry};

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::typed::{program, typed};

/// How long a legacy database may take to answer: somebody waits at a terminal.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show all that is known of a row: what a legacy row was and became, where a target row came from, and what was changed since
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A legacy table or a target table
    table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    id: i64,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    form: Form,
}

impl Command for Trace {
    const NAME: &'static str = "trace";

    fn help(app: &App) -> Option<String> {
        let registry = (app.registry)();
        let step = registry.steps().next()?;
        let program = program();
        let (legacy, target) = (format!("{} 4711", step.legacy_table()), format!("{} 90210", step.target_table()));
        Some(format!(
            "\
A table of that name may exist on both sides: then both answers are shown. Values are shown, but for
secrets, of which there is a hash. `*` marks what somebody has changed since Replant wrote it.

Examples:
  {program} trace {legacy:<20}  by the legacy table
  {program} trace {target:<20}  by the target table"
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let environment = cx.environment(&self.on.env)?;
        // Most of a passport stands in the ledger: a legacy database that is not to be had fails nothing.
        let legacy = match environment.legacy() {
            Ok(url) => LegacySide::at(url, PATIENCE),
            Err(error) => LegacySide::unknown(error.to_string()),
        };
        let registry = cx.registry();
        let passport = replant_core::passport(&registry, legacy, &mut db, &self.table, self.id)?;
        if passport.is_empty() {
            return Err(unknown(&history::known_steps(&mut db)?, &registry, &passport, &self));
        }
        match self.form.json {
            true => json(&passport),
            false => print(text::of(&passport, &self.on.env)),
        }
        Ok(Exit::Done)
    }
}

fn unknown(steps: &[KnownStep], registry: &Registry, passport: &Passport, args: &Trace) -> Error {
    let (table, id) = (&args.table, args.id);
    let names = |name: &str| name == table.as_str();
    let legacy = steps.iter().any(|step| names(&step.legacy_table));
    let is_part = registry.steps().any(|step| step.parts().iter().any(|(part, _)| names(part)));
    let hint = match &passport.planned_for {
        Some(row) => {
            let planned = steps.iter().find(|step| step.name == row.step).map_or("", |step| &step.legacy_table);
            let see = typed(&format!("trace {planned} {}", row.key), &args.on.env);
            format!("its id was planned for legacy row {} of {}: see `{see}`", row.key, row.step)
        }
        None if legacy => {
            format!("there is no such row, or its step has not come to it: see `{}`", typed("status", &args.on.env))
        }
        None if registry
            .steps()
            .any(|step| names(step.target_table()) || step.also().iter().any(|also| names(also))) =>
        {
            "the row is not there, or the live site wrote it: no migration did".to_owned()
        }
        None if is_part => format!("rows of `{table}` have no id: they are shown with the row that they belong to"),
        None => {
            let mut tables: Vec<&str> =
                steps.iter().flat_map(|step| [step.legacy_table.as_str(), step.target_table.as_str()]).collect();
            tables.sort_unstable();
            tables.dedup();
            let what = format!("the ledger knows no row {id} of a table `{table}`");
            return Error::NotFound { what, hint: format!("tables that it knows: {}", tables.join(", ")) };
        }
    };
    Error::NotFound { what: format!("the ledger knows no row {id} of `{table}`"), hint }
}
