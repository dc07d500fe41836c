//! `migrate`: a run, with its confirmation before and its account after.

use clap::Args;
use replant_core::db::{Backend, Db, DbUrl, Role};
use replant_core::ledger::runs;
use replant_core::{KeyRange, Migration, Registry, Settings, Subset, ledger};

use crate::app::App;
use crate::arguments::{Form, On, key_range};
use crate::command::Command;
use crate::config::Environment;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{self, grouped, json, print};
use crate::progress::Progress;
use crate::report::Account;
use crate::signals;
use crate::typed::typed;

/// Run the migration, or go on where an earlier run stopped
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    on: On,
    /// A domain or a step, with all that it waits for; may be repeated [default: all]
    #[arg(long, value_name = "DOMAIN")]
    only: Vec<String>,
    /// Of the last step that --only names, so many rows: the first that are not done. The rest waits for a later run
    #[arg(long, value_name = "N", requires = "only", group = "rows", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Of the last step that --only names, these keys and ranges of them, each with its unit: 5,7..9
    #[arg(long, value_name = "KEYS", requires = "only", group = "rows", value_delimiter = ',', value_parser = key_range)]
    keys: Vec<KeyRange>,
    /// Do everything but commit, on copies of the target's tables
    #[arg(long)]
    dry_run: bool,
    /// Threads that read, and as many that write [default: run.readers and run.writers of the environment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    workers: Option<u8>,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Join the run that is under way, which doubles what the databases have to bear; where the environment is protected, it
    /// is refused otherwise
    #[arg(long)]
    join: bool,
    #[command(flatten)]
    form: Form,
}

impl Command for Migrate {
    const NAME: &'static str = "migrate";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
Stop it at any time with Ctrl-C or SIGTERM: the chunks under way are finished, and the same
command goes on. Killed in any other way it goes on as well: rows and the record of them commit
together.

--dry-run does everything but commit, on copies of the target's tables that never are: nobody who
uses the target waits for it, and none of its ids is taken. It needs room for the copies for as long
as it runs. Triggers of the target are not asked.

--limit and --keys try a few rows in earnest: they are written as a whole run would write them, and stay.
The steps before them are done in whole; a later run does the rest.

{}",
            Exit::help()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        tracing::info!("from {}, into {}", legacy.place(), target.place());
        let other = under_way(&target)?;
        if let Some(run) = &other {
            join(&environment, run, &self)?;
        }
        confirm(cx, &environment, self.confirm.as_deref(), self.dry_run)?;
        let again = again(&self);
        let subset =
            self.limit.map(Subset::First).or_else(|| (!self.keys.is_empty()).then(|| Subset::Keys(self.keys.clone())));
        let mut settings = environment.settings(self.only, self.dry_run, self.workers.map(usize::from));
        settings.subset = subset;
        carry_out(cx, Running { legacy, target, settings, again }, self.form.json)
    }
}

/// What is to be carried out.
pub(super) struct Running {
    pub(super) legacy: DbUrl,
    pub(super) target: DbUrl,
    pub(super) settings: Settings,
    /// The command that goes on with it.
    pub(super) again: String,
}

/// Runs a migration and gives account of it.
pub(super) fn carry_out(cx: &Context, running: Running, as_json: bool) -> Result<Exit, Error> {
    let Running { legacy, target, settings, again } = running;
    let (environment, dry_run) = (settings.environment.clone(), settings.dry_run);
    let stop = signals::stop()?;
    let registry = cx.registry();
    let migration = cx.migration(&registry, legacy, target.clone(), settings);
    let account = if !dry_run && is_done(&migration, &registry, &target)? {
        Account::of(cx, &mut Db::open(&target, Role::Target)?, &environment, None, None)?
    } else {
        let progress = Progress::new(again.clone());
        let report = migration.run(&stop, &progress)?;
        if !report.complete && !report.part && !stop.requested() {
            let what = "a step ended early though nobody asked for it: a defect, which the log names".to_owned();
            return Err(Error::Failed {
                what,
                hint: format!("every chunk that was committed stays; to go on: {again}"),
            });
        }
        match dry_run {
            true => {
                let exponents = cx.exponents(&mut Db::open(&target, Role::Target)?)?;
                Account::of_dry_run(&environment, &report, exponents)
            }
            false => {
                Account::of(cx, &mut Db::open(&target, Role::Target)?, &environment, Some(&report), Some(&progress))?
            }
        }
    };
    match as_json {
        true => json(&account),
        false => print(account.text()),
    }
    Ok(if account.complete || account.part { Exit::Done } else { Exit::Stopped })
}

/// Whether earlier runs did it all, so that nothing is to be written: not even that there was a run.
fn is_done(migration: &Migration<'_>, registry: &Registry, target: &DbUrl) -> Result<bool, Error> {
    if registry.names().is_empty() || target.backend() == Backend::MariaDb {
        // The run says what is wrong with it.
        return Ok(false);
    }
    // The ledger is asked first: a plan reads every legacy key of a step that the ledger does not know.
    let mut db = Db::open(target, Role::Target)?;
    if !ledger::exists(&mut db)? {
        return Ok(false);
    }
    let known = ledger::status::steps(&mut db)?;
    if known.is_empty() || known.iter().any(|step| !step.done) {
        return Ok(false);
    }
    drop(db);
    let plan = migration.plan()?;
    // A later state of the legacy database is not done: the run says so.
    Ok(plan.state == plan.snapshot && plan.steps.iter().all(|step| step.done))
}

/// The run that lives on the target, if there is one. A target that cannot be asked says so when the run begins.
fn under_way(target: &DbUrl) -> Result<Option<String>, Error> {
    if target.backend() != Backend::Postgres {
        return Ok(None);
    }
    let Ok(mut db) = Db::open(target, Role::Target) else { return Ok(None) };
    Ok(if ledger::exists(&mut db)? { runs::under_way(&mut db)? } else { None })
}

/// Says whom a run joins; where the environment is protected, only if that is meant.
fn join(environment: &Environment, run: &str, args: &Migrate) -> Result<(), Error> {
    if !environment.confirm || args.join || args.dry_run {
        tracing::warn!(
            "joins {run}, which is under way: both work on the same steps, and each of them stops by itself"
        );
        return Ok(());
    }
    let what = format!("{run} is under way on this target: nothing was begun");
    let hint = format!(
        "`{}` shows how far it is; --join works beside it, which doubles what the databases have to bear",
        typed("status", &environment.name)
    );
    Err(Error::Refused { what, hint })
}

/// The command that goes on, as it was typed; after a part of a step, with the rest of it.
fn again(args: &Migrate) -> String {
    let only: String = args.only.iter().map(|only| format!(" --only {only}")).collect();
    let dry_run = if args.dry_run { " --dry-run" } else { "" };
    let workers = args.workers.map(|workers| format!(" --workers {workers}")).unwrap_or_default();
    let join = if args.join { " --join" } else { "" };
    format!("{}{only}{dry_run}{workers}{join}", typed(Migrate::NAME, &args.on.env))
}

/// Makes sure that a protected environment is meant before anything is written into it, or copied there for a dry run.
pub(super) fn confirm(
    cx: &Context,
    environment: &Environment,
    given: Option<&str>,
    dry_run: bool,
) -> Result<(), Error> {
    let name = &environment.name;
    let refused = |what: String| {
        let hint = format!("type `{name}` on a terminal, or pass --confirm {name}");
        Err(Error::Refused { what, hint })
    };
    match given {
        Some(given) if given == name => Ok(()),
        Some(given) => {
            refused(format!("--confirm says `{given}`, but the environment is `{name}`: nothing was written"))
        }
        None if !environment.confirm => Ok(()),
        None if !output::can_ask() => {
            refused(format!("`{name}` is protected and nobody is here to confirm: nothing was written"))
        }
        None => {
            let question =
                format!("{}Type the name of the environment, `{name}`, to go on: ", meant(cx, environment, dry_run)?);
            let answer = output::ask(question).map_err(Error::io("read the answer from the terminal"))?;
            if answer == *name { Ok(()) } else { refused(format!("`{name}` was not confirmed: nothing was written")) }
        }
    }
}

/// What is about to be written, and into what, for who has to confirm it.
fn meant(cx: &Context, environment: &Environment, dry_run: bool) -> Result<String, Error> {
    let (legacy, target) = (environment.legacy()?, environment.target()?);
    // Who confirms sees all that can be told; what cannot be, the run itself says in full.
    let snapshot = Db::open(&legacy, Role::Legacy).ok().and_then(|mut db| (cx.app().snapshot)(&mut db).ok());
    let snapshot = snapshot.map(|at| format!(", frozen at {at}")).unwrap_or_default();
    let there = Db::open(&target, Role::Target).ok().and_then(|mut db| (cx.app().rows_there)(&mut db).ok());
    let there = there.filter(|there| !there.is_empty()).map(|there| {
        let known = there.iter().map(|(table, rows)| format!("{} {table}", grouped(*rows)));
        format!(", where there are {}", known.collect::<Vec<_>>().join(", "))
    });
    let does = if dry_run { "A dry run on copies of the tables of" } else { "This writes into" };
    Ok(format!(
        "{does} `{}`: {}{}\nfrom {}{snapshot}.\n",
        environment.name,
        target.place(),
        there.unwrap_or_default(),
        legacy.place()
    ))
}
