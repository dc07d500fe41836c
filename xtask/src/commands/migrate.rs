//! `migrate`: a run, with its confirmation before and its account after.

use replant_core::db::{Backend, Db, DbUrl, Role};
use replant_core::ledger::runs;
use replant_core::{Migration, Registry, Settings, Stop, ledger};

use super::At;
use crate::cli::Migrate;
use crate::config::Environment;
use crate::error::Error;
use crate::exit::Exit;
use crate::money::Exponents;
use crate::output::{self, grouped, json, print};
use crate::progress::Progress;
use crate::registry::registry;
use crate::report::{Account, on};
use crate::signals;

pub(crate) fn run(args: Migrate, at: &At) -> Result<Exit, Error> {
    let environment = at.environment(&args.on.env)?;
    let (legacy, target) = (environment.legacy()?, environment.target()?);
    tracing::info!("from {}, into {}", legacy.place(), target.place());
    let other = under_way(&target)?;
    if let Some(run) = &other {
        join(&environment, run, &args)?;
    }
    confirm(&environment, args.confirm.as_deref(), args.dry_run)?;
    let again = again(&args);
    let settings = environment.settings(args.only, args.dry_run, args.workers.map(usize::from));
    carry_out(Work { legacy, target, settings, again }, args.form.json)
}

/// What is to be carried out.
pub(super) struct Work {
    pub(super) legacy: DbUrl,
    pub(super) target: DbUrl,
    pub(super) settings: Settings,
    /// The command that goes on with it.
    pub(super) again: String,
}

/// Runs a migration and gives account of it.
pub(super) fn carry_out(work: Work, as_json: bool) -> Result<Exit, Error> {
    let Work { legacy, target, settings, again } = work;
    let (environment, dry_run) = (settings.environment.clone(), settings.dry_run);
    let stop = Stop::default();
    signals::install(&stop).map_err(Error::io("listen for signals"))?;
    let registry = registry();
    let migration =
        Migration { registry: &registry, snapshot: reference::snapshot, legacy, target: target.clone(), settings };
    let account = if !dry_run && is_done(&migration, &registry, &target)? {
        Account::of(&mut Db::open(&target, Role::Target)?, &environment, None, None)?
    } else {
        let progress = Progress::new(again.clone());
        let report = migration.run(&stop, &progress)?;
        if !report.complete && !stop.requested() {
            let what = "a step ended early though nobody asked for it: a defect, which the log names".to_owned();
            return Err(Error::Failed {
                what,
                hint: format!("every chunk that was committed stays; to go on: {again}"),
            });
        }
        match dry_run {
            true => {
                let exponents = Exponents::of(&mut Db::open(&target, Role::Target)?)?;
                Account::of_dry_run(&environment, &report, exponents)
            }
            false => Account::of(&mut Db::open(&target, Role::Target)?, &environment, Some(&report), Some(&progress))?,
        }
    };
    match as_json {
        true => json(&account),
        false => print(account.text()),
    }
    Ok(if account.complete { Exit::Done } else { Exit::Stopped })
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
    Ok(migration.plan()?.steps.iter().all(|step| step.done))
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
    let on = on(&environment.name);
    let hint = format!(
        "`cargo xtask status{on}` shows how far it is; --join works beside it, which doubles what the databases have to bear"
    );
    Err(Error::Refused { what, hint })
}

/// The command that goes on, as it was typed.
fn again(args: &Migrate) -> String {
    let only: String = args.only.iter().map(|only| format!(" --only {only}")).collect();
    let dry_run = if args.dry_run { " --dry-run" } else { "" };
    let workers = args.workers.map(|workers| format!(" --workers {workers}")).unwrap_or_default();
    let join = if args.join { " --join" } else { "" };
    format!("cargo xtask migrate{}{only}{dry_run}{workers}{join}", on(&args.on.env))
}

/// Makes sure that a protected environment is meant before anything is written into it, or copied there for a dry run.
pub(super) fn confirm(environment: &Environment, given: Option<&str>, dry_run: bool) -> Result<(), Error> {
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
                format!("{}Type the name of the environment, `{name}`, to go on: ", meant(environment, dry_run)?);
            let answer = output::ask(question).map_err(Error::io("read the answer from the terminal"))?;
            if answer == *name { Ok(()) } else { refused(format!("`{name}` was not confirmed: nothing was written")) }
        }
    }
}

/// What is about to be written, and into what, for who has to confirm it.
fn meant(environment: &Environment, dry_run: bool) -> Result<String, Error> {
    let (legacy, target) = (environment.legacy()?, environment.target()?);
    // Who confirms sees all that can be told; what cannot be, the run itself says in full.
    let snapshot = Db::open(&legacy, Role::Legacy).ok().and_then(|mut db| reference::snapshot(&mut db).ok());
    let snapshot = snapshot.map(|at| format!(", frozen at {at}")).unwrap_or_default();
    let there = Db::open(&target, Role::Target).ok().and_then(|mut db| reference::rows_there(&mut db).ok());
    let there = there.map(|there| {
        let known = |(table, rows): (&str, u64)| format!("{} {table}", grouped(rows));
        format!(", where there are {}", there.map(known).join(", "))
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
