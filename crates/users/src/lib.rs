#![doc = include_str!("../README.md")]

mod codes;
mod emails;
mod identity;
mod inspect;
mod legacy;
mod person;
mod platform;
mod schema;
mod sharing;
mod target;
mod transform;
mod write;

use std::sync::Arc;

use diesel::QueryResult;
use reference::Countries;
use replant_clean::Snapshot;
use replant_core::prelude::*;
use replant_core::{Person, shape_of};

use crate::identity::{Group, Identity};
use crate::schema::legacy as from;
use crate::schema::target as to;
use crate::transform::Lookups;
use crate::write::{Closing, Wish};

pub use crate::emails::{EmailOwner, Emails};
pub use crate::legacy::User;
pub use crate::target::{Account, NewAccountEmail};

/// The domain.
pub fn domain() -> Domain {
    Domain::new("users").step::<Accounts>()
}

replant_core::rows! {
    /// What a chunk of users writes. Accounts are closed first: that frees their e-mails.
    pub struct Rows { closings: Closing, wishes: Wish, accounts: Account }
}

/// Legacy users to accounts.
pub struct Accounts;

impl Step for Accounts {
    const NAME: &'static str = "users.accounts";
    const ABOUT: &'static str =
        "users become accounts; duplicates and the accounts that customers opened are consolidated";
    const AFTER: &'static [&'static str] = &[];
    const TARGET: &'static str = "accounts";
    const INDEXES: &'static [UniqueIndex] = &[ONE_PER_EMAIL];
    const CHANGES: &'static [(&'static str, &'static [Right])] = &[
        ("account_emails", &[Right::Insert, Right::Update]),
        ("brands", &[Right::Update]),
        ("subscriptions", &[Right::Update]),
        ("invoices", &[Right::Update]),
        ("payments", &[Right::Update]),
        ("plantings", &[Right::Update]),
        ("credit_entries", &[Right::Update]),
    ];
    const MERGED: Option<&'static str> = Some(codes::DUPLICATE_EMAIL);
    const PERSON: Option<Person> = Some(person::PERSON);
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; the lowest id of a group is the migrated one")),
        ("email", Fate::Moved("accounts.email, account_emails.email")),
        ("first_name", Fate::Moved("accounts.given_name")),
        ("last_name", Fate::Moved("accounts.family_name")),
        ("display_name", Fate::Moved("accounts.display_name")),
        ("phone", Fate::Moved("accounts.phone")),
        ("country", Fate::Moved("accounts.country_code")),
        ("lang", Fate::Moved("accounts.locale")),
        ("password", Fate::Moved("accounts.password_hash")),
        ("type", Fate::Derived("test accounts are skipped; an account's kind comes from its brands")),
        (
            "credits",
            Fate::Dropped("it drifted from the credit entries, which are the truth; the reconciliation compares them"),
        ),
        ("marketing_opt_in", Fate::Moved("accounts.marketing_consent")),
        ("deleted", Fate::Moved("accounts.status")),
        ("created_when", Fate::Moved("accounts.created_at")),
        ("updated_when", Fate::Derived("which user of a group is the freshest; the creation time of last resort")),
        ("last_login", Fate::Moved("accounts.last_seen_at")),
        ("notes", Fate::Dropped("notes of the staff, for which the platform has no place")),
    ];

    type Legacy = User;
    type Lookups = Lookups;
    type Rows = Rows;

    fn reads() -> Vec<TableShape> {
        vec![
            shape_of::<from::plantation::table>("plantation"),
            shape_of::<from::finance_transaction::table>("finance_transaction"),
            shape_of::<from::subscription::table>("subscription"),
        ]
    }

    fn writes() -> Vec<TableShape> {
        vec![
            shape_of::<to::accounts::table>("accounts"),
            shape_of::<to::account_emails::table>("account_emails"),
            shape_of::<to::legacy_user_map::table>("legacy_user_map"),
            reference::countries_shape(),
        ]
    }

    fn inspect(cx: &mut Inspect<'_>) -> QueryResult<Vec<Finding>> {
        inspect::inspect(cx)
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let before = cx.before()?;
        Ok(Lookups {
            followed: cx.followed("accounts")?.into(),
            identity: Identity::build(cx)?,
            countries: cx.lookup::<Countries>()?,
            plan: cx.plan(),
            snapshot: Snapshot(cx.snapshot()),
            first_written: cx.first_written(|| Ok(Arc::clone(&before)))?,
            before,
            closed: cx.target("replant_changes", |db| Closing::before(db, Self::NAME))?,
        })
    }

    fn followers(lookups: &Lookups) -> Option<&Followers> {
        Some(&lookups.identity.followers)
    }

    fn transform(lookups: &Lookups, unit: &Unit<'_, User>, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
        transform::transform(lookups, unit, draft)
    }

    fn finish_parts(lookups: &Lookups) -> u64 {
        // The last one follows accounts that the platform had merged before.
        lookups.identity.count_without_users().div_ceil(GROUPS) as u64 + 1
    }

    fn finish_part(lookups: &Lookups, part: u64, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        let first = usize::try_from(part).unwrap_or(usize::MAX).saturating_mul(GROUPS);
        let closing = |group: Group<'_>| Closing {
            into: group.account.id,
            others: group.others,
            legacy_key: None,
            followed: Arc::clone(&lookups.followed),
        };
        let closings: Vec<Closing> =
            lookups.identity.without_users(first..first.saturating_add(GROUPS)).map(closing).collect();
        match closings.is_empty() {
            false => Closing::finish(tx, &closings)?,
            true => Closing::follow(tx)?,
        }
        Ok(())
    }

    fn make_unique(lookups: &Lookups, _: &UniqueIndex, tx: &mut Tx<'_>) -> Result<u64, FinishError> {
        Ok(write::newcomers(lookups, tx)?)
    }
}

/// Groups of platform accounts alone that are consolidated in one transaction.
const GROUPS: usize = 200;

/// The index that the platform asks for once duplicates are consolidated.
const ONE_PER_EMAIL: UniqueIndex = UniqueIndex {
    name: "accounts_one_per_email",
    table: "accounts",
    on: &["lower(email)"],
    only: Some("merged_into IS NULL"),
    shared: "live accounts share an e-mail but for its case",
    remedy: "give each its own address on the platform, or merge them",
};
