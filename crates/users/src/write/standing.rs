//! Accounts as they stand in the transaction that is about to change them.

use diesel::prelude::*;
use replant_core::UnitIndex;
use replant_core::db::Db;
use replant_core::prelude::*;
use rustc_hash::FxHashMap;

use crate::schema::target::accounts;
use crate::target::Account;

/// How accounts are locked: by what is about to change of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// Not at all.
    No,
    /// Values alone. A customer may add what points to it.
    Values,
    /// Its e-mail, or what points to it: nothing may be added that does.
    Key,
}

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

/// Refuses a unit whose account is not there any more as it was when the groups were formed.
pub(super) fn refuse_gone(tx: &mut Tx<'_>, unit: UnitIndex, account: i64, found: Option<&Account>) {
    let how = if found.is_some() { "was merged into another one" } else { "was deleted" };
    let reason = format!("account {account} {how} on the platform after the migration began");
    tx.refuse(unit, Code::TARGET_ROW_GONE, reason);
}
