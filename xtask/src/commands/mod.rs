//! The commands, and what they share: settings and databases.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod constraints;
pub(crate) mod demo;
mod files;
pub(crate) mod lineage;
pub(crate) mod migrate;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod reconcile;
pub(crate) mod simulate;
pub(crate) mod statement;
pub(crate) mod status;
pub(crate) mod test;
pub(crate) mod trace;
pub(crate) mod work;

use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger;

use crate::cli::{Cli, Command};
use crate::config::{self, Environment};
use crate::error::{self, Databases, Error};
use crate::exit::Exit;
use crate::places::Places;
use crate::report::on;

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<Exit, Error> {
    let at = At { config: cli.config_dir, work: cli.work_dir };
    match cli.command {
        Command::Demo(args) => demo::run(&args, &at),
        Command::Plan(args) => plan::run(args, &at),
        Command::Migrate(args) => migrate::run(args, &at),
        Command::Work(args) => work::run(&args, &at),
        Command::Status(args) => status::run(&args, &at),
        Command::Constraints(command) => constraints::run(command, &at),
        Command::Quarantine(command) => quarantine::run(command, &at),
        Command::Trace(args) => trace::run(&args, &at),
        Command::Lineage(args) => lineage::run(&args, &at),
        Command::Reconcile(args) => reconcile::run(&args, &at),
        Command::Statement(args) => statement::run(&args, &at),
        Command::Simulate(args) => simulate::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args, &at),
        Command::Completions { shell } => Ok(completions::run(shell)),
    }
}

/// The folders that the call names.
pub(crate) struct At {
    config: Option<std::path::PathBuf>,
    work: Option<std::path::PathBuf>,
}

impl At {
    fn places(&self) -> Result<Places, Error> {
        Ok(Places::find(self.config.clone(), self.work.clone())?)
    }

    fn environment(&self, name: &str) -> Result<Environment, Error> {
        let environment = Environment::load(name, &self.places()?, &config::vars())?;
        let place = |url: Result<DbUrl, _>| url.ok().map(|url: DbUrl| url.place());
        error::set_databases(Databases { legacy: place(environment.legacy()), target: place(environment.target()) });
        Ok(environment)
    }

    /// The legacy database of an environment.
    fn legacy(&self, name: &str) -> Result<Db, Error> {
        Ok(Db::open(&self.environment(name)?.legacy()?, Role::Legacy)?)
    }

    /// The target of an environment that has a ledger, to read it.
    fn ledger(&self, name: &str) -> Result<Db, Error> {
        let mut db = Db::open(&self.environment(name)?.target()?, Role::Target)?;
        if ledger::exists(&mut db)? {
            return Ok(db);
        }
        let hint = format!("`cargo xtask migrate{}` begins one", on(name));
        Err(Error::NotFound { what: "the target has no ledger yet: nothing was migrated into it".to_owned(), hint })
    }
}
