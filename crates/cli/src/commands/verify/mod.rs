//! `verify`: every row held against the source, the ledger and the target.

mod account;
mod expected;
mod listed;

use std::path::PathBuf;

use clap::Args;
use replant_core::Against;
use replant_core::db::{Db, Role};

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::progress::Progress;
use crate::signals;
use crate::typed::typed;
use account::{Account, write};
use listed::Listed;
pub(super) use listed::named;

/// Hold every row against what the rules make of the source, what the ledger says was written, and what stands in the target
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    on: On,
    /// Only these steps or domains; may be given several times
    #[arg(long, value_name = "STEP")]
    step: Vec<String>,
    /// Do not read the legacy database: hold the target against the ledger alone
    #[arg(long)]
    without_legacy: bool,
    /// Hold the target against this file instead, whoever worked it out: a CSV file with the columns table, id, column, value, where
    /// `\N` is NULL
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["step", "without_legacy"])]
    against: Option<PathBuf>,
    /// Write into this folder: differences.csv, money.csv, summary.json
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// With the values of columns that differ, and of keys that are texts
    #[arg(long, requires = "out")]
    values: bool,
    #[command(flatten)]
    form: Form,
}

impl Command for Verify {
    const NAME: &'static str = "verify";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
Customers and runs may go on meanwhile. A row that does not stand as it should is looked at twice, and gets
one of these verdicts:
  changed_since      somebody on the platform has changed it
  removed_since      somebody on the platform has removed it
  added_since        somebody on the platform has added it to a row of ours
  stale              the rules, or the source, say something else by now: a replay or a catch-up is due
  stale_and_changed  the same, of a row that somebody has changed
  unexpected         it differs in a column that the site never changes
  unexplained        it has one of our ids, and nothing in the ledger names it
  defect             what was written is not there, and nobody has touched the row since

{}",
            Exit::help()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        if let Some(file) = &self.against {
            let how = expected::How { file, out: self.out.as_deref(), values: self.values, json: self.form.json };
            return expected::verify(&mut Db::open(&environment.target()?, Role::Target)?, &how);
        }
        let registry = cx.registry();
        let stop = signals::stop()?;
        let target = environment.target()?;
        // Where it is not read it need not be there any more.
        let legacy = if self.without_legacy { target.clone() } else { environment.legacy()? };
        tracing::info!("verifies {}", target.place());
        let settings = environment.settings(self.step.clone(), false, None);
        let mut db = Db::open(&target, Role::Target)?;
        let migration = cx.migration(&registry, legacy, target, settings);
        let against = if self.without_legacy { Against::Ledger } else { Against::Source };
        let listed = Listed::new(self.out.as_deref(), self.values)?;
        let progress = Progress::of_replay(typed(Self::NAME, &self.on.env));
        let verified = migration.verify(against, &|difference| listed.add(difference, &stop), &stop, &progress)?;
        drop(progress);
        let (worst, file) = listed.end()?;
        let account = Account::new(&self.on.env, against, &verified, worst);
        if let Some((folder, file)) = self.out.as_ref().zip(file) {
            write(folder, file, &account)?;
        }
        match self.form.json {
            true => json(&account),
            false => print(account.text(&cx.exponents(&mut db)?)),
        }
        Ok(account.exit())
    }
}
