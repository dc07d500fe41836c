//! `work`: joins the run that is under way.

use std::time::Duration;

use clap::Args;
use replant_core::db::{Db, Role};

use super::migrate;
use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::progress::Progress;
use crate::report::Account;
use crate::signals;
use crate::typed::{program, typed};

/// Join the run that is under way, on this machine or another one
#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    on: On,
    /// A domain or a step, with all that it waits for; may be repeated [default: all]
    #[arg(long, value_name = "DOMAIN")]
    only: Vec<String>,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Threads that read, and as many that write [default: run.readers and run.writers of the environment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    workers: Option<u8>,
    /// Seconds to wait for a run to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    #[command(flatten)]
    form: Form,
}

impl Command for Work {
    const NAME: &'static str = "work";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
A worker takes chunks as the run itself does, until every step is done. It can be killed, stopped
or cut off from the network at any time: its chunks are done again by others, once. It stops with
the run if that is asked to stop, and goes on without it if that is killed. docs/scale.md of Replant
tells how to start many.

Examples:
  {program} work --env uat
  {program} work --env uat --workers 4 --wait 600

{}",
            Exit::help(),
            program = program()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        tracing::info!("from {}, into {}", legacy.place(), target.place());
        migrate::confirm(cx, &environment, self.confirm.as_deref(), false)?;
        let settings = environment.settings(self.only.clone(), false, self.workers.map(usize::from));
        let stop = signals::stop()?;
        let registry = cx.registry();
        let migration = cx.migration(&registry, legacy, target.clone(), settings);
        let only: String = self.only.iter().map(|only| format!(" --only {only}")).collect();
        let progress = Progress::new(format!("{}{only}", typed(Self::NAME, &self.on.env)));
        let report = migration.work(Duration::from_secs(self.wait), &stop, &progress)?;
        let account =
            Account::of(cx, &mut Db::open(&target, Role::Target)?, &self.on.env, Some(&report), Some(&progress))?;
        match self.form.json {
            true => json(&account),
            false => print(account.text()),
        }
        Ok(if account.complete { Exit::Done } else { Exit::Stopped })
    }
}
