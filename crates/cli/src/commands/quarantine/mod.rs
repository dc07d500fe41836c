//! `quarantine`: the rows that no rule can make right.

mod cells;
mod export;
mod list;
mod problems;
mod replay;
mod respelled;
mod roots;
mod sheet;
mod show;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use replant_core::Key;
use replant_core::db::Db;
use replant_core::ledger::history;
use replant_core::ledger::quarantine::QuarantineEntry;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use export::Export;
use list::List;
use replay::Replay;
use show::Show;

/// Show the rows that no rule can make right
#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Show(Show),
    Export(Export),
    Replay(Replay),
}

impl Command for Quarantine {
    const NAME: &'static str = "quarantine";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        match self.what {
            What::List(list) => list.run(cx),
            What::Show(show) => show.run(cx),
            What::Export(export) => export.run(cx),
            What::Replay(replay) => replay.run(cx),
        }
    }
}

/// A quarantined row without its values.
#[derive(Debug, Serialize)]
struct Line {
    step: String,
    legacy_key: Key,
    code: String,
    reason: String,
    root_step: String,
    root_key: Key,
    /// By currency, in exact minor units.
    money: BTreeMap<String, Decimal>,
}

fn line(entry: QuarantineEntry) -> Result<Line, Error> {
    let money = entry.amounts()?;
    let QuarantineEntry { step, legacy_key, code, reason, root_step, root_key, .. } = entry;
    Ok(Line { step, legacy_key, code, reason, root_step, root_key, money })
}

/// The step of a name, or of a legacy table.
fn step_of(db: &mut Db, asked: &str) -> Result<String, Error> {
    let known = history::known_steps(db)?;
    match known.iter().find(|step| step.name == asked || step.legacy_table == asked) {
        Some(found) => Ok(found.name.clone()),
        None => {
            let names: Vec<&str> = known.iter().map(|step| step.name.as_str()).collect();
            let hint = format!("the ledger knows {}", names.join(", "));
            Err(Error::NotFound { what: format!("there is no step `{asked}` in the ledger"), hint })
        }
    }
}
