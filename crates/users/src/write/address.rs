//! Further addresses of an account that was there before.

use diesel::prelude::*;
use replant_clean as clean;
use replant_core::Batch;
use replant_core::db::Db;
use replant_core::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::schema::target::{account_emails, accounts};
use crate::target::NewAccountEmail;

/// A normalised address of a group. It is written unless it is the account's own, or a further one already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Address {
    pub(crate) email: String,
    pub(crate) account_id: i64,
}

impl Write for Address {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let mut missing = Missing::read(tx.db(), batch.rows())?;
        let mut rows: Batch<NewAccountEmail> = Batch::default();
        for (unit, address) in batch.iter().filter(|(unit, _)| !tx.is_refused(*unit)) {
            if missing.take(address) {
                rows.push(unit, NewAccountEmail { email: address.email.clone(), account_id: address.account_id });
            }
        }
        tx.insert(&rows)
    }
}

/// Adds addresses at once, in a transaction that belongs to no unit or that no unit can be told apart in.
pub(crate) fn add(db: &mut Db, addresses: &[Address]) -> QueryResult<()> {
    let mut missing = Missing::read(db, addresses)?;
    for address in addresses.iter().filter(|address| missing.take(address)) {
        diesel::insert_into(account_emails::table)
            .values((account_emails::email.eq(&address.email), account_emails::account_id.eq(address.account_id)))
            .execute(db)?;
    }
    Ok(())
}

/// Tells which addresses are not there yet.
struct Missing {
    own: FxHashMap<i64, Option<String>>,
    known: FxHashSet<String>,
}

impl Missing {
    fn read(db: &mut Db, addresses: &[Address]) -> QueryResult<Self> {
        let mut missing = Self { own: FxHashMap::default(), known: FxHashSet::default() };
        for some in addresses.chunks(1_000) {
            let ids: Vec<i64> = some.iter().map(|address| address.account_id).collect();
            let own: Vec<(i64, String)> =
                accounts::table.filter(accounts::id.eq_any(ids)).select((accounts::id, accounts::email)).load(db)?;
            missing.own.extend(own.into_iter().map(|(id, email)| (id, clean::email(&email))));
            let emails: Vec<String> = some.iter().map(|address| address.email.clone()).collect();
            let known: Vec<String> = account_emails::table
                .filter(account_emails::email.eq_any(emails))
                .select(account_emails::email)
                .load(db)?;
            missing.known.extend(known);
        }
        Ok(missing)
    }

    /// Whether the address is to be written; only the first time.
    fn take(&mut self, address: &Address) -> bool {
        let own = self.own.get(&address.account_id).and_then(Option::as_ref);
        own != Some(&address.email) && self.known.insert(address.email.clone())
    }
}
