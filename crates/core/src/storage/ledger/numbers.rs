//! What stands in the row of a chunk itself.

use diesel::prelude::*;

use super::tables::replant_chunks as c;
use crate::storage::types::Instant;

/// What a chunk has come to; the default: one that nobody has done.
#[derive(Default, AsChangeset)]
#[diesel(table_name = c, treat_none_as_null = true)]
pub(super) struct Numbers {
    pub(super) rows_read: i64,
    pub(super) migrated: i64,
    pub(super) merged: i64,
    pub(super) skipped: i64,
    pub(super) quarantined: i64,
    pub(super) repairs: i64,
    pub(super) busy_ms: i64,
    pub(super) done_at: Option<Instant>,
    pub(super) reason: Option<String>,
    pub(super) record: Option<Vec<u8>>,
    pub(super) digest: Option<Vec<u8>>,
    pub(super) waits: bool,
    pub(super) carried: Option<Vec<u8>>,
}
