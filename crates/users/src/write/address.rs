//! Further addresses of accounts that were there before.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{RowName, UnitIndex, added, columns, literal};
use rustc_hash::FxHashSet;

use crate::schema::target::account_emails;

/// Those of normalised addresses that lead to an account already.
fn known(db: &mut Db, emails: &[&str]) -> QueryResult<FxHashSet<String>> {
    let mut known = FxHashSet::default();
    for some in emails.chunks(1_000) {
        let wanted = account_emails::table.filter(account_emails::email.eq_any(some.to_vec()));
        let found: Vec<String> = wanted.select(account_emails::email).load(db)?;
        known.extend(found);
    }
    Ok(known)
}

/// The address that the ledger names so.
fn email_of(key: &str) -> Option<String> {
    let columns: serde_json::Value = serde_json::from_str(key).ok()?;
    Some(columns.get("email")?.as_str()?.to_owned())
}

/// An address that is to lead to an account.
pub(super) struct Further {
    /// Its unit, if that is still to be touched.
    pub(super) unit: Option<UnitIndex>,
    /// The legacy user for whose sake; none where there is none.
    pub(super) legacy_key: Option<Key>,
    pub(super) account: i64,
    /// Normalised.
    pub(super) email: String,
}

/// Adds those addresses that lead to no account yet.
pub(super) fn add(tx: &mut Tx<'_>, addresses: Vec<Further>) -> QueryResult<()> {
    let emails: Vec<&str> = addresses.iter().map(|further| further.email.as_str()).collect();
    let mut known = known(tx.db(), &emails)?;
    // What was added before and is not there any more, a customer has removed.
    if tx.is_again() {
        let removed = added(tx.db(), "account_emails")?.into_iter().filter_map(|key| email_of(&key));
        known.extend(removed);
    }
    let fresh: Vec<_> = addresses.into_iter().filter(|further| known.insert(further.email.clone())).collect();
    for some in fresh.chunks(1_000) {
        let row = |further: &Further| format!("({}, {})", literal(&further.email), further.account);
        let rows: Vec<String> = some.iter().map(row).collect();
        let sql = format!("INSERT INTO account_emails (email, account_id) VALUES {}", rows.join(", "));
        tx.execute_on("account_emails", some.len(), &sql)?;
        some.iter().filter_map(|further| further.unit).for_each(|unit| tx.touch(unit));
    }
    let change = |Further { legacy_key, account: account_id, email, .. }: Further| Change {
        table: "account_emails".into(),
        row: RowName::of_key(&columns!(email)),
        legacy_key,
        what: "added".into(),
        before: None,
        after: Some(columns!(email, account_id)),
    };
    tx.changed(fresh.into_iter().map(change).collect())
}
