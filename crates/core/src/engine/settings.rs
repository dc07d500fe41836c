//! How a run works.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::inspect::PointerRules;
use crate::policy::retry::Retries;
use crate::policy::sizing::Sizing;
use crate::storage::constraints::Building;
use crate::words::KeyRange;

/// The fewest rows of a chunk that is sized by its time: what a transaction costs by itself is then a small part of it.
const LEAST_ROWS: u64 = 200;
/// Free ranges of a large step when it is planned.
const RANGES: u64 = 64;

/// How a run works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the environment, for the ledger.
    pub environment: String,
    /// Legacy rows of a step's first chunk; of every chunk where `chunk_time` is zero.
    pub chunk_rows: u64,
    /// How long a chunk should take. Chunks are sized accordingly, from what the last ones took.
    pub chunk_time: Duration,
    /// The most rows of a chunk.
    pub chunk_most: u64,
    /// Threads that read and judge.
    pub readers: usize,
    /// Threads that write. SQLite has one writer.
    pub writers: usize,
    /// Judged chunks that may wait for a writer.
    pub queue: usize,
    /// Bytes of judged chunks that may be in memory, in all.
    pub queue_bytes: u64,
    /// Connections to the legacy database at the most.
    pub legacy_pool: u32,
    /// How long the legacy database (MariaDB) may take to answer before a connection is given up.
    pub legacy_patience: Duration,
    /// Connections to the target at the most.
    pub target_pool: u32,
    /// How long a chunk is held without a sign of life.
    pub lease: Duration,
    /// How failures that may pass are met.
    pub retries: Retries,
    /// Domains or steps to run, with all that they wait for; none: all.
    pub only: Vec<String>,
    /// Of the last step of those, only a part; none: all of it.
    pub subset: Option<Subset>,
    /// How foreign keys are checked.
    pub foreign_keys: ForeignKeys,
    /// Do everything but commit.
    pub dry_run: bool,
    /// How steps load where nobody else writes to the target; none: it is live, and keeps every constraint.
    pub offline: Option<Offline>,
    /// How indexes and foreign keys that were dropped are built again.
    pub building: Building,
    /// What becomes of columns that point to rows which the migration merges, and that it does not know.
    pub pointers: PointerRules,
    /// What the disk of the target holds, in gigabytes, where a run is to be held against it.
    pub disk_gb: Option<u64>,
    /// Gigabytes of that disk that are kept free: a run stops before it takes them.
    pub disk_reserve_gb: u64,
}

/// How the foreign keys of what is copied into a live target are checked. PostgreSQL alone; what is changed, and what is
/// refused and looked at again, is checked by row always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignKeys {
    /// By sets where that comes to the same and the user may, else by row.
    #[default]
    Auto,
    /// By sets; a run that cannot is refused.
    BySet,
    /// By row: the server asks for each key of each row.
    ByRow,
}

/// A part of a step. What is left of it stays to be done by a later run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subset {
    /// So many rows: the first that are not done.
    First(u64),
    /// The units of the rows with these keys.
    Keys(Vec<KeyRange>),
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

impl Settings {
    /// The rows of the free ranges into which a step with so many rows is cut when it is planned: chunks of one size, or
    /// ranges that several workers cut chunks from without getting in each other's way.
    pub(crate) fn range_rows(&self, rows: u64) -> u64 {
        match self.chunk_time.is_zero() {
            true => self.chunk_rows,
            false => rows.div_ceil(RANGES).max(self.chunk_most),
        }
    }

    /// The sizes of chunks.
    pub(crate) fn sizing(&self) -> Sizing {
        match self.chunk_time.is_zero() {
            true => Sizing::fixed(self.chunk_rows),
            false => Sizing {
                first: self.chunk_rows.min(self.chunk_most),
                time: self.chunk_time,
                least: LEAST_ROWS,
                most: self.chunk_most,
                // Each writer has a chunk in hand, and some wait.
                bytes: self.queue_bytes / (self.writers as u64 + self.queue as u64).max(1),
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: "local".to_owned(),
            chunk_rows: 5_000,
            chunk_time: Duration::ZERO,
            chunk_most: 50_000,
            readers: 2,
            writers: 2,
            queue: 2,
            queue_bytes: 24 << 20,
            legacy_pool: 4,
            legacy_patience: Duration::from_secs(60),
            target_pool: 6,
            lease: Duration::from_secs(60),
            retries: Retries::default(),
            only: Vec::new(),
            subset: None,
            foreign_keys: ForeignKeys::default(),
            dry_run: false,
            offline: None,
            building: Building::default(),
            pointers: PointerRules::default(),
            disk_gb: None,
            disk_reserve_gb: 10,
        }
    }
}
