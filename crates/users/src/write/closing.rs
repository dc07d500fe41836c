//! Platform accounts of one person go into one: closed, their rows pointed at it (rules: Users, 3).

use std::fmt::Write as _;

use diesel::prelude::*;
use replant_core::Batch;
use replant_core::prelude::*;
use serde::Serialize;

/// Accounts that go into another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Closing {
    /// The account that stays.
    pub(crate) into: i64,
    /// The accounts that are closed.
    pub(crate) others: Vec<i64>,
    /// The legacy user for whose sake; none in a group without users.
    pub(crate) legacy_key: Option<Key>,
}

/// Every column that points to an account, but for `legacy_user_map`, which is a record, and `accounts.merged_into`,
/// which is set when an account is closed. A test holds the list against the catalogue.
pub(crate) const POINTERS: &[(&str, &str)] = &[
    ("brands", "account_id"),
    ("subscriptions", "account_id"),
    ("invoices", "account_id"),
    ("payments", "account_id"),
    ("plantings", "account_id"),
    ("plantings", "recipient_account_id"),
    ("credit_entries", "account_id"),
];

impl Closing {
    /// Closes the accounts of many groups with a few statements. They are of one form in PostgreSQL and in SQLite, where
    /// diesel has no common UPDATE ... FROM: raw SQL, of ids alone.
    pub(crate) fn apply<'a>(tx: &mut Tx<'_>, closings: impl Iterator<Item = &'a Self>) -> QueryResult<()> {
        let mut pairs = String::new();
        for closing in closings {
            for other in &closing.others {
                let key = closing.legacy_key.map_or("CAST(NULL AS bigint)".to_owned(), |key| key.to_string());
                let separator = if pairs.is_empty() { "" } else { ", " };
                write!(pairs, "{separator}({other}, {}, {key})", closing.into).expect("a string takes all");
            }
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let merged = format!("WITH merged (loser, winner, legacy_key) AS (VALUES {pairs})");
        let chunk = tx.chunk().map_or("NULL".to_owned(), |chunk| chunk.to_string());
        let step = tx.step().to_owned();
        let note = |table: &str, what: &str, before: &str, after: &str, from: &str| {
            format!(
                "{merged} INSERT INTO replant_changes (step, chunk_id, target_table, target_id, legacy_key, what, value_before, value_after) \
                 SELECT '{step}', {chunk}, '{table}', t.id, m.legacy_key, '{what}', {before}, {after} FROM {from}"
            )
        };
        let now = Instant(jiff::Timestamp::now());
        let mut run = |sql: String| diesel::sql_query(sql).execute(tx.db());

        // Of several active subscriptions to one plan the latest started stays: the platform admits one.
        let superseded = "FROM (SELECT s.id, first_value(s.id) OVER latest AS kept, first_value(s.started_at) OVER latest AS kept_since
               FROM subscriptions s LEFT JOIN merged m ON m.loser = s.account_id
              WHERE s.status = 'active' AND (m.loser IS NOT NULL OR s.account_id IN (SELECT winner FROM merged))
             WINDOW latest AS (PARTITION BY coalesce(m.winner, s.account_id), s.plan ORDER BY s.started_at DESC, s.id DESC)) p";
        run(note(
            "subscriptions",
            "superseded",
            "'{\"status\":\"active\"}'",
            "'{\"status\":\"cancelled\"}'",
            &format!(
                "(SELECT p.id, m.legacy_key {superseded} JOIN subscriptions s ON s.id = p.id LEFT JOIN merged m ON m.loser = s.account_id WHERE p.id <> p.kept) t CROSS JOIN (SELECT CAST(NULL AS bigint) AS legacy_key) m"
            ),
        ))?;
        run(format!(
            "{merged} UPDATE subscriptions SET status = 'cancelled', cancelled_at = p.kept_since {superseded} \
             WHERE subscriptions.id = p.id AND p.id <> p.kept"
        ))?;

        for (table, column) in POINTERS {
            let pointed = |to: &str| format!("'{{\"{column}\":' || {to} || '}}'");
            run(note(
                table,
                "repointed",
                &pointed("m.loser"),
                &pointed("m.winner"),
                &format!("{table} t JOIN merged m ON m.loser = t.{column}"),
            ))?;
            run(format!(
                "{merged} UPDATE {table} SET {column} = m.winner FROM merged m WHERE {table}.{column} = m.loser"
            ))?;
        }
        run(format!(
            "{merged} UPDATE account_emails SET account_id = m.winner FROM merged m WHERE account_emails.account_id = m.loser"
        ))?;
        run(format!(
            "{merged} UPDATE accounts SET merged_into = m.winner FROM merged m WHERE accounts.merged_into = m.loser"
        ))?;
        run(note(
            "accounts",
            "closed",
            "'{\"email\":\"' || replace(replace(t.email, '\\', '\\\\'), '\"', '\\\"') || '\",\"status\":\"' || t.status || '\"}'",
            "'{\"merged_into\":' || m.winner || ',\"status\":\"closed\"}'",
            "accounts t JOIN merged m ON m.loser = t.id",
        ))?;
        diesel::sql_query(format!(
            "{merged} UPDATE accounts SET status = 'closed', merged_into = m.winner, email = 'merged-' || accounts.id || '@invalid', \
             updated_at = {} FROM merged m WHERE accounts.id = m.loser",
            if matches!(tx.db(), replant_core::db::Db::Pg(_)) { "$1" } else { "?" }
        ))
        .bind::<Utc, _>(now)
        .execute(tx.db())?;
        Ok(())
    }
}

impl Write for Closing {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        batch.iter().for_each(|(unit, _)| tx.touch(unit));
        Self::apply(tx, batch.rows().iter())
    }
}
