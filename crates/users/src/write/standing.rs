//! Accounts as they stand in the transaction that is about to change them.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Lock, UnitIndex};
use rustc_hash::FxHashMap;

use crate::schema::target::accounts;
use crate::target::Account;

/// The accounts as they stand now. PostgreSQL keeps them so until the chunk is committed; in the order of their ids, so
/// that two chunks cannot wait for each other. A lock that is made stronger later would be a deadlock with a customer who has
/// added a row and then changes the account.
pub(super) fn standing(tx: &mut Tx<'_>, ids: &[i64], lock: Lock) -> QueryResult<FxHashMap<i64, Account>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let mut standing = FxHashMap::default();
    for some in ids.chunks(1_000) {
        let mode = match (tx.db(), lock) {
            (Db::Pg(_), Lock::Values) => Some("NO KEY UPDATE"),
            (Db::Pg(_), Lock::Key) => Some("UPDATE"),
            _ => None,
        };
        if let Some(mode) = mode {
            let ids = some.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            tx.execute(&format!("SELECT id FROM accounts WHERE id IN ({ids}) ORDER BY id FOR {mode}"))?;
        }
        let wanted = accounts::table.filter(accounts::id.eq_any(some.to_vec())).order(accounts::id);
        let found: Vec<Account> = wanted.select(Account::as_select()).load(tx.db())?;
        standing.extend(found.into_iter().map(|account| (account.id, account)));
    }
    Ok(standing)
}

/// An account that stands for itself, as it was when the groups were formed.
///
/// # Errors
/// Why a unit that needs it is refused: it was deleted or merged meanwhile.
pub(super) fn standing_alone(id: i64, found: Option<Account>) -> Result<Account, (Code, String)> {
    let how = match found {
        Some(account) if account.merged_into.is_none() => return Ok(account),
        Some(_) => "was merged into another one",
        None => "was deleted",
    };
    Err((Code::TARGET_ROW_GONE, format!("account {id} {how} on the platform after the migration began")))
}

/// Refuses a unit whose account is not there any more as it was when the groups were formed.
pub(super) fn refuse_gone(tx: &mut Tx<'_>, unit: UnitIndex, id: i64, found: Option<&Account>) {
    if let Err((code, reason)) = standing_alone(id, found.cloned()) {
        tx.refuse(unit, code, reason);
    }
}
