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
    let fresh: Vec<&NewAccountEmail> = addresses.iter().filter(|one| known.insert(one.email.clone())).collect();
    let table = account_emails::table;
    match db {
        Db::Pg(pg) => fresh
            .chunks(1_000)
            .try_for_each(|some| diesel::insert_into(table).values(some.to_vec()).execute(pg).map(|_| ())),
        other => fresh
            .into_iter()
            .try_for_each(|address| diesel::insert_into(table).values(address).execute(other).map(|_| ())),
    }
}
