//! Who works on a target, as the ledger, the sessions and the locks name it.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::error::LedgerError;

/// Who holds a chunk: the host, the process and a number that no other process of theirs has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

/// So many bytes of a host's name stand in the name of a session.
const LONGEST_HOST: usize = 16;

fn this_host() -> String {
    hostname::get().map_or_else(|_| "localhost".to_owned(), |host| host.to_string_lossy().replace(':', "-"))
}

impl Owner {
    /// The owner that this process is for one run.
    pub fn of_this_process() -> Self {
        // Two runs of a process may begin at one reading of the clock.
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let begun = (Timestamp::now().as_nanosecond(), RUNS.fetch_add(1, Ordering::Relaxed));
        let nonce = xxh3_64(format!("{begun:?}").as_bytes()) & 0xffff_ffff;
        Self(format!("{}:{}:{nonce:08x}", this_host(), std::process::id()))
    }

    /// As the ledger writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its sessions, as `pg_stat_activity` shows it; in the midst of a chunk its step and number stand behind it.
    /// The server keeps 63 bytes of it.
    pub fn session_name(owner: &str) -> String {
        let (host, rest) = owner.split_once(':').unwrap_or(("", owner));
        let host: String = host.chars().filter(char::is_ascii).take(LONGEST_HOST).collect();
        format!("replant {host}:{rest}")
    }

    /// The process, where it is one of this machine.
    pub(super) fn process_here(owner: &str) -> Option<u32> {
        let (host, rest) = owner.split_once(':')?;
        (host == this_host()).then(|| rest.split_once(':')?.0.parse().ok()).flatten()
    }

    /// The advisory lock that its process holds while it lives.
    pub(super) fn lock_key(owner: &str) -> i64 {
        xxh3_64(owner.as_bytes()).cast_signed()
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a run may not begin.
#[derive(Debug, thiserror::Error)]
pub enum HeldError {
    /// Another process works on this SQLite target.
    #[error("another run works on this target: {0}")]
    Held(String),
    /// The lock cannot be taken for another reason.
    #[error("the lock beside the target file cannot be taken: {0}")]
    Io(#[from] std::io::Error),
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
