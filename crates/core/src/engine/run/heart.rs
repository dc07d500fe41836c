//! The heart of a run: it shows that the process lives, and looks after what the whole run waits for.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use diesel::connection::SimpleConnection;

use super::running::Running;
use crate::engine::event::Event;
use crate::storage::ledger::alive::{self, Alive, BEAT, Watched};
use crate::storage::ledger::runs;

/// How often a run looks after what it waits for, and how much room there is.
const LOOK: Duration = Duration::from_secs(5);

const GIGABYTE: u64 = 1_000_000_000;

/// Shows that this process lives, until the run ends: by its beats and leases, and by its lock, which it takes again if the
/// session that held it was lost.
pub(crate) fn beat(run: &Running<'_>, mut alive: Alive, ends: &Receiver<()>) {
    let lease = run.settings.lease;
    let mut looked = Instant::now();
    while ends.recv_timeout(BEAT.min(lease / 4)) == Err(RecvTimeoutError::Timeout) {
        let Alive::Session(session) = &mut alive else { continue };
        // A beat that a lock kept from its row is made up for by the next one; what is lost is opened again.
        if runs::beat(session, run.owner, lease).is_err() && session.batch_execute("SELECT 1").is_err() {
            let again = run.databases.target.dedicated().ok().and_then(|db| Alive::session(db, run.owner).ok());
            alive = again.unwrap_or(alive);
            continue;
        }
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            if let Ok(watched) = alive::watched(session, run.owner) {
                look_after(run, watched);
            }
        }
    }
}

/// Says what the whole run waits for, and stops it before the target's disk is full.
fn look_after(run: &Running<'_>, Watched { waiting, bytes }: Watched) {
    let tell = |reason| run.reporter.event(&Event::Throttled { step: "target", reason });
    if waiting > 0 {
        tell(format!(
            "{waiting} commits wait for a standby that does not answer (synchronous_standby_names): nothing is lost, and \
             they go on when it does, or when the setting is taken back"
        ));
    }
    let Some(disk_gb) = run.settings.disk_gb else { return };
    let reserve_gb = run.settings.disk_reserve_gb;
    let most = disk_gb.saturating_sub(reserve_gb).saturating_mul(GIGABYTE);
    if bytes.cast_unsigned() > most && !run.stop.requested() {
        tell(format!(
            "the database has {} GB and the disk {disk_gb}: of these {reserve_gb} are kept for the site (`disk_reserve_gb`), so \
             the run stops here. Make room, then run the same command again",
            bytes.cast_unsigned() / GIGABYTE
        ));
        run.stop.request();
    }
}
