//! Further addresses of accounts that were there before.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::literal;
use replant_core::prelude::*;
use rustc_hash::FxHashSet;

use crate::schema::target::account_emails;
use crate::target::NewAccountEmail;

/// Those of normalised addresses that lead to an account already.
pub(super) fn known(db: &mut Db, emails: &[&str]) -> QueryResult<FxHashSet<String>> {
    let mut known = FxHashSet::default();
    for some in emails.chunks(1_000) {
        let wanted = account_emails::table.filter(account_emails::email.eq_any(some.to_vec()));
        let found: Vec<String> = wanted.select(account_emails::email).load(db)?;
        known.extend(found);
    }
    Ok(known)
}

/// Adds those addresses that lead to no account yet.
pub(super) fn add(tx: &mut Tx<'_>, addresses: &[NewAccountEmail]) -> QueryResult<()> {
    let emails: Vec<&str> = addresses.iter().map(|address| address.email.as_str()).collect();
    let mut known = known(tx.db(), &emails)?;
    let fresh: Vec<&NewAccountEmail> = addresses.iter().filter(|one| known.insert(one.email.clone())).collect();
    for some in fresh.chunks(1_000) {
        let row = |address: &&NewAccountEmail| format!("({}, {})", literal(&address.email), address.account_id);
        let rows: Vec<String> = some.iter().map(row).collect();
        let sql = format!("INSERT INTO account_emails (email, account_id) VALUES {}", rows.join(", "));
        tx.execute_on("account_emails", some.len(), &sql)?;
    }
    Ok(())
}
