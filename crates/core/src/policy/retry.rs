//! What to do about a chunk that failed.

use std::time::Duration;

use backon::ExponentialBuilder;

use crate::storage::failure::Failure;

/// How often and how patiently something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Tries after the first.
    pub times: usize,
    /// The first wait.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { times: 8, first_wait: Duration::from_millis(100), longest_wait: Duration::from_secs(20) }
    }
}

impl Retries {
    /// The waits: each twice the one before, with some chance so that workers do not try in step.
    pub fn backoff(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.times)
            .with_jitter()
    }
}

/// What to do next about a chunk that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The same again, after a wait.
    Again,
    /// Cut it in half: the halves may do.
    Cut,
    /// The whole run must stop: nothing can be written or read until somebody mends something.
    StopRun,
    /// The step fails with its reason.
    FailStep,
}

/// What to do about a chunk that failed with `failure`, `tries` of which are left.
pub(crate) fn action(failure: &Failure, tries_left: bool) -> Action {
    match failure {
        Failure::Lost if tries_left => Action::Again,
        Failure::Lost | Failure::Full(_) => Action::StopRun,
        Failure::Contention(_) if tries_left => Action::Again,
        // Nobody has asked the server what it was: it may have been any of these.
        Failure::Untold(_) if tries_left => Action::Again,
        Failure::Contention(_)
        | Failure::TooSlow(_)
        | Failure::Constraint(_)
        | Failure::Value(_)
        | Failure::Refused(_) => Action::Cut,
        Failure::Other(_) | Failure::Untold(_) => Action::FailStep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert_eq!(action(&Failure::Lost, true), Action::Again);
        assert_eq!(action(&Failure::Lost, false), Action::StopRun);
        assert_eq!(action(&Failure::Full("the server"), true), Action::StopRun);
        assert_eq!(action(&Failure::Contention("deadlock"), true), Action::Again);
        assert_eq!(action(&Failure::Contention("deadlock"), false), Action::Cut);
        assert_eq!(action(&Failure::TooSlow("too long"), true), Action::Cut);
        assert_eq!(action(&Failure::Other("missing".to_owned()), true), Action::FailStep);
        assert_eq!(action(&Failure::Untold(None), true), Action::Again);
        assert_eq!(action(&Failure::Untold(None), false), Action::FailStep);
    }
}
