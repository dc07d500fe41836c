//! Who works on a target, as the ledger, the sessions and the locks name it.

use jiff::Timestamp;

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
        let host = this_host();
        let nonce = Timestamp::now().as_nanosecond() & 0xffff_ffff;
        Self(format!("{host}:{}:{nonce:08x}", std::process::id()))
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
        xxhash_rust::xxh3::xxh3_64(owner.as_bytes()).cast_signed()
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
