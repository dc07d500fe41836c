//! `catch-up`: the target is brought to a later state of the legacy database.

use std::collections::BTreeMap;

use clap::Args;
use replant_core::ledger::mends::{self, SetAside};
use replant_core::ledger::{conflicts, quarantine};
use replant_core::{CaughtUp, Registry};
use serde::Serialize;

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::commands::conflicts::noted;
use crate::commands::migrate;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print, render, table};
use crate::progress::Progress;
use crate::signals;
use crate::typed::typed;

/// Bring the target to a later state of the legacy database; what customers have changed since stays theirs
#[derive(Debug, Args)]
pub(crate) struct CatchUp {
    #[command(flatten)]
    on: On,
    /// So many rows of a legacy table may have gone, or come out otherwise, which would stop it: more than 1% and more than 100 that
    /// have gone, more than 10% and more than 1,000 that have changed
    #[arg(long, value_name = "TABLE=N", value_parser = expectation)]
    expect: Vec<(String, u64)>,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    form: Form,
}

fn expectation(text: &str) -> Result<(String, u64), String> {
    let wrong = || format!("`{text}` is no table with a number of rows: users=250");
    let (table, rows) = text.split_once('=').ok_or_else(wrong)?;
    Ok((table.trim().to_owned(), rows.trim().parse().map_err(|_| wrong())?))
}

/// The account of a catch-up.
#[derive(Debug, Serialize)]
struct Account {
    environment: String,
    complete: bool,
    /// The state to which the target was brought, as states are counted.
    generation: i64,
    steps: BTreeMap<&'static str, CaughtUp>,
    /// Rows of which customers keep something that the legacy database says otherwise.
    conflicts: u64,
    /// Mends that are taken no more, since this state or an earlier one: their legacy rows have changed.
    mends_set_aside: Vec<SetAside>,
    /// Rows that are quarantined.
    quarantined: u64,
}

impl Command for CatchUp {
    const NAME: &'static str = "catch-up";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
Rows that the legacy database has added come in; every row is judged anew, and what comes out otherwise
is written. What customers have changed since stays as they left it, column by column; what they have
removed stays away. A row that has gone from the legacy database takes nothing away. The same state
again changes nothing; an older one is refused.

Stop it at any time with Ctrl-C or SIGTERM; the same command goes on.

{}",
            Exit::help()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let mut db = cx.ledger(&self.on.env)?;
        let registry = cx.registry();
        known(&registry, &self.expect)?;
        migrate::confirm(cx, &environment, self.confirm.as_deref(), false)?;
        let stop = signals::stop()?;
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        tracing::info!("from {}, into {}", legacy.place(), target.place());
        let migration = cx.migration(&registry, legacy, target, environment.settings(Vec::new(), false, None));
        let again = typed(Self::NAME, &self.on.env);
        let done = migration.catch_up(&self.expect, &stop, &Progress::of_replay(again))?;
        let account = Account {
            environment: environment.name,
            complete: done.complete,
            generation: done.generation,
            steps: done.steps.into_iter().collect(),
            conflicts: conflicts::count(&mut db)?,
            mends_set_aside: mends::aside(&mut db)?,
            quarantined: quarantine::count(&mut db)?,
        };
        match self.form.json {
            true => json(&account),
            false => print(account.text(&self.on.env)),
        }
        Ok(if account.complete { Exit::Done } else { Exit::Stopped })
    }
}

/// # Errors
/// A table is none that a step moves.
fn known(registry: &Registry, expected: &[(String, u64)]) -> Result<(), Error> {
    let tables: Vec<&str> = registry.steps().map(replant_core::AnyStep::legacy_table).collect();
    match expected.iter().find(|(table, _)| !tables.contains(&table.as_str())) {
        None => Ok(()),
        Some((table, _)) => Err(Error::Refused {
            what: format!("no step moves the legacy table `{table}`"),
            hint: format!("the tables are {}", tables.join(", ")),
        }),
    }
}

impl Account {
    fn text(&self, env: &str) -> String {
        let heads =
            ["step", "judged", "new", "gone", "back", "came in", "written anew", "taken out", "kept", "conflicts"];
        let mut table = table(&heads);
        let mut kept = 0;
        for (step, CaughtUp { added, gone, back, moved, rejudged }) in &self.steps {
            let came_in = rejudged.came_in + moved.migrated + moved.merged;
            let judged = rejudged.read + moved.read;
            let numbers = [
                judged,
                *added,
                *gone,
                *back,
                came_in,
                rejudged.rewritten,
                rejudged.taken_out,
                rejudged.kept,
                rejudged.conflicts,
            ];
            table.add_row(std::iter::once((*step).to_owned()).chain(numbers.map(grouped)));
            kept += rejudged.kept;
        }
        let mut parts = vec![render(table, 1..10)];
        if kept > 0 {
            parts.push(format!(
                "Kept: {} rows would not come in now, but stay in the target: a customer has changed what was written for them, or \
                 points to it. `{}` shows a row.",
                grouped(kept),
                typed("trace TABLE ID", env)
            ));
        }
        parts.extend(noted(self.conflicts, env));
        if !self.mends_set_aside.is_empty() {
            let rows = self.mends_set_aside.iter().map(|SetAside { table, key }| format!("{table} {key}"));
            parts.push(format!(
                "Mends set aside, because the legacy row has changed since it was mended; what it says now is judged: {}. \
                 `{}` exports those that are quarantined.",
                rows.collect::<Vec<_>>().join(", "),
                typed("quarantine export", env)
            ));
        }
        parts.push(match self.complete {
            true => format!("State {} is in the target. Quarantined: {}", self.generation, grouped(self.quarantined)),
            false => format!("Stopped; to go on: {}", typed(CatchUp::NAME, env)),
        });
        parts.join("\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_a_table_with_a_number() {
        assert_eq!(expectation("users=250"), Ok(("users".to_owned(), 250)));
        assert!(expectation("users").is_err() && expectation("users=many").is_err());
    }
}
