//! One legacy user, read by the value rules: what it says for its group, and the repairs that reading it owes. And where values of a
//! person stand, so that one can be erased.

use std::borrow::Cow;

use jiff::Timestamp;
use reference::text;
use replant_clean::{self as clean, Snapshot};
use replant_core::Rows;
use replant_core::prelude::*;

use crate::codes::Repair;
use crate::identity::TEST_DOMAINS;
use crate::legacy::User;

/// Where a person's values stand.
pub(crate) const PERSON: replant_core::Person = replant_core::Person {
    address: "email",
    normal: clean::email,
    mark,
    kept: &["type"],
    held: &[
        (
            "accounts",
            &[
                "email",
                "display_name",
                "given_name",
                "family_name",
                "phone",
                "country_code",
                "locale",
                "password_hash",
                "last_seen_at",
            ],
        ),
        ("account_emails", &["email"]),
    ],
};

/// An address that nobody has (RFC 2606), and that says of a test account that it is one.
fn mark(address: &str, number: u64) -> String {
    let domain = TEST_DOMAINS.iter().find(|domain| address.ends_with(**domain));
    format!("{ERASED}{number:016x}{}", domain.unwrap_or(&"@erased.invalid"))
}

/// How a mark begins.
const ERASED: &str = "erased-";

/// Whether an address is a mark.
pub(crate) fn is_mark(address: &str) -> bool {
    address.starts_with(ERASED)
}

/// What a legacy user says.
#[derive(Debug)]
pub(crate) struct Person<'a> {
    pub(crate) key: Key,
    pub(crate) display_name: Option<Cow<'a, str>>,
    pub(crate) given_name: Option<Cow<'a, str>>,
    pub(crate) family_name: Option<Cow<'a, str>>,
    /// By the text rule; a number only once the region is known.
    pub(crate) phone: Option<Cow<'a, str>>,
    pub(crate) country: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) password_hash: Option<&'a str>,
    pub(crate) consent: Option<bool>,
    pub(crate) deleted: bool,
    pub(crate) created: Option<Timestamp>,
    pub(crate) updated: Option<Timestamp>,
    pub(crate) last_login: Option<Timestamp>,
}

impl<'a> Person<'a> {
    /// Reads a user; its e-mail is read by [`crate::identity::judge`].
    ///
    /// # Errors
    /// A cell that no rule speaks of.
    pub(crate) fn read<R: Rows>(
        user: &'a User,
        snapshot: Snapshot,
        countries: &clean::Countries,
        draft: &mut Draft<R>,
    ) -> Result<Self, Refusal> {
        let key = user.id;
        for (cell, column) in [(&user.email, "email"), (&user.kind, "type")] {
            text(cell, column, key, draft)?;
        }
        let country = text(&user.country, "country", key, draft)?;
        let code = country.as_deref().and_then(|name| countries.code(name)).map(str::to_owned);
        if let (Some(name), None) = (&country, &code) {
            draft.repair(key, clean::Repair::CountryUnknown, "country", name.to_string(), None);
        }
        let wall = |cell: &Cell<Wall>| cell.good().map(|wall| wall.0);
        Ok(Self {
            key,
            display_name: text(&user.display_name, "display_name", key, draft)?,
            given_name: text(&user.first_name, "first_name", key, draft)?,
            family_name: text(&user.last_name, "last_name", key, draft)?,
            phone: text(&user.phone, "phone", key, draft)?,
            country: code,
            locale: text(&user.lang, "lang", key, draft)?.as_deref().and_then(clean::locale),
            password_hash: password(user, draft)?,
            consent: text(&user.marketing_opt_in, "marketing_opt_in", key, draft)?.as_deref().and_then(clean::flag),
            deleted: user.deleted.read("deleted")?.is_some_and(|deleted| *deleted != 0),
            created: wall(&user.created_when).and_then(|wall| reference::created_when(wall, snapshot)),
            updated: wall(&user.updated_when).and_then(|wall| reference::known_london(wall, snapshot)),
            last_login: text(&user.last_login, "last_login", key, draft)?
                .as_deref()
                .and_then(|login| reference::last_login(login, snapshot)),
        })
    }

    /// Sorts the users of a group, the freshest first: by `updated_when`, unknown last, then by the highest key.
    pub(crate) fn freshest_first(people: &mut [Self]) {
        people.sort_unstable_by_key(|person| std::cmp::Reverse((person.updated, person.key)));
    }
}

/// The bcrypt hash of a user. A password is no text: it is taken as it stands or left behind.
fn password<'a, R: Rows>(user: &'a User, draft: &mut Draft<R>) -> Result<Option<&'a str>, Refusal> {
    let Some(password) = user.password.text("password")?.filter(|password| !password.is_empty()) else {
        return Ok(None);
    };
    let is_bcrypt = password.len() == 60 && ["$2a$", "$2b$", "$2y$"].iter().any(|kind| password.starts_with(kind));
    if is_bcrypt && password.is_ascii() {
        return Ok(Some(password));
    }
    // What stands there may be a password in plain text: it is not copied into the ledger.
    draft.repair(user.id, Repair::PasswordDropped, "password", None, None);
    Ok(None)
}
