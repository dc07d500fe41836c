//! Further addresses of accounts that were there before.

use diesel::prelude::*;
use replant_core::db::Db;
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
pub(super) fn add(db: &mut Db, addresses: &[NewAccountEmail]) -> QueryResult<()> {
    let emails: Vec<&str> = addresses.iter().map(|address| address.email.as_str()).collect();
    let mut known = known(db, &emails)?;
    for address in addresses.iter().filter(|address| known.insert(address.email.clone())) {
        diesel::insert_into(account_emails::table).values(address).execute(db)?;
    }
    Ok(())
}
