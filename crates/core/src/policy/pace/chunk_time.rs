//! How long a chunk may take: what it writes is locked until it commits, so that is the longest that a customer waits for a row of it.

use std::time::Duration;

/// A customer who waited longer for us has chunks become shorter.
const LONG_WAIT: Duration = Duration::from_millis(500);

/// Without such a wait for so long, they become longer again.
const QUIET: Duration = Duration::from_secs(60);

/// Never shorter: each has its own costs.
const SHORTEST: Duration = Duration::from_millis(100);

/// The time of the chunks to come. `longest`: as it was asked for. `waited`: the longest that a customer waits for us just now. `quiet`:
/// how long ago the time was changed, or a customer waited for too long.
pub fn next(chunk: Duration, longest: Duration, waited: Duration, quiet: Duration) -> Duration {
    match () {
        () if waited > LONG_WAIT => (chunk / 2).max(SHORTEST.min(longest)),
        () if quiet >= QUIET => (chunk * 5 / 4).min(longest),
        () => chunk.min(longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_who_wait_shorten_it() {
        let ms = Duration::from_millis;
        for (what, chunk, longest, waited, quiet_s, expected) in [
            ("nobody waits", 250, 250, 0, 0, 250),
            ("a short wait", 250, 250, 500, 0, 250),
            ("a long one", 250, 250, 501, 0, 125),
            ("never below the shortest", 125, 250, 2_000, 0, 100),
            ("not below what was asked for", 80, 80, 2_000, 0, 80),
            ("not yet", 100, 250, 0, 59, 100),
            ("longer again", 100, 250, 0, 60, 125),
            ("up to what was asked for", 220, 250, 0, 60, 250),
            ("less was asked for", 500, 250, 0, 0, 250),
        ] {
            let next = next(ms(chunk), ms(longest), ms(waited), Duration::from_secs(quiet_s));
            assert_eq!(next, ms(expected), "{what}");
        }
    }
}
