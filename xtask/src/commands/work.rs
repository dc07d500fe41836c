//! `work`: joins the run that is under way.

use std::time::Duration;

use replant_core::db::{Db, Role};
use replant_core::{Migration, Stop};

use super::{At, migrate};
use crate::cli::Work;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::progress::Progress;
use crate::registry::registry;
use crate::report::{Account, on};
use crate::signals;

pub(crate) fn run(args: &Work, at: &At) -> Result<Exit, Error> {
    let environment = at.environment(&args.on.env)?;
    let (legacy, target) = (environment.legacy()?, environment.target()?);
    tracing::info!("from {}, into {}", legacy.place(), target.place());
    migrate::confirm(&environment, args.confirm.as_deref(), false)?;
    let settings = environment.settings(args.only.clone(), false, args.workers.map(usize::from));
    let stop = Stop::default();
    signals::install(&stop).map_err(Error::io("listen for signals"))?;
    let registry = registry();
    let migration =
        Migration { registry: &registry, snapshot: reference::snapshot, legacy, target: target.clone(), settings };
    let only: String = args.only.iter().map(|only| format!(" --only {only}")).collect();
    let progress = Progress::new(format!("cargo xtask work{}{only}", on(&args.on.env)));
    let report = migration.work(Duration::from_secs(args.wait), &stop, &progress)?;
    let account = Account::of(&mut Db::open(&target, Role::Target)?, &args.on.env, Some(&report), Some(&progress))?;
    match args.form.json {
        true => json(&account),
        false => print(account.text()),
    }
    Ok(if account.complete { Exit::Done } else { Exit::Stopped })
}
