//! Joining the run that is under way: finding it, and stopping with it.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::running::Running;
use crate::engine::error::RunError;
use crate::engine::stop::Stop;
use crate::storage::db::{Db, DbUrl, Role};
use crate::storage::ledger::runs::Scope;
use crate::storage::ledger::{self, runs};
use crate::storage::pool::PoolError;

/// How often a worker looks whether there is a run to join, and whether it is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The run that is under way, and the domains or steps to which it is limited. One that does a part of a step is not joined.
///
/// # Errors
/// There is none after `patience`, or the database fails.
pub(crate) fn wait_for_a_run(
    target: &DbUrl,
    patience: Duration,
    stop: &Stop,
) -> Result<(String, Vec<String>), RunError> {
    let mut target = Db::open(target, Role::Target).map_err(PoolError::from)?;
    let began = Instant::now();
    loop {
        if ledger::exists(&mut target)?
            && let Some(run) = runs::under_way(&mut target)?
            && let Scope::Whole(only) = runs::scope(&mut target, &run)?
        {
            return Ok((run, only));
        }
        if began.elapsed() >= patience || stop.requested() {
            return Err(RunError::NoRun { waited: began.elapsed() });
        }
        std::thread::sleep(LOOK_AGAIN.min(patience));
    }
}

/// Stops when the run that was joined is over without being done: its operator stopped it, or it failed.
pub(crate) fn watch(run: &Running<'_>, joined: &str, ends: &Receiver<()>) {
    while ends.recv_timeout(LOOK_AGAIN) == Err(RecvTimeoutError::Timeout) {
        let over = run.databases.target.get().ok().and_then(|mut db| runs::is_over(&mut db, joined).ok());
        if over == Some(true) {
            run.stop.request();
            return;
        }
    }
}
