//! Who is behind an address: accounts and legacy users (rules: Users, 2 and 3).

use std::collections::BTreeSet;

use diesel::prelude::*;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::{Cell, Key};

use crate::error::ReportError;
use crate::known::Known;
use crate::read::{PAGE, Sources, pages};
use crate::schema::legacy::user as u;
use crate::schema::target::{account_emails as ae, accounts as a};

/// An address in the form in which addresses are compared: normalised, or where it is not valid, its text in one case.
pub(super) fn address(raw: &str) -> Option<String> {
    let text = clean::text(raw).value?;
    Some(clean::email_cleaned(&text).unwrap_or_else(|| clean::casefold(&text)))
}

/// A person: all that is theirs hangs on one of these.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// The address that was asked for, see [`address`].
    pub(super) address: String,
    /// Their accounts, those that went into another one included.
    pub(super) accounts: BTreeSet<i64>,
    /// Their legacy users, whatever became of them.
    pub(super) users: BTreeSet<Key>,
}

impl Person {
    pub(super) fn find(sources: &mut Sources<'_>, known: &Known, email: &str) -> Result<Self, ReportError> {
        let address = address(email).ok_or(ReportError::NobodyThere)?;
        let mut merged = Vec::new();
        let mut accounts = accounts(sources.target, &address, &mut merged)?;
        accounts.extend(by_other_addresses(sources.target, &address)?);
        let users = users(sources.legacy, &address)?;
        let mut moved = Vec::new();
        known.lineage(sources.target, "user", |row| {
            if let Some((_, account)) = row.targets.first() {
                moved.push((row.legacy_id, *account));
            }
        })?;
        let mut person = Self { address, accounts, users };
        person.complete(&merged, &moved);
        Ok(person)
    }

    /// Adds whoever belongs to somebody that is there already: accounts that went into one another, users of accounts.
    fn complete(&mut self, merged: &[(i64, i64)], moved: &[(Key, i64)]) {
        loop {
            let before = (self.accounts.len(), self.users.len());
            for (account, into) in merged {
                if self.accounts.contains(account) || self.accounts.contains(into) {
                    self.accounts.extend([*account, *into]);
                }
            }
            for (user, account) in moved {
                if self.accounts.contains(account) || self.users.contains(user) {
                    self.accounts.insert(*account);
                    self.users.insert(*user);
                }
            }
            if before == (self.accounts.len(), self.users.len()) {
                return;
            }
        }
    }
}

/// The accounts with an address. Which account went into which is added to `merged`.
fn accounts(target: &mut Db, address: &str, merged: &mut Vec<(i64, i64)>) -> Result<BTreeSet<i64>, ReportError> {
    let mut found = BTreeSet::new();
    pages(
        target,
        "the platform's accounts",
        |db, after| {
            let page = a::table.filter(a::id.gt(after)).order(a::id).limit(PAGE);
            page.select((a::id, a::email, a::merged_into)).load::<(i64, String, Option<i64>)>(db)
        },
        |row| row.0,
        |(id, email, into)| {
            merged.extend(into.map(|into| (id, into)));
            if self::address(&email).as_deref() == Some(address) {
                found.insert(id);
            }
        },
    )?;
    Ok(found)
}

fn by_other_addresses(target: &mut Db, address: &str) -> Result<Vec<i64>, ReportError> {
    use crate::error::Reading;
    let rows: Vec<(String, i64)> =
        ae::table.select((ae::email, ae::account_id)).load(target).reading("the other addresses of accounts")?;
    let theirs = rows.into_iter().filter(|(email, _)| self::address(email).as_deref() == Some(address));
    Ok(theirs.map(|(_, account)| account).collect())
}

fn users(legacy: &mut Db, address: &str) -> Result<BTreeSet<Key>, ReportError> {
    let mut found = BTreeSet::new();
    pages(
        legacy,
        "the legacy users' addresses",
        |db, after| {
            let page = u::table.filter(u::id.gt(after)).order(u::id).limit(PAGE);
            page.select((u::id, u::email)).load::<(Key, Cell<String>)>(db)
        },
        |row| row.0,
        |(id, email)| {
            if email.good().and_then(|email| self::address(email)).as_deref() == Some(address) {
                found.insert(id);
            }
        },
    )?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_the_migration_compares_them() {
        assert_eq!(address(" MAILTO:Amelia@GoogleMail.com. ").as_deref(), Some("amelia@gmail.com"));
        // One that is not valid can still be asked for as it stands.
        assert_eq!(address("Amelia@@x").as_deref(), Some("amelia@@x"));
        assert_eq!(address(" n/a "), None);
    }

    #[test]
    fn a_person_is_all_that_hangs_together() {
        let mut person = Person { users: [7].into(), ..Person::default() };
        // User 7 became account 70, into which 71 went; user 8 became 71 before; user 9 is somebody else.
        person.complete(&[(71, 70), (91, 90)], &[(8, 71), (7, 70), (9, 90)]);
        assert_eq!((person.accounts, person.users), ([70, 71].into(), [7, 8].into()));
    }
}
