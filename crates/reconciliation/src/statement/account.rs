//! The accounts of a person with their fields.

use std::collections::BTreeSet;

use diesel::prelude::*;
use replant_core::Instant;
use replant_core::db::{Db, MultiBackend};
use serde::Serialize;

use super::line::Source;
use crate::error::{Reading, ReportError};
use crate::known::Known;
use crate::schema::target::{account_emails as ae, accounts, brands as b, legacy_user_map as m};

/// Who opened an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Opened {
    /// A customer, since the launch.
    ByCustomer,
    /// The user migration before the launch.
    ByPreLaunchMigration,
    /// This migration.
    ByMigration,
}

/// An account as it stands. The password is not shown: whether there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the columns of the platform's table")]
pub struct AccountView {
    pub id: i64,
    pub opened: Opened,
    pub kind: String,
    pub status: String,
    pub merged_into: Option<i64>,
    pub email: String,
    /// The addresses that belong to it as well.
    pub other_emails: Vec<String>,
    pub display_name: String,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub phone: Option<String>,
    pub country_code: Option<String>,
    pub locale: Option<String>,
    pub has_password: bool,
    pub marketing_consent: bool,
    pub created_at: Instant,
    pub last_seen_at: Option<Instant>,
    pub updated_at: Instant,
    /// Its brands: name and how it pays.
    pub brands: Vec<String>,
    /// The legacy users behind it.
    pub source: Source,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = accounts, check_for_backend(MultiBackend))]
struct Row {
    id: i64,
    kind: String,
    email: String,
    display_name: String,
    given_name: Option<String>,
    family_name: Option<String>,
    phone: Option<String>,
    country_code: Option<String>,
    locale: Option<String>,
    password_hash: Option<String>,
    marketing_consent: bool,
    status: String,
    merged_into: Option<i64>,
    created_at: Instant,
    last_seen_at: Option<Instant>,
    updated_at: Instant,
}

/// The accounts, those that stand for themselves first, by id.
pub(super) fn accounts(
    target: &mut Db,
    known: &Known,
    wanted: &BTreeSet<i64>,
) -> Result<Vec<AccountView>, ReportError> {
    let ids: Vec<i64> = wanted.iter().copied().collect();
    let rows: Vec<Row> = accounts::table
        .filter(accounts::id.eq_any(ids.clone()))
        .select(Row::as_select())
        .load(target)
        .reading("accounts")?;
    let emails: Vec<(i64, String)> = ae::table
        .filter(ae::account_id.eq_any(ids.clone()))
        .order(ae::email)
        .select((ae::account_id, ae::email))
        .load(target)
        .reading("the other addresses of accounts")?;
    let brands: Vec<(i64, String, String)> = b::table
        .filter(b::account_id.eq_any(ids.clone()))
        .order(b::id)
        .select((b::account_id, b::name, b::billing_mode))
        .load(target)
        .reading("brands")?;
    let pre_launch: Vec<i64> =
        m::table.filter(m::account_id.eq_any(ids)).select(m::account_id).load(target).reading("legacy_user_map")?;
    let opened = |id: i64| {
        if pre_launch.contains(&id) {
            Opened::ByPreLaunchMigration
        } else if known.made("accounts", id) {
            Opened::ByMigration
        } else {
            Opened::ByCustomer
        }
    };
    let view = |row: Row| AccountView {
        opened: opened(row.id),
        other_emails: emails.iter().filter(|(id, _)| *id == row.id).map(|(_, email)| email.clone()).collect(),
        brands: brands
            .iter()
            .filter(|(id, ..)| *id == row.id)
            .map(|(_, name, billing)| format!("{name} (pays by {billing})"))
            .collect(),
        id: row.id,
        kind: row.kind,
        status: row.status,
        merged_into: row.merged_into,
        email: row.email,
        display_name: row.display_name,
        given_name: row.given_name,
        family_name: row.family_name,
        phone: row.phone,
        country_code: row.country_code,
        locale: row.locale,
        has_password: row.password_hash.is_some(),
        marketing_consent: row.marketing_consent,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
        updated_at: row.updated_at,
        source: Source::Native,
    };
    let mut views: Vec<AccountView> = rows.into_iter().map(view).collect();
    views.sort_by_key(|view| (view.merged_into.is_some(), view.id));
    Ok(views)
}
