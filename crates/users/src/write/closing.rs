//! Platform accounts of one person go into one: closed, their rows pointed at it (rules: Users, 3).

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Batch, Lock, Pointer, RowName, columns};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::target::Account;
use crate::write::address;
use crate::write::standing::{refuse_gone, standing};

/// Accounts that go into another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Closing {
    /// The account that stays.
    pub(crate) into: i64,
    /// The accounts that are closed.
    pub(crate) others: Vec<i64>,
    /// The legacy user for whose sake; none in a group without users.
    pub(crate) legacy_key: Option<Key>,
    /// Columns that point to accounts beside those that the migration knows, and that follow. Those of the settings: no part of
    /// what the legacy rows say.
    #[serde(skip)]
    pub(crate) followed: Arc<[Pointer]>,
}

/// Every column that points to an account, but for `legacy_user_map`, which is a record, and those that are seen to apart.
pub(crate) const POINTERS: &[(&str, &str)] = &[
    ("brands", "account_id"),
    ("subscriptions", "account_id"),
    ("invoices", "account_id"),
    ("payments", "account_id"),
    ("plantings", "account_id"),
    ("plantings", "recipient_account_id"),
    ("credit_entries", "account_id"),
];

/// Columns that point to an account and are seen to apart, or are a record.
pub(crate) const APART: &[(&str, &str)] =
    &[("accounts", "merged_into"), ("account_emails", "account_id"), ("legacy_user_map", "account_id")];

/// Of several active subscriptions of an account to one plan the latest started stays, a native one before those of the
/// migration (`OURS`; in a replay there are some): the platform admits one.
const SUPERSEDED: &str = "(SELECT s.id, m.legacy_key, s.started_at,
       first_value(s.id) OVER latest AS kept, first_value(s.started_at) OVER latest AS kept_since
  FROM (SELECT loser, winner, legacy_key FROM merged
        UNION ALL SELECT DISTINCT winner, winner, CAST(NULL AS bigint) FROM merged) m
  JOIN subscriptions s ON s.account_id = m.loser AND s.status = 'active'
WINDOW latest AS (PARTITION BY m.winner, s.plan ORDER BY CASE WHEN OURS THEN 1 ELSE 0 END, s.started_at DESC, s.id DESC))";

impl Closing {
    /// Closes the accounts of many groups with a few statements. They are of one form in PostgreSQL and in SQLite, where
    /// diesel has no common UPDATE ... FROM: raw SQL, made of ids alone. `standing`: all these accounts, locked.
    fn apply(tx: &mut Tx<'_>, closings: &[&Self], standing: &FxHashMap<i64, Account>) -> QueryResult<()> {
        let mut pairs = Vec::new();
        let mut addresses = Vec::new();
        for closing in closings {
            let own = standing.get(&closing.into).and_then(|account| clean::email(&account.email));
            for other in closing.others.iter().filter_map(|other| standing.get(other)) {
                // The platform may have merged it elsewhere meanwhile.
                if other.merged_into.is_none() {
                    let key = closing.legacy_key.map_or("NULL".to_owned(), |key| key.to_string());
                    let row = [&other.id.to_string(), &closing.into.to_string(), &key];
                    let row = row.map(|value| format!("CAST({value} AS bigint)"));
                    pairs.push(format!("({})", row.join(", ")));
                    let email = clean::email(&other.email).unwrap_or_else(|| other.email.to_lowercase());
                    // The addresses of the group's users are seen to with its account, which may have another one by now.
                    let is_legacy = tx.text_before("accounts", other.id, "email") == Some(&other.email);
                    if own.as_ref() != Some(&email) && !is_legacy {
                        let (legacy_key, account) = (closing.legacy_key, closing.into);
                        addresses.push(address::Further { unit: None, legacy_key, account, email });
                    }
                }
            }
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let merged = Merged::new(&pairs);
        merged.supersede(tx)?;
        merged.repoint(tx)?;
        if let Some(closing) = closings.first() {
            merged.repoint_further(tx, &closing.followed)?;
        }
        merged.close(tx, standing)?;
        address::add(tx, addresses)
    }

    /// The accounts that were closed for the sake of legacy users before, user by user.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn before(db: &mut Db, step: &str) -> QueryResult<FxHashMap<Key, Vec<i64>>> {
        let closed: Vec<ClosedBefore> = diesel::sql_query(format!(
            "SELECT legacy_key, target_id FROM replant_changes WHERE step = '{step}' AND target_table = 'accounts' \
             AND what = 'closed' AND legacy_key IS NOT NULL AND target_id IS NOT NULL ORDER BY id"
        ))
        .load(db)?;
        let mut before: FxHashMap<Key, Vec<i64>> = FxHashMap::default();
        for ClosedBefore { legacy_key, target_id } in closed {
            before.entry(legacy_key).or_default().push(target_id);
        }
        Ok(before)
    }

    /// What the platform had merged into an account that was closed since goes where that one went. No index leads from an
    /// account to those that went into it, so this is done once, when the step is finished.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn follow(tx: &mut Tx<'_>) -> QueryResult<()> {
        // Looked for without a lock: all accounts are gone through.
        let due: Vec<Pointing> = diesel::sql_query(format!(
            "SELECT a.id, a.merged_into AS loser, l.merged_into AS winner, CAST(NULL AS bigint) AS legacy_key \
             FROM accounts a JOIN accounts l ON a.merged_into = l.id \
             WHERE l.merged_into IS NOT NULL AND l.id IN \
             (SELECT target_id FROM replant_changes WHERE step = '{}' AND target_table = 'accounts' AND what = 'closed') \
             ORDER BY a.id",
            tx.step()
        ))
        .load(tx.db())?;
        let now = Instant::now();
        for some in due.chunks(1_000) {
            let sql = format!(
                "UPDATE accounts SET merged_into = l.merged_into, updated_at = '{}' FROM accounts l \
                 WHERE accounts.merged_into = l.id AND l.merged_into IS NOT NULL AND accounts.id IN ({})",
                now.as_sql(),
                listed(some)
            );
            tx.execute_on("accounts", some.len(), &sql)?;
        }
        tx.changed(due.iter().map(|row| row.repointed("accounts", "merged_into")).collect())
    }

    /// Closes the accounts of groups that have no user. A group whose account is gone meanwhile is left as it is.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn finish(tx: &mut Tx<'_>, closings: &[Self]) -> QueryResult<()> {
        // What was closed before is not locked: customers are at those that stay.
        let ids: Vec<i64> = closings.iter().flat_map(Self::accounts).collect();
        let standing = standing(tx, &ids, Lock::No)?;
        let open = |id: &i64| standing.get(id).is_some_and(|account| account.merged_into.is_none());
        let due: Vec<&Self> = closings.iter().filter(|closing| closing.others.iter().any(open)).collect();
        let standing = Self::locked(tx, &due)?;
        let due: Vec<&Self> = due.into_iter().filter(|closing| closing.stands(&standing)).collect();
        Self::apply(tx, &due, &standing)
    }

    /// The accounts of some groups, locked: those that go, and those that stay.
    fn locked(tx: &mut Tx<'_>, closings: &[&Self]) -> QueryResult<FxHashMap<i64, Account>> {
        let go: Vec<i64> = closings.iter().flat_map(|closing| closing.others.iter().copied()).collect();
        let stay: Vec<i64> = closings.iter().map(|closing| closing.into).collect();
        let mut locked = standing(tx, &go, Lock::Key)?;
        locked.extend(standing(tx, &stay, Lock::Values)?);
        Ok(locked)
    }

    fn accounts(&self) -> impl Iterator<Item = i64> + '_ {
        self.others.iter().copied().chain([self.into])
    }

    /// Whether the account that stays is there, and still stands for itself.
    fn stands(&self, standing: &FxHashMap<i64, Account>) -> bool {
        standing.get(&self.into).is_some_and(|account| account.merged_into.is_none())
    }
}

/// An account that was closed.
#[derive(QueryableByName)]
struct ClosedBefore {
    #[diesel(sql_type = BigInt)]
    legacy_key: Key,
    #[diesel(sql_type = BigInt)]
    target_id: i64,
}

/// A row that points to an account that goes into another one.
#[derive(QueryableByName)]
struct Pointing {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    loser: i64,
    #[diesel(sql_type = BigInt)]
    winner: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    legacy_key: Option<i64>,
}

impl Pointing {
    fn repointed(&self, table: &str, column: &str) -> Change {
        let columns = |account: i64| Some([(column.to_owned(), account.into())].into_iter().collect());
        Change {
            table: table.to_owned().into(),
            row: self.id.into(),
            legacy_key: self.legacy_key,
            what: "repointed".into(),
            before: columns(self.loser),
            after: columns(self.winner),
        }
    }
}

/// An address that leads to an account that goes into another one.
#[derive(QueryableByName)]
struct Leading {
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = BigInt)]
    loser: i64,
    #[diesel(sql_type = BigInt)]
    winner: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    legacy_key: Option<i64>,
}

/// A subscription that the platform would not admit beside another one.
#[derive(QueryableByName)]
struct Superseded {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    legacy_key: Option<i64>,
    #[diesel(sql_type = Utc)]
    cancelled_at: Instant,
}

fn listed(rows: &[Pointing]) -> String {
    rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>().join(", ")
}

/// Statements over accounts that are merged: the loser, the winner, and the legacy user for whose sake.
struct Merged {
    with: String,
}

impl Merged {
    /// Each a row of VALUES.
    fn new(pairs: &[String]) -> Self {
        Self { with: format!("WITH merged (loser, winner, legacy_key) AS (VALUES {})", pairs.join(", ")) }
    }

    /// Cancels what the platform would not admit of an account that takes in others.
    fn supersede(&self, tx: &mut Tx<'_>) -> QueryResult<()> {
        let superseded = SUPERSEDED.replace("OURS", &tx.ours()?.condition("subscriptions", "s.id"));
        let sql = format!(
            "{} SELECT t.id, t.legacy_key, CASE WHEN t.kept_since > t.started_at THEN t.kept_since ELSE t.started_at END AS \
             cancelled_at FROM {superseded} t WHERE t.id <> t.kept",
            self.with
        );
        let superseded: Vec<Superseded> = diesel::sql_query(sql).load(tx.db())?;
        let mut changes = Vec::new();
        for Superseded { id, legacy_key, cancelled_at } in superseded {
            let sql = format!(
                "UPDATE subscriptions SET status = 'cancelled', cancelled_at = '{}' WHERE id = {id} AND status = 'active'",
                cancelled_at.as_sql()
            );
            tx.execute_on("subscriptions", 1, &sql)?;
            let (table, what) = ("subscriptions".into(), "superseded".into());
            let before = columns!(status = "active", cancelled_at = None::<Instant>);
            let after = columns!(status = "cancelled", cancelled_at);
            changes.push(Change { table, row: id.into(), legacy_key, what, before: Some(before), after: Some(after) });
        }
        tx.changed(changes)
    }

    /// The rows of a table that point to losers.
    fn pointing(&self, tx: &mut Tx<'_>, table: &str, column: &str) -> QueryResult<Vec<Pointing>> {
        let Self { with } = self;
        let sql = format!(
            "{with} SELECT t.id, m.loser, m.winner, m.legacy_key FROM {table} t JOIN merged m ON m.loser = t.{column}"
        );
        diesel::sql_query(sql).load(tx.db())
    }

    /// Points at the winners what points to the losers. Of these tables some have no index that leads from an account to its rows,
    /// so they are looked for once and changed by their ids.
    fn repoint(&self, tx: &mut Tx<'_>) -> QueryResult<()> {
        for (table, column) in POINTERS {
            let pointing = self.pointing(tx, table, column)?;
            if pointing.is_empty() {
                continue;
            }
            let sql = format!(
                "{} UPDATE {table} SET {column} = m.winner FROM merged m WHERE {table}.{column} = m.loser AND {table}.id IN ({})",
                self.with,
                listed(&pointing)
            );
            tx.execute_on(table, pointing.len(), &sql)?;
            tx.changed(pointing.iter().map(|row| row.repointed(table, column)).collect())?;
        }
        let sql = format!(
            "{} SELECT t.email, m.loser, m.winner, m.legacy_key FROM account_emails t JOIN merged m ON m.loser = t.account_id",
            self.with
        );
        let leading: Vec<Leading> = diesel::sql_query(sql).load(tx.db())?;
        let sql = format!(
            "{} UPDATE account_emails SET account_id = m.winner FROM merged m WHERE account_emails.account_id = m.loser",
            self.with
        );
        tx.execute_on("account_emails", leading.len(), &sql)?;
        let change = |Leading { email, loser, winner, legacy_key }| Change {
            table: "account_emails".into(),
            row: RowName::of_key(&columns!(email)),
            legacy_key,
            what: "repointed".into(),
            before: Some(columns!(account_id = loser)),
            after: Some(columns!(account_id = winner)),
        };
        tx.changed(leading.into_iter().map(change).collect())
    }

    /// Points at the winners what points to the losers in columns that the migration does not know. What has no `id` cannot be
    /// noted row by row.
    fn repoint_further(&self, tx: &mut Tx<'_>, followed: &[Pointer]) -> QueryResult<()> {
        for pointer in followed {
            let (table, column) = (pointer.sql_table(), pointer.sql_column());
            let pointing = if pointer.has_id { self.pointing(tx, &table, &column)? } else { Vec::new() };
            let sql = format!(
                "{} UPDATE {table} AS t SET {column} = m.winner FROM merged m WHERE t.{column} = m.loser",
                self.with
            );
            tx.execute(&sql)?;
            tx.changed(pointing.iter().map(|row| row.repointed(&pointer.table, &pointer.column)).collect())?;
        }
        Ok(())
    }

    /// Closes the losers. `standing`: all these accounts, locked.
    fn close(&self, tx: &mut Tx<'_>, standing: &FxHashMap<i64, Account>) -> QueryResult<()> {
        let sql = format!("{} SELECT loser AS id, loser, winner, legacy_key FROM merged", self.with);
        let losers: Vec<Pointing> = diesel::sql_query(sql).load(tx.db())?;
        let now = Instant::now();
        let sql = format!(
            "{} UPDATE accounts SET status = 'closed', merged_into = m.winner, email = 'merged-' || accounts.id || '@invalid', \
             updated_at = '{}' FROM merged m WHERE accounts.id = m.loser",
            self.with,
            now.as_sql()
        );
        tx.execute_on("accounts", losers.len(), &sql)?;
        let change = |row: &Pointing| {
            let account = standing.get(&row.id)?;
            let before = columns!(
                email = account.email,
                status = account.status,
                merged_into = account.merged_into,
                updated_at = account.updated_at
            );
            let email = format!("merged-{}@invalid", row.id);
            let after = columns!(email, status = "closed", merged_into = row.winner, updated_at = now);
            let (table, what) = ("accounts".into(), "closed".into());
            let (before, after) = (Some(before), Some(after));
            Some(Change { table, row: row.id.into(), legacy_key: row.legacy_key, what, before, after })
        };
        tx.changed(losers.iter().filter_map(change).collect())
    }
}

impl Write for Closing {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let standing = Self::locked(tx, &batch.rows().iter().collect::<Vec<_>>())?;
        let mut due = Vec::with_capacity(batch.rows().len());
        for (unit, closing) in batch.iter() {
            if closing.stands(&standing) {
                tx.touch(unit);
                due.push(closing);
            } else {
                refuse_gone(tx, unit, closing.into, standing.get(&closing.into));
            }
        }
        Self::apply(tx, &due, &standing)
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Text;
    use replant_testkit::sqlite;

    use super::*;

    #[derive(QueryableByName, PartialEq, Eq, PartialOrd, Ord, Debug)]
    struct Found {
        #[diesel(sql_type = Text)]
        table: String,
        #[diesel(sql_type = Text)]
        column: String,
    }

    #[test]
    fn every_column_that_points_to_an_account_is_repointed() {
        let folder = tempfile::tempdir().unwrap();
        let mut db = sqlite::create(&folder.path().join("platform.db"));
        fixtures::PLATFORM.create(&mut db).unwrap();
        let mut found: Vec<Found> = diesel::sql_query(
            "SELECT m.name AS \"table\", f.\"from\" AS \"column\" FROM sqlite_master m \
             JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f.\"table\" = 'accounts'",
        )
        .load(&mut db)
        .unwrap();
        let known = |(table, column): &(&str, &str)| Found { table: (*table).to_owned(), column: (*column).to_owned() };
        let mut expected: Vec<Found> = POINTERS.iter().chain(APART).map(known).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}
