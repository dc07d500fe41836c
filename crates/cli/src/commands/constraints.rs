//! `constraints`: what offline loads dropped, and its return.

use clap::{Args, Subcommand};
use replant_core::constraints::{self, Dropped, Presence};
use replant_core::db::{Db, DbUrl};
use replant_core::ledger::LedgerError;
use serde::Serialize;

use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print, render, table};
use crate::typed::typed;

/// Show and bring back what offline loads dropped
#[derive(Debug, Args)]
pub(crate) struct Constraints {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the foreign keys and indexes that loads dropped, with their definitions, and how they stand
    List(Where),
    /// Build again all that is missing, exactly as it was, and validate it
    #[command(after_help = "\
The run that dropped them does it by itself, and so does the next one. It is refused while a run is
under way. What is built stays built: stopped, it can be done again.")]
    Restore(Where),
}

/// On which target, and how it is shown.
#[derive(Debug, Args)]
struct Where {
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Serialize)]
struct Done {
    restored: usize,
}

impl Command for Constraints {
    const NAME: &'static str = "constraints";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        match self.what {
            What::List(args) => {
                let list = constraints::list(&mut cx.ledger(&args.on.env)?)?;
                match args.form.json {
                    true => json(&list),
                    false => print(shown(&list)),
                }
            }
            What::Restore(args) => {
                drop(cx.ledger(&args.on.env)?);
                let environment = cx.environment(&args.on.env)?;
                let target: DbUrl = environment.target()?;
                let restored = constraints::restore_all(&target, environment.building())?;
                match args.form.json {
                    true => json(&Done { restored }),
                    false if restored == 0 => print("Nothing was missing.".to_owned()),
                    false => {
                        print(format!("{restored} foreign keys and indexes are back, as they were, and validated."))
                    }
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// What offline loads dropped and that is not there.
pub(crate) fn missing(db: &mut Db) -> Result<Vec<Dropped>, LedgerError> {
    let mut list = constraints::list(db)?;
    list.retain(|one| one.presence != Presence::Restored);
    Ok(list)
}

/// Says what is missing and what brings it back.
pub(crate) fn warning(missing: &[Dropped], environment: &str) -> String {
    let names = |presence| {
        let of = missing.iter().filter(|one| one.presence == presence);
        of.map(|one| format!("{}.{}", one.table, one.name)).collect::<Vec<_>>()
    };
    let mut parts = Vec::new();
    let by_us = names(Presence::Missing);
    if !by_us.is_empty() {
        parts.push(format!(
            "ATTENTION: the target lacks {} foreign keys and indexes that an offline load dropped: {}. The next run brings \
             them back, and so does `{}`.",
            by_us.len(),
            by_us.join(", "),
            typed("constraints restore", environment)
        ));
    }
    let by_others = names(Presence::Gone);
    if !by_others.is_empty() {
        parts.push(format!(
            "ATTENTION: something else than Replant has dropped, since they were back: {}. `{}` has their definitions.",
            by_others.join(", "),
            typed("constraints list", environment)
        ));
    }
    parts.join("\n\n")
}

fn shown(list: &[Dropped]) -> String {
    if list.is_empty() {
        return "No load has dropped anything.".to_owned();
    }
    let mut table = table(&["table", "name", "kind", "step", "state", "definition"]);
    for one in list {
        let state = one.presence.to_string();
        table.add_row([&one.table, &one.name, &one.kind, &one.step, &state, &one.definition]);
    }
    render(table, 0..0)
}
