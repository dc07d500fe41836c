//! The credit that the pre-launch user migration brought over: the true entries take its place (rules: Credit).

use diesel::prelude::*;
use replant_core::columns;
use replant_core::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::schema::credit_entries as c;

/// Rows a page.
const PAGE: i64 = 5_000;

pub(crate) const PRELAUNCH: &str = "prelaunch_import";

/// The migrated users of these accounts, by account.
pub(crate) fn migrated_users(users: &Standings, accounts: &FxHashSet<i64>) -> FxHashMap<i64, Key> {
    users.migrated().filter(|(_, account)| accounts.contains(account)).map(|(key, account)| (account, key)).collect()
}

#[derive(Queryable)]
struct Entry {
    id: i64,
    account_id: i64,
    currency: String,
    delta_minor: i64,
    occurred_at: Instant,
}

/// Removes the pre-launch entries of migrated users. The ledger keeps each, in the same transaction; those of others stay.
///
/// # Errors
/// The database fails.
pub(crate) fn remove(tx: &mut Tx<'_>, users: &Standings) -> QueryResult<()> {
    let pre_launch = || c::table.filter(c::reason.eq(PRELAUNCH));
    let accounts: Vec<i64> = pre_launch().select(c::account_id).distinct().load(tx.db())?;
    let users = migrated_users(users, &accounts.into_iter().collect());
    let mut after = i64::MIN;
    loop {
        let page = pre_launch().filter(c::id.gt(after)).order(c::id).limit(PAGE);
        let page: Vec<Entry> =
            page.select((c::id, c::account_id, c::currency, c::delta_minor, c::occurred_at)).load(tx.db())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        let due: Vec<(&Entry, Key)> =
            page.iter().filter_map(|entry| Some((entry, *users.get(&entry.account_id)?))).collect();
        for some in due.chunks(1_000) {
            let ids: Vec<String> = some.iter().map(|(entry, _)| entry.id.to_string()).collect();
            tx.execute(&format!("DELETE FROM credit_entries WHERE id IN ({})", ids.join(", ")))?;
        }
        tx.changed(due.into_iter().map(|(entry, user)| removed(entry, user)).collect())?;
    }
}

fn removed(entry: &Entry, user: Key) -> Change {
    let Entry { id, account_id, ref currency, delta_minor, occurred_at } = *entry;
    Change {
        table: "credit_entries".into(),
        row: id.into(),
        legacy_key: Some(user),
        what: "removed".into(),
        before: Some(columns!(account_id, currency, delta_minor, reason = PRELAUNCH, occurred_at)),
        after: None,
    }
}
