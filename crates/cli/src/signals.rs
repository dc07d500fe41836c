//! Ctrl-C and SIGTERM: the first asks the run to stop, a second one ends the program at once.

use std::io;
use std::thread;
use std::time::Duration;

use replant_core::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::Error;

/// How often it is looked whether a signal came, to tell the operator.
const LOOK: Duration = Duration::from_millis(20);

/// What is said of a run when it is asked to stop.
const RUN: &str =
    "asked to stop: the chunks under way are finished first; a second signal ends at once, and loses nothing";

/// What a run is asked to stop by, tied to the signals. Ending at once is safe: what is not committed is rolled back, and its chunk done
/// again.
///
/// # Errors
/// The system refuses.
pub(crate) fn stop() -> Result<Stop, Error> {
    let stop = Stop::default();
    install_saying(&stop, RUN).map_err(Error::io("listen for signals"))?;
    Ok(stop)
}

/// Ties the signals to `stop`, and says `what` when the first one came. A second one ends the program at once.
///
/// # Errors
/// The system refuses.
pub fn install_saying(stop: &Stop, what: &'static str) -> io::Result<()> {
    for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
        // In this order: the first signal finds the flag down and raises it, the second finds it up.
        flag::register_conditional_shutdown(signal, code, stop.flag())?;
        flag::register(signal, stop.flag())?;
    }
    let stop = stop.clone();
    // It ends with the process.
    thread::spawn(move || {
        while !stop.requested() {
            thread::sleep(LOOK);
        }
        tracing::info!("{what}");
    });
    Ok(())
}
