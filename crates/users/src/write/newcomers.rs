//! Accounts that customers opened after the groups were formed, with the address of another live one but for its case.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_clean as clean;
use replant_core::prelude::*;
use rustc_hash::FxHashSet;

use crate::transform::Lookups;
use crate::write::Closing;

/// A live account that shares its address.
#[derive(QueryableByName)]
struct Sharing {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    folded: String,
}

/// diesel has no `lower`.
const SHARING: &str = "
SELECT a.id, a.email, d.folded
  FROM (SELECT lower(email) AS folded FROM accounts WHERE merged_into IS NULL GROUP BY lower(email) HAVING count(*) > 1) d
  JOIN accounts a ON lower(a.email) = d.folded AND a.merged_into IS NULL
 ORDER BY d.folded, a.id";

/// Consolidates platform accounts of one address, as the rules do with those that were there before (rules: Users, 3). Left as
/// they are, for somebody to see to: an account that the migration made, and one that would have to leave the legacy users
/// that went into it. Returns how many accounts it closes.
///
/// # Errors
/// Those of the database.
pub(crate) fn newcomers(lookups: &Lookups, tx: &mut Tx<'_>) -> QueryResult<u64> {
    let identity = &lookups.identity;
    let sharing: Vec<Sharing> = diesel::sql_query(SHARING).load(tx.db())?;
    let ours = tx.ours()?;
    let ids: FxHashSet<i64> = sharing.iter().map(|account| account.id).collect();
    let with_users = identity.with_users(&ids);
    let mut closings = Vec::new();
    for group in sharing.chunk_by(|a, b| a.folded == b.folded) {
        let address = clean::email(&group[0].email);
        let one = address.is_some() && group.iter().all(|account| clean::email(&account.email) == address);
        let stays = group.iter().map(|account| account.id).min_by_key(|id| (identity.opened(*id), *id));
        let Some(into) = stays.filter(|_| one) else { continue };
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
