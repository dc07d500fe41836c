//! Further addresses of accounts that were there before.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{RowName, UnitIndex, columns, literal};
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

/// Adds those addresses that lead to no account yet: each with its unit (if that is still to be touched), account and address.
pub(super) fn add(tx: &mut Tx<'_>, addresses: Vec<(Option<UnitIndex>, i64, String)>) -> QueryResult<()> {
    let emails: Vec<&str> = addresses.iter().map(|(.., email)| email.as_str()).collect();
    let mut known = known(tx.db(), &emails)?;
    let fresh: Vec<_> = addresses.into_iter().filter(|(.., email)| known.insert(email.clone())).collect();
    for some in fresh.chunks(1_000) {
        let row = |(_, account, email): &(Option<UnitIndex>, i64, String)| format!("({}, {account})", literal(email));
        let rows: Vec<String> = some.iter().map(row).collect();
        let sql = format!("INSERT INTO account_emails (email, account_id) VALUES {}", rows.join(", "));
        tx.execute_on("account_emails", some.len(), &sql)?;
        some.iter().filter_map(|(unit, ..)| *unit).for_each(|unit| tx.touch(unit));
    }
    let change = |(_, account_id, email): (Option<UnitIndex>, i64, String)| Change {
        table: "account_emails".into(),
        row: RowName::of_key(&columns!(email)),
        legacy_key: None,
        what: "added".into(),
        before: None,
        after: Some(columns!(email, account_id)),
    };
    tx.changed(fresh.into_iter().map(change).collect())
}
