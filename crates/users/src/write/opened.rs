//! Accounts that the migration opens.

use diesel::QueryResult;
use replant_core::Batch;
use replant_core::prelude::*;
use serde::Serialize;

use super::standing::{Lock, standing};
use crate::target::Account;

/// A new account. Where a replay writes it anew, the customer has had it meanwhile: one that was changed on the platform
/// since (its `updated_at` tells) keeps its values and takes what is NULL; the others become as they would be now, but for
/// their kind, which is their brands' doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Opened(pub(crate) Account);

impl Opened {
    fn over(&self, now: &Account) -> Account {
        let own = &self.0;
        if now.updated_at == own.updated_at && now.merged_into.is_none() {
            return Account { kind: now.kind.clone(), ..own.clone() };
        }
        let or = |theirs: &Option<String>, ours: &Option<String>| theirs.clone().or_else(|| ours.clone());
        Account {
            given_name: or(&now.given_name, &own.given_name),
            family_name: or(&now.family_name, &own.family_name),
            phone: or(&now.phone, &own.phone),
            country_code: or(&now.country_code, &own.country_code),
            locale: or(&now.locale, &own.locale),
            password_hash: or(&now.password_hash, &own.password_hash),
            created_at: now.created_at.min(own.created_at),
            last_seen_at: now.last_seen_at.or(own.last_seen_at),
            ..now.clone()
        }
    }
}

impl Write for Opened {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let (mut fresh, mut anew): (Batch<Account>, Batch<Account>) = (Batch::default(), Batch::default());
        let again: Vec<i64> = batch.iter().filter(|(unit, _)| tx.is_again(*unit)).map(|(_, row)| row.0.id).collect();
        let standing =
            if again.is_empty() { rustc_hash::FxHashMap::default() } else { standing(tx, &again, Lock::Values)? };
        for (unit, row) in batch.iter() {
            match standing.get(&row.0.id) {
                Some(now) => {
                    let account = row.over(now);
                    if account != *now {
                        anew.push(unit, account);
                    }
                }
                None => fresh.push(unit, row.0.clone()),
            }
        }
        tx.replace(&anew)?;
        tx.insert(&fresh)
    }
}
