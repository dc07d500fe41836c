//! Accounts that customers opened after the groups were formed, with the address of another live one but for its case.

use std::sync::Arc;

use diesel::prelude::*;
use replant_core::prelude::*;
use rustc_hash::FxHashSet;

use crate::sharing::{is_merged, sharing};
use crate::transform::Lookups;
use crate::write::Closing;

/// Consolidates platform accounts of one address, as the rules do with those that were there before (rules: Users, 3). Left as
/// they are, for somebody to see to: an account that the migration made, and one that would have to leave the legacy users
/// that went into it. Returns how many accounts it closes.
///
/// # Errors
/// Those of the database.
pub(crate) fn newcomers(lookups: &Lookups, tx: &mut Tx<'_>) -> QueryResult<u64> {
    let identity = &lookups.identity;
    let sharing = sharing(tx.db())?;
    let ours = tx.ours()?;
    let ids: FxHashSet<i64> = sharing.iter().map(|account| account.id).collect();
    let with_users = identity.with_users(&ids);
    let mut closings = Vec::new();
    for group in sharing.chunk_by(|a, b| a.folded == b.folded) {
        let stays = group.iter().map(|account| account.id).min_by_key(|id| (identity.opened(*id), *id));
        let Some(into) = stays.filter(|_| is_merged(group)) else { continue };
        let others: Vec<i64> = group.iter().map(|account| account.id).filter(|id| *id != into).collect();
        let of_ours = group.iter().any(|account| ours.made("accounts", account.id));
        if !of_ours && !others.iter().any(|id| with_users.contains(id)) {
            closings.push(Closing { into, others, legacy_key: None, followed: Arc::clone(&lookups.followed) });
        }
    }
    Closing::finish(tx, &closings)?;
    Closing::follow(tx)?;
    Ok(closings.iter().map(|closing| closing.others.len() as u64).sum())
}
