//! Legacy users as they truly are, and what tells when they were first active.

use diesel::{Queryable, Selectable};
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::legacy::{finance_transaction, plantation, subscription, user};

/// A row of `user`.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = user, check_for_backend(MultiBackend))]
pub struct User {
    /// Primary key.
    pub id: Key,
    /// Free text; the identity of a person once it is normalised.
    pub email: Cell<String>,
    /// Given name.
    pub first_name: Cell<String>,
    /// Family name.
    pub last_name: Cell<String>,
    /// What others see.
    pub display_name: Cell<String>,
    /// Free text.
    pub phone: Cell<String>,
    /// Free text.
    pub country: Cell<String>,
    /// A locale, more or less.
    pub lang: Cell<String>,
    /// bcrypt, old md5, or rubbish.
    pub password: Cell<String>,
    /// `user`, `USER`, `brand`, `admin`, `test`, empty.
    #[serde(rename = "type")]
    pub kind: Cell<String>,
    /// Drifted away from the true credit years ago.
    pub credits: Cell<f32>,
    /// A flag.
    pub marketing_opt_in: Cell<String>,
    /// Not 0: deleted.
    pub deleted: Cell<i64>,
    /// London wall time.
    pub created_when: Cell<Wall>,
    /// London wall time.
    pub updated_when: Cell<Wall>,
    /// Three formats of a time, and rubbish.
    pub last_login: Cell<String>,
    /// Notes of the staff.
    pub notes: Cell<String>,
}

replant_core::legacy!(User => user, "user", key = id);

/// What identifies a user: the columns that decide about groups.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = user, check_for_backend(MultiBackend))]
pub(crate) struct Identifying {
    /// Primary key.
    pub id: Key,
    /// See [`User::email`].
    pub email: Cell<String>,
    /// See [`User::kind`].
    #[serde(rename = "type")]
    pub kind: Cell<String>,
}

replant_core::legacy!(Identifying => user, "user", key = id);

/// Something that a user did, with its time.
pub(crate) trait Activity: LegacyRow {
    /// The user.
    fn user(&self) -> Option<Key>;
    /// When, as stored.
    fn wall(&self) -> Option<Wall>;
    /// Whether the column is UTC (else London).
    const IS_UTC: bool = false;
}

macro_rules! activity {
    ($(#[$meta:meta])* $name:ident, $table:ident, $literal:literal, $when:ident, utc = $utc:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
        #[diesel(table_name = $table, check_for_backend(MultiBackend))]
        pub(crate) struct $name {
            id: Key,
            user_id: Cell<i64>,
            $when: Cell<Wall>,
        }

        replant_core::legacy!($name => $table, $literal, key = id);

        impl Activity for $name {
            fn user(&self) -> Option<Key> {
                self.user_id.reference("user_id").ok().flatten()
            }
            fn wall(&self) -> Option<Wall> {
                self.$when.good().copied()
            }
            const IS_UTC: bool = $utc;
        }
    };
}

activity!(
    /// When somebody planted.
    Planted, plantation, "plantation", planted_when, utc = false
);
activity!(
    /// When somebody paid.
    Paid, finance_transaction, "finance_transaction", tx_when, utc = true
);
activity!(
    /// When somebody subscribed.
    Subscribed, subscription, "subscription", started_when, utc = false
);
