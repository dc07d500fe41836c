//! Accounts as they will be.

use diesel::prelude::*;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::target::{account_emails, accounts, legacy_user_map};

/// A whole row of `accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = accounts, treat_none_as_default_value = false)]
pub struct Account {
    /// Primary key.
    pub id: i64,
    /// `person` or `brand`.
    pub kind: String,
    /// As the customer or a migration wrote it.
    pub email: String,
    /// 1 to 120 code points.
    pub display_name: String,
    /// Not empty.
    pub given_name: Option<String>,
    /// Not empty.
    pub family_name: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// `ll` or `ll-CC`.
    pub locale: Option<String>,
    /// bcrypt; NULL forces a reset.
    pub password_hash: Option<String>,
    /// Whether mail may be sent.
    pub marketing_consent: bool,
    /// `active` or `closed`.
    pub status: String,
    /// The account that it went into.
    pub merged_into: Option<i64>,
    /// Not before 2015.
    pub created_at: Instant,
    /// Last login.
    pub last_seen_at: Option<Instant>,
    /// Last change.
    pub updated_at: Instant,
}

replant_core::insert!(Account => accounts, together = [[status, merged_into]], secret = [password_hash], fixed = [created_at],
    successor = merged_into);

/// A further address of an account.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = account_emails, treat_none_as_default_value = false)]
pub struct NewAccountEmail {
    /// Normalised.
    pub email: String,
    /// Whose.
    pub account_id: i64,
}

replant_core::insert!(NewAccountEmail => account_emails);

/// What the pre-launch migration wrote into an account.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = legacy_user_map)]
pub(crate) struct Written {
    /// The account.
    pub account_id: i64,
    /// Its e-mail then.
    pub written_email: String,
    /// Its display name then.
    pub written_display_name: String,
    /// Its creation time then.
    pub written_created_at: Instant,
}
