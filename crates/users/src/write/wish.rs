//! What a group wishes of the account that it has: the customer's values win, whatever they did since.

use diesel::prelude::*;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Amending, Amendment, Batch, Lock, UnitIndex};
use serde::Serialize;

use crate::platform::{Held, WrittenBy};
use crate::schema::target::legacy_user_map;
use crate::target::{Account, Written};
use crate::write::address;
use crate::write::standing::standing_alone;

/// Values for an account that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Wish {
    pub(crate) account: i64,
    pub(crate) pre_launch: bool,
    /// Fields of the account that held something when the migration began.
    pub(crate) held: Held,
    /// The legacy users whose values the pre-launch migration wrote into it.
    pub(crate) written: Vec<Key>,
    pub(crate) legacy_key: Key,
    pub(crate) display_name: String,
    pub(crate) given_name: Option<String>,
    pub(crate) family_name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) country_code: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) password_hash: Option<String>,
    pub(crate) created_at: Instant,
    pub(crate) last_seen_at: Option<Instant>,
    /// The normalised addresses of the group. They lead to the account: those that are not its own are written.
    pub(crate) emails: Vec<String>,
}

impl Wish {
    /// The account as it is to be, given how it stands now and what the pre-launch migration had written into it.
    fn granted(&self, now: &Account, written: &[Written]) -> Account {
        let mut account = now.clone();
        let fill = |field: u8, own: &mut Option<String>, wish: &Option<String>| {
            if own.is_none() && !self.held.has(field) {
                own.clone_from(wish);
            }
        };
        fill(Held::GIVEN_NAME, &mut account.given_name, &self.given_name);
        fill(Held::FAMILY_NAME, &mut account.family_name, &self.family_name);
        fill(Held::PHONE, &mut account.phone, &self.phone);
        fill(Held::COUNTRY_CODE, &mut account.country_code, &self.country_code);
        fill(Held::LOCALE, &mut account.locale, &self.locale);
        fill(Held::PASSWORD_HASH, &mut account.password_hash, &self.password_hash);
        if !self.held.has(Held::LAST_SEEN_AT) {
            account.last_seen_at = account.last_seen_at.or(self.last_seen_at);
        }
        if !self.pre_launch {
            account.created_at = account.created_at.min(self.created_at);
            return account;
        }
        if written.iter().any(|w| w.written_email == now.email) {
            account.email = clean::email(&now.email).unwrap_or(account.email);
        }
        if written.iter().any(|w| w.written_display_name == now.display_name) {
            account.display_name.clone_from(&self.display_name);
        }
        if written.iter().any(|w| w.written_created_at == now.created_at) {
            account.created_at = self.created_at;
        }
        account
    }
}

impl Write for Wish {
    fn place(&self) -> i64 {
        self.account
    }

    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let written = written(tx.db(), batch.rows())?;
        let amendment = |(unit, wish): (UnitIndex, &Self)| {
            // The e-mail of a native account stays as it is.
            let lock = if wish.pre_launch { Lock::Key } else { Lock::Values };
            Amendment { unit, id: wish.account, legacy_key: Some(wish.legacy_key), lock }
        };
        let rows: Vec<Amendment> = batch.iter().map(amendment).collect();
        let mut addresses = Vec::new();
        tx.amend(FILLED, &rows, &mut |place, found: Option<Account>| {
            let wish = &batch.rows()[place];
            let account = standing_alone(wish.account, found)?;
            let wished = wish.granted(&account, written.get(&wish.account).map_or(&[], Vec::as_slice));
            let own = clean::email(&wished.email);
            let further = wish.emails.iter().filter(|email| own.as_ref() != Some(*email));
            addresses.extend(further.map(|email| (rows[place], email.as_str())));
            Ok(wished)
        })?;
        addresses.retain(|(of, _)| !tx.is_refused(of.unit));
        let further = addresses.into_iter().map(|(Amendment { unit, id, legacy_key, .. }, email)| address::Further {
            unit: Some(unit),
            legacy_key,
            account: id,
            email: email.to_owned(),
        });
        address::add(tx, further.collect())
    }
}

/// A change of the account as the platform notes it.
const FILLED: Amending = Amending { what: "filled", stamp: Some("updated_at") };

/// What the pre-launch migration had written, read by its key: no index leads from an account to it.
fn written(db: &mut Db, wishes: &[Wish]) -> QueryResult<WrittenBy> {
    let mut written = WrittenBy::default();
    let users: Vec<Key> = wishes.iter().flat_map(|wish| wish.written.iter().copied()).collect();
    for some in users.chunks(1_000) {
        let wanted = legacy_user_map::table.filter(legacy_user_map::legacy_user_id.eq_any(some.to_vec()));
        let found: Vec<Written> = wanted.select(Written::as_select()).load(db)?;
        for entry in found {
            written.entry(entry.account_id).or_default().push(entry);
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant(text.parse().unwrap())
    }

    fn account() -> Account {
        Account {
            id: 7,
            kind: "person".into(),
            email: "mailto:Ann@Example.org".into(),
            display_name: "Ann".into(),
            given_name: None,
            family_name: Some("Own".into()),
            phone: None,
            country_code: None,
            locale: None,
            password_hash: None,
            marketing_consent: true,
            status: "active".into(),
            merged_into: None,
            created_at: at("2024-01-16T03:00:00Z"),
            last_seen_at: None,
            updated_at: at("2024-01-16T03:00:00Z"),
        }
    }

    fn wish(pre_launch: bool) -> Wish {
        Wish {
            account: 7,
            pre_launch,
            held: Held::default(),
            written: vec![1],
            legacy_key: 1,
            display_name: "Ann Legacy".into(),
            given_name: Some("Ann".into()),
            family_name: Some("Legacy".into()),
            phone: None,
            country_code: Some("GB".into()),
            locale: None,
            password_hash: None,
            created_at: at("2018-05-05T00:00:00Z"),
            last_seen_at: Some(at("2023-01-01T00:00:00Z")),
            emails: Vec::new(),
        }
    }

    fn as_written(name: &str) -> Written {
        Written {
            account_id: 7,
            written_email: "mailto:Ann@Example.org".into(),
            written_display_name: name.into(),
            written_created_at: at("2024-01-16T03:00:00Z"),
        }
    }

    #[test]
    fn a_native_account_keeps_its_values_and_the_earlier_creation() {
        let granted = wish(false).granted(&account(), &[]);
        assert_eq!(granted.email, "mailto:Ann@Example.org");
        assert_eq!(granted.display_name, "Ann");
        assert_eq!(granted.given_name.as_deref(), Some("Ann"));
        assert_eq!(granted.family_name.as_deref(), Some("Own"));
        assert_eq!(granted.country_code.as_deref(), Some("GB"));
        assert_eq!(granted.created_at, at("2018-05-05T00:00:00Z"));
        let later = Wish { created_at: at("2024-02-01T00:00:00Z"), ..wish(false) };
        assert_eq!(later.granted(&account(), &[]).created_at, at("2024-01-16T03:00:00Z"));
    }

    #[test]
    fn a_pre_launch_account_is_repaired_where_nobody_changed_it() {
        let granted = wish(true).granted(&account(), &[as_written("Ann")]);
        assert_eq!(granted.email, "ann@example.org");
        assert_eq!(granted.display_name, "Ann Legacy");
        assert_eq!(granted.created_at, at("2018-05-05T00:00:00Z"));
        assert_eq!(granted.last_seen_at, Some(at("2023-01-01T00:00:00Z")));
        assert!(granted.marketing_consent);
    }

    #[test]
    fn what_a_customer_changed_since_launch_stays() {
        let granted = wish(true).granted(&account(), &[as_written("Somebody else")]);
        assert_eq!(granted.display_name, "Ann");
        let moved = Account { email: "new@example.org".into(), ..account() };
        assert_eq!(wish(true).granted(&moved, &[as_written("Ann")]).email, "new@example.org");
    }
}
