//! What was verified, and when: a row a step and verification.

use diesel::prelude::*;
use serde::Serialize;

use super::error::{Attempt, LedgerError};
use super::install::has_table;
use super::tables::replant_verifications as v;
use crate::storage::db::Db;
use crate::storage::types::Instant;

/// How the rows of a step stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The step.
    pub step: String,
    /// When.
    pub verified_at: Instant,
    /// The version of the program.
    pub version: String,
    /// The state of the legacy database to which the target had been brought.
    pub generation: i64,
    /// `source`, or `ledger` where the legacy rows were not judged again.
    pub against: String,
    /// Target rows that the ledger said were there.
    pub rows: u64,
    /// Of these, as they were to be.
    pub equal: u64,
    /// Changed since by somebody on the platform.
    pub changed: u64,
    /// Removed since.
    pub removed: u64,
    /// Parts of our rows that somebody had added.
    pub added: u64,
    /// Otherwise by today's rules, or by a later state of the source.
    pub stale: u64,
    /// Changed where the site changes nothing.
    pub unexpected: u64,
    /// Not what was written, and touched by nobody.
    pub defects: u64,
    /// With one of our ids, and named by nothing.
    pub unexplained: u64,
}

/// Notes what was verified.
///
/// # Errors
/// The database fails.
pub(crate) fn note(db: &mut Db, all: impl Iterator<Item = Verification>) -> Result<(), LedgerError> {
    for one in all {
        let row = (
            v::step.eq(one.step),
            v::verified_at.eq(one.verified_at),
            v::version.eq(one.version),
            v::generation.eq(one.generation),
            v::against.eq(one.against),
            v::rows.eq(one.rows.cast_signed()),
            v::equal.eq(one.equal.cast_signed()),
            v::changed.eq(one.changed.cast_signed()),
            v::removed.eq(one.removed.cast_signed()),
            v::added.eq(one.added.cast_signed()),
            v::stale.eq(one.stale.cast_signed()),
            v::unexpected.eq(one.unexpected.cast_signed()),
            v::defects.eq(one.defects.cast_signed()),
            v::unexplained.eq(one.unexplained.cast_signed()),
        );
        diesel::insert_into(v::table).values(row).execute(db).attempt("written")?;
    }
    Ok(())
}

/// Whether the ledger knows of verifications: not where a version before wrote it.
///
/// # Errors
/// The catalogue cannot be read.
pub fn known(db: &mut Db) -> Result<bool, LedgerError> {
    has_table(db, "replant_verifications")
}

type Numbers = (i64, i64, i64, i64, i64, i64, i64, i64, i64);

/// How each step was verified last.
///
/// # Errors
/// The database fails.
pub fn last(db: &mut Db) -> Result<Vec<Verification>, LedgerError> {
    type Row = (String, Instant, String, i64, String, Numbers);
    let numbers =
        (v::rows, v::equal, v::changed, v::removed, v::added, v::stale, v::unexpected, v::defects, v::unexplained);
    let all: Vec<Row> = v::table
        .order((v::step, v::verified_at.desc()))
        .select((v::step, v::verified_at, v::version, v::generation, v::against, numbers))
        .load(db)
        .attempt("read")?;
    let mut last: Vec<Verification> = Vec::new();
    for (step, verified_at, version, generation, against, numbers) in all {
        if last.last().is_some_and(|known| known.step == step) {
            continue;
        }
        let (rows, equal, changed, removed, added, stale, unexpected, defects, unexplained) = numbers;
        last.push(Verification {
            step,
            verified_at,
            version,
            generation,
            against,
            rows: rows.cast_unsigned(),
            equal: equal.cast_unsigned(),
            changed: changed.cast_unsigned(),
            removed: removed.cast_unsigned(),
            added: added.cast_unsigned(),
            stale: stale.cast_unsigned(),
            unexpected: unexpected.cast_unsigned(),
            defects: defects.cast_unsigned(),
            unexplained: unexplained.cast_unsigned(),
        });
    }
    Ok(last)
}
