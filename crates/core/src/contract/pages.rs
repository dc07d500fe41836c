//! A legacy table from its first key to its last, a page at a time.

use super::errors::PrepareError;
use super::legacy::{LegacyRow, weight};
use crate::storage::ledger::overlay::Overlay;
use crate::storage::pool::Pool;
use crate::words::Key;

/// Rows a page, at the most and at the least.
const PAGE: i64 = 10_000;
const LEAST: i64 = 32;
/// Rows of the first page: nobody knows what they weigh.
const FIRST_PAGE: i64 = 1_000;
/// About how many bytes of memory a page takes.
const PAGE_BYTES: u64 = 8 << 20;

/// Hands on the pages of a legacy table with what lies over them, for a step, as long as `each` says to go on. The last one may have
/// rows alone that are gone.
///
/// # Errors
/// The database fails.
pub(crate) fn each_page<L: LegacyRow>(
    legacy: &Pool,
    overlay: &Overlay,
    step: &str,
    mut each: impl FnMut(Vec<L>) -> bool,
) -> Result<(), PrepareError> {
    let (mut after, mut size) = (None, FIRST_PAGE);
    loop {
        let rows: Vec<L> = page((legacy, overlay, step), after, size)?;
        let a_row = weight(&rows) / (rows.len() as u64).max(1) + 1;
        size = (PAGE_BYTES / a_row).cast_signed().clamp(LEAST, PAGE);
        after = rows.last().map(L::key);
        if after.is_none() || !each(rows) {
            return Ok(());
        }
    }
}

fn page<L: LegacyRow>(
    (legacy, overlay, step): (&Pool, &Overlay, &str),
    after: Option<Key>,
    rows: i64,
) -> Result<Vec<L>, PrepareError> {
    let page = legacy.ask(move |db, _| L::page(db, after, rows))?;
    let mut page = page.map_err(|source| PrepareError::Query { what: format!("{} (for {step})", L::TABLE), source })?;
    let upto = page.last().map(L::key);
    overlay.between(L::TABLE, &mut page, (after, upto), L::key)?;
    Ok(page)
}
