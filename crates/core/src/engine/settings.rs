//! How a run works.

use std::time::Duration;

use crate::policy::retry::Retries;
use crate::storage::constraints::Building;

/// How a run works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the environment, for the ledger.
    pub environment: String,
    /// Legacy rows a chunk.
    pub chunk_rows: u64,
    /// Threads that read and judge.
    pub readers: usize,
    /// Threads that write. SQLite has one writer.
    pub writers: usize,
    /// Judged chunks that may wait for a writer.
    pub queue: usize,
    /// Connections to the legacy database at the most.
    pub legacy_pool: u32,
    /// Connections to the target at the most.
    pub target_pool: u32,
    /// How long a chunk is held without a sign of life.
    pub lease: Duration,
    /// How failures that may pass are met.
    pub retries: Retries,
    /// Domains or steps to run, with all that they wait for; none: all.
    pub only: Vec<String>,
    /// Do everything but commit.
    pub dry_run: bool,
    /// How steps load where nobody else writes to the target; none: it is live, and keeps every constraint.
    pub offline: Option<Offline>,
    /// How indexes and foreign keys that were dropped are built again.
    pub building: Building,
}

/// How steps load where nobody else writes to the target: without foreign keys and secondary indexes, which are built again
/// before a step is done. PostgreSQL alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offline {
    /// Legacy rows of a step below which nothing is dropped.
    pub least_rows: u64,
}

impl Default for Offline {
    fn default() -> Self {
        Self { least_rows: 10_000 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: "local".to_owned(),
            chunk_rows: 5_000,
            readers: 2,
            writers: 2,
            queue: 2,
            legacy_pool: 4,
            target_pool: 6,
            lease: Duration::from_secs(60),
            retries: Retries::default(),
            only: Vec::new(),
            dry_run: false,
            offline: None,
            building: Building::default(),
        }
    }
}
