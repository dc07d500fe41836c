//! What the steps of a run share when they run side by side: threads that may read or write at once, and memory.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::run::Running;

/// So much of something, to be taken and given back.
pub(super) struct Budget {
    most: u64,
    taken: Mutex<u64>,
    given_back: Condvar,
}

/// A part of a budget. It is given back when it is dropped.
pub(super) struct Share<'a> {
    of: &'a Budget,
    size: u64,
}

impl Budget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, taken: Mutex::default(), given_back: Condvar::new() }
    }

    /// Waits until `size` is left. Whatever is more than there is gets all of it.
    pub(super) fn take(&self, size: u64) -> Share<'_> {
        let size = size.min(self.most);
        let no_room = |taken: &mut u64| *taken + size > self.most;
        let taken = self.given_back.wait_while(self.taken(), no_room);
        *taken.unwrap_or_else(PoisonError::into_inner) += size;
        Share { of: self, size }
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share<'_> {
    /// Makes the share as large as it turned out to be, without waiting: what it stands for is there already.
    pub(super) fn becomes(&mut self, size: u64) {
        let mut taken = self.of.taken();
        *taken = *taken - self.size + size;
        self.size = size;
        self.of.given_back.notify_all();
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.of.taken() -= self.size;
        self.of.given_back.notify_all();
    }
}

/// The limits of a run.
pub(super) struct Limits {
    /// Threads that read and judge.
    pub(super) readers: Budget,
    /// Threads that write.
    pub(super) writers: Budget,
    /// Bytes of judged chunks.
    pub(super) bytes: Budget,
}

impl Limits {
    /// Those of a run.
    pub(super) fn of(run: &Running<'_>) -> Self {
        Self {
            readers: Budget::new(run.settings.readers as u64),
            writers: Budget::new(run.writers() as u64),
            bytes: Budget::new(run.settings.queue_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_finds_too_little_waits() {
        let budget = Budget::new(10);
        let first = budget.take(7);
        let (send, receive) = crossbeam_channel::bounded(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _share = budget.take(4);
                send.send(()).unwrap();
            });
            assert!(receive.recv_timeout(std::time::Duration::from_millis(50)).is_err());
            drop(first);
            receive.recv().unwrap();
        });
        assert_eq!(*budget.taken(), 0);
    }

    #[test]
    fn a_share_that_turns_out_larger_leaves_less_to_others() {
        let budget = Budget::new(10);
        let mut share = budget.take(2);
        share.becomes(25);
        assert_eq!(*budget.taken(), 25);
        share.becomes(3);
        drop(budget.take(7));
        drop(share);
        assert_eq!(*budget.taken(), 0);
    }

    #[test]
    fn what_is_larger_than_all_gets_all() {
        let budget = Budget::new(10);
        let all = budget.take(1_000);
        assert_eq!(*budget.taken(), 10);
        drop(all);
        drop(budget.take(3));
    }
}
