//! `erase`: a person is forgotten by the ledger, and comes back no more.

use std::io::BufRead;

use clap::Args;
use replant_core::{Erase as Erasing, Erased};
use serde::Serialize;

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::commands::migrate;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print, render, table};
use crate::progress::Progress;
use crate::signals;
use crate::typed::typed;

/// Erase a person from the ledger: no value of theirs is kept, or written again
#[derive(Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    on: On,
    /// An address of the person; `-`: the first line of the standard input
    #[arg(value_name = "EMAIL")]
    address: String,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", required_unless_present = "plan")]
    why: Option<String>,
    /// Show what would be erased, and what the platform holds; write nothing
    #[arg(long)]
    plan: bool,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    form: Form,
}

impl Command for Erase {
    const NAME: &'static str = "erase";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
Erased are the values of all legacy rows that became one with the person's, and cells of other rows that hold an
address of theirs, wherever the ledger keeps them. The ledger remembers the keys of these rows: whatever is done
later counts them and their money, and reads marks in the place of the cells. What the platform holds is the
site's to erase: its rows are listed, by table and id. It is all done, or nothing; nobody but customers may be
at work meanwhile.

{}",
            Exit::help()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        drop(cx.ledger(&self.on.env)?);
        let registry = cx.registry();
        let stop = signals::stop()?;
        let erase = Erasing { address: self.address()?, why: self.why.clone().unwrap_or_default() };
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        let migration = cx.migration(&registry, legacy, target, environment.settings(Vec::new(), false, None));
        let progress = Progress::of_replay(typed("erase", &self.on.env));
        let would = migration.would_erase(&erase, &stop, &progress)?;
        if self.plan {
            drop(progress);
            return Ok(self.told(&Account::new(&self.on.env, true, &would)));
        }
        let account = Account::new(&self.on.env, true, &would);
        if !self.form.json {
            print(account.tables());
        }
        migrate::confirm(cx, &environment, self.confirm.as_deref(), false)?;
        let erased = migration.erase(&erase, &stop, &progress)?;
        drop(progress);
        Ok(self.told(&Account::new(&self.on.env, false, &erased)))
    }
}

impl Erase {
    fn address(&self) -> Result<String, Error> {
        if self.address != "-" {
            return Ok(self.address.clone());
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Error::io("read the address from the standard input"))?;
        Ok(line)
    }

    fn told(&self, account: &Account<'_>) -> Exit {
        match self.form.json {
            true => json(account),
            false if account.plan => print(format!("{}\n\n{}", account.tables(), account.end())),
            false => print(format!("\n{}", account.end())),
        }
        if account.erased.complete { Exit::Done } else { Exit::Stopped }
    }
}

/// The account of an erasure, or of what it would be.
#[derive(Serialize)]
struct Account<'a> {
    environment: &'a str,
    /// Whether nothing was written.
    plan: bool,
    #[serde(flatten)]
    erased: &'a Erased,
}

/// How many rows of the platform are shown.
const SHOWN: usize = 100;

impl<'a> Account<'a> {
    fn new(environment: &'a str, plan: bool, erased: &'a Erased) -> Self {
        Self { environment, plan, erased }
    }

    fn tables(&self) -> String {
        let mut parts = Vec::new();
        let mut rows = table(&["legacy table", "the person's rows", "rows with an address"]);
        for step in &self.erased.steps {
            rows.add_row([
                step.legacy_table.to_owned(),
                grouped(step.whole.len() as u64),
                grouped(step.cells.len() as u64),
            ]);
        }
        if !self.erased.steps.is_empty() {
            parts.push(render(rows, 1..3));
        }
        if !self.erased.platform.is_empty() {
            let mut holding = table(&["on the platform", "id", "columns"]);
            for row in self.erased.platform.iter().take(SHOWN) {
                let id = row.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
                holding.add_row([row.table.to_owned(), id, row.columns.join(", ")]);
            }
            parts.push(render(holding, 1..2));
        }
        if self.erased.platform.len() > SHOWN {
            parts.push(format!("The first {SHOWN} of {}; --json has all.", grouped(self.erased.platform.len() as u64)));
        }
        parts.join("\n\n")
    }

    fn end(&self) -> String {
        let left = self.erased.platform.len() as u64;
        let platform = match left {
            0 => "The platform holds no address of theirs.".to_owned(),
            _ => format!("On the platform {} rows hold an address: they are the site's to erase.", grouped(left)),
        };
        match (self.plan, self.erased.complete) {
            (_, false) => "Stopped; nothing was written.".to_owned(),
            (true, true) => format!("Nothing was written. {platform}"),
            (false, true) => {
                let told: u64 = self.erased.ledger.iter().map(|(_, rows)| rows).sum();
                format!("{} rows of the ledger tell nothing of the person any more. {platform}", grouped(told))
            }
        }
    }
}
