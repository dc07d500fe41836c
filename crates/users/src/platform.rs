//! The platform's accounts as they were before the first chunk: who opened each, and which addresses lead to it.

use compact_str::CompactString;
use diesel::connection::DefaultLoadingMode;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Marks, RowName, added, columns};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use tinystr::TinyAsciiStr;

use crate::person::is_mark;
use crate::schema::target::{account_emails, accounts, legacy_user_map};

/// Who opened an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Opened {
    /// A customer, since the launch.
    Native,
    /// The pre-launch user migration.
    PreLaunch,
}

/// What is kept of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlatformAccount {
    /// Its id.
    pub id: i64,
    /// Its e-mail as it stands.
    pub email: CompactString,
    /// Its country: the region of phone numbers without one. There are many accounts, so it takes three bytes.
    pub country: Option<TinyAsciiStr<2>>,
    /// The account that it went into before.
    pub merged_into: Option<i64>,
    /// Who opened it.
    pub opened: Opened,
    /// Which of its fields held something: a customer who has emptied one since wants it empty.
    pub held: Held,
}

/// Fields of an account that held something, a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held(u8);

impl Held {
    pub(crate) const GIVEN_NAME: u8 = 0;
    pub(crate) const FAMILY_NAME: u8 = 1;
    pub(crate) const PHONE: u8 = 2;
    pub(crate) const COUNTRY_CODE: u8 = 3;
    pub(crate) const LOCALE: u8 = 4;
    pub(crate) const PASSWORD_HASH: u8 = 5;
    pub(crate) const LAST_SEEN_AT: u8 = 6;

    /// In the order of the constants.
    fn of((given, family, phone, country, locale, password, seen): Fields) -> Self {
        let fields = [given, family, phone, country, locale, password, seen];
        Self((0..).zip(fields).map(|(bit, held)| u8::from(held) << bit).sum())
    }

    /// Whether a field held something.
    pub(crate) fn has(self, field: u8) -> bool {
        self.0 >> field & 1 == 1
    }
}

type Fields = (bool, bool, bool, bool, bool, bool, bool);

/// The platform's accounts, frozen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Platform {
    /// All accounts, by id.
    pub accounts: Vec<PlatformAccount>,
    /// `legacy_user_map`: legacy user and account.
    pub map: Vec<(i64, i64)>,
    /// `account_emails`: address and account.
    pub emails: Vec<(String, i64)>,
}

type Found = (i64, String, Option<String>, Option<i64>, Fields);

impl Frozen for Platform {
    const NAME: &'static str = "users.platform";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let map: Vec<(i64, i64)> = legacy_user_map::table
            .order(legacy_user_map::legacy_user_id)
            .select((legacy_user_map::legacy_user_id, legacy_user_map::account_id))
            .load(db)?;
        let pre_launch: FxHashSet<i64> = map.iter().map(|(_, account)| *account).collect();
        let opened = |id| if pre_launch.contains(&id) { Opened::PreLaunch } else { Opened::Native };
        let mut accounts = Vec::new();
        let mut take = |(id, email, country, merged_into, fields): Found| {
            if !ours.made("accounts", id) {
                let country = country.and_then(|code| code.parse().ok());
                let opened = opened(id);
                let (email, held) = (email.into(), Held::of(fields));
                accounts.push(PlatformAccount { id, email, country, merged_into, opened, held });
            }
        };
        let found = accounts::table.order(accounts::id).select((
            accounts::id,
            accounts::email,
            accounts::country_code,
            accounts::merged_into,
            (
                accounts::given_name.is_not_null(),
                accounts::family_name.is_not_null(),
                accounts::phone.is_not_null(),
                accounts::country_code.is_not_null(),
                accounts::locale.is_not_null(),
                accounts::password_hash.is_not_null(),
                accounts::last_seen_at.is_not_null(),
            ),
        ));
        // Half of the company's people: row by row, in one statement, so that each address is seen once.
        match &mut *db {
            Db::Pg(pg) => {
                found.load_iter::<Found, PgRowByRowLoadingMode>(pg)?.try_for_each(|row| row.map(&mut take))?;
            }
            other => found.load_iter::<Found, DefaultLoadingMode>(other)?.try_for_each(|row| row.map(&mut take))?,
        }
        accounts.shrink_to_fit();
        let emails = account_emails::table.order(account_emails::email);
        let mut emails: Vec<(String, i64)> =
            emails.select((account_emails::email, account_emails::account_id)).load(db)?;
        // Those of the migration's own making say nothing that the legacy users do not say.
        let added: FxHashSet<String> = added(db, "account_emails")?.into_iter().collect();
        emails.retain(|(email, _)| !added.contains(&key_of(email)));
        Ok(Self { accounts, map, emails })
    }

    /// Accounts, entries and addresses that were not there.
    fn extend(&mut self, now: Self) {
        let known: FxHashSet<i64> = self.accounts.iter().map(|account| account.id).collect();
        self.accounts.extend(now.accounts.into_iter().filter(|account| !known.contains(&account.id)));
        self.accounts.sort_unstable_by_key(|account| account.id);
        let known: FxHashSet<i64> = self.map.iter().map(|(user, _)| *user).collect();
        self.map.extend(now.map.into_iter().filter(|(user, _)| !known.contains(user)));
        let known: FxHashSet<String> = self.emails.iter().map(|(email, _)| email.clone()).collect();
        self.emails.extend(now.emails.into_iter().filter(|(email, _)| !known.contains(email)));
    }

    /// Addresses become marks, the same ones as in legacy rows. One that leads to the account of somebody who was erased before is
    /// left out: its mark stands here since.
    fn erase(&mut self, marks: &Marks) {
        for account in &mut self.accounts {
            if let Some(mark) = marks.address(&account.email).or_else(|| marks.row("accounts", account.id)) {
                account.email = mark.into();
            }
        }
        for (email, _) in &mut self.emails {
            if let Some(mark) = marks.address(email) {
                mark.clone_into(email);
            }
        }
        let is_left = |email: &str, account| is_mark(email) || marks.row("accounts", account).is_none();
        self.emails.retain(|(email, account)| is_left(email, *account));
        self.emails.dedup();
    }
}

/// An address as the ledger names its row.
fn key_of(email: &str) -> String {
    match RowName::of_key(&columns!(email)) {
        RowName::Key(key) => key,
        RowName::Id(_) => unreachable!("an address has no id"),
    }
}

impl Platform {
    /// The account that stands for `id`: itself, or the one that it went into, however often.
    pub(crate) fn standing_for(&self, id: i64) -> i64 {
        let mut at = id;
        // As many steps as accounts at the most: the platform does not forbid a circle.
        for _ in 0..self.accounts.len() {
            let found = self.accounts.binary_search_by_key(&at, |account| account.id);
            match found.ok().and_then(|place| self.accounts[place].merged_into) {
                Some(into) => at = into,
                None => return at,
            }
        }
        id
    }
}

/// Written values of the pre-launch migration, by account.
pub(crate) type WrittenBy = FxHashMap<i64, Vec<crate::target::Written>>;
