//! Verification of the sample: every corruption ends as the verdict that it deserves, and nothing that customers do is taken for one.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod migrated;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use replant_core::db::Backend;
use replant_core::{Difference, Verdict, diesel};

use migrated::Sample;
use world::{Target, postgres, sqlite};

/// What goes wrong, and what a verification says of it: the verdict, the table and the columns.
const CORRUPTED: &[(&str, &[&str])] = &[
    // A cent.
    (
        "UPDATE payments SET amount_minor = amount_minor + 1 WHERE id = {payments 0}",
        &["unexpected payments amount_minor"],
    ),
    (
        "UPDATE payments SET currency = CASE currency WHEN 'GBP' THEN 'EUR' ELSE 'GBP' END WHERE id = {payments 1}",
        &["unexpected payments currency"],
    ),
    // Swapped accounts.
    (
        "UPDATE payments SET account_id = (SELECT sum(account_id) FROM payments p WHERE p.id IN ({payments 2}, {payments 3})) - account_id \
           WHERE id IN ({payments 2}, {payments 3})",
        &["unexpected payments account_id", "unexpected payments account_id"],
    ),
    (
        "UPDATE payments SET paid_at = '2016-05-01 00:00:00.000000' WHERE id = {payments 4}",
        &["unexpected payments paid_at"],
    ),
    ("UPDATE payments SET method = 'paypal' WHERE id = {payments 5}", &["unexpected payments method"]),
    // A status is the site's to change.
    ("UPDATE payments SET status = 'pending' WHERE id = {payments 6}", &["changed_since payments status"]),
    // A dropped allocation, and one of a cent less.
    (
        "DELETE FROM payment_allocations WHERE (payment_id, invoice_id) = ({allocation 0})",
        &["removed_since payment_allocations "],
    ),
    (
        "UPDATE payment_allocations SET amount_minor = amount_minor + 1 WHERE (payment_id, invoice_id) = ({allocation 1})",
        &["unexpected payment_allocations amount_minor"],
    ),
    // A cut name.
    (
        "UPDATE accounts SET display_name = substr(display_name, 1, 1) WHERE id = {accounts 0}",
        &["changed_since accounts display_name"],
    ),
    (
        "UPDATE accounts SET created_at = '2016-01-01 00:00:00.000000' WHERE id = {accounts 1}",
        &["unexpected accounts created_at"],
    ),
    // Rows of nobody among our ids.
    (
        "INSERT INTO accounts (id, kind, email, display_name, marketing_consent, status, created_at, updated_at) VALUES \
           ({free accounts}, 'person', 'nobody@nowhere.example', 'Nobody', {false}, 'active', '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000')",
        &["unexplained accounts "],
    ),
    (
        "INSERT INTO plantings (id, account_id, project_id, kind, status, trees, planted_at) \
           SELECT {free plantings}, account_id, project_id, kind, status, trees, planted_at FROM plantings WHERE id = {plantings 1}",
        &["unexplained plantings "],
    ),
    // A deleted row.
    ("DELETE FROM plantings WHERE id = {plantings 0}", &["removed_since plantings "]),
    ("DELETE FROM credit_entries WHERE id = {credit_entries 0}", &["removed_since credit_entries "]),
    // A wrong merge target, and an account that was opened again by hand.
    ("UPDATE accounts SET merged_into = {accounts 2} WHERE id = {merged 0}", &["unexpected accounts merged_into"]),
    (
        "UPDATE plantings SET project_id = (SELECT max(id) FROM projects WHERE id <> plantings.project_id) WHERE id = {plantings 2}",
        &["unexpected plantings project_id"],
    ),
    ("UPDATE plantings SET cost_minor = cost_minor + 100 WHERE id = {dear 0}", &["unexpected plantings cost_minor"]),
    (
        "UPDATE plantings SET cost_minor = NULL, currency = NULL WHERE id = {dear 1}",
        &["unexpected plantings cost_minor,currency"],
    ),
    (
        "UPDATE plantings SET kind = CASE kind WHEN 'api' THEN 'gift' ELSE 'api' END WHERE id = {plantings 3}",
        &["unexpected plantings kind"],
    ),
    (
        "UPDATE plantings SET planted_at = '2016-05-01 00:00:00.000000', message = 'x' WHERE id = {plantings 4}",
        &["unexpected plantings message,planted_at"],
    ),
    ("UPDATE plantings SET account_id = {accounts 4} WHERE id = {plantings 5}", &["unexpected plantings account_id"]),
    (
        "UPDATE credit_entries SET delta_minor = -delta_minor WHERE id = {credit_entries 1}",
        &["unexpected credit_entries delta_minor"],
    ),
    (
        "UPDATE credit_entries SET account_id = {accounts 5} WHERE id = {credit_entries 2}",
        &["unexpected credit_entries account_id"],
    ),
    ("UPDATE credit_entries SET reason = 'promo' WHERE id = {credit_entries 3}", &["unexpected credit_entries reason"]),
    ("UPDATE refunds SET amount_minor = amount_minor + 1 WHERE id = {refunds 0}", &["unexpected refunds amount_minor"]),
    ("UPDATE refunds SET payment_id = {payments 7} WHERE id = {refunds 1}", &["unexpected refunds payment_id"]),
    ("UPDATE invoices SET total_minor = total_minor + 1 WHERE id = {invoices 0}", &["unexpected invoices total_minor"]),
    ("UPDATE invoices SET number = 'MT-999999999' WHERE id = {invoices 1}", &["unexpected invoices number"]),
    (
        "UPDATE subscriptions SET account_id = {accounts 6} WHERE id = {subscriptions 0}",
        &["unexpected subscriptions account_id"],
    ),
    (
        "UPDATE cross_charges SET trees = trees + 1, total_minor = total_minor + unit_price_minor WHERE id = {cross_charges 0}",
        &["unexpected cross_charges trees,total_minor"],
    ),
    ("UPDATE brands SET account_id = {accounts 7} WHERE id = {brands 0}", &["unexpected brands account_id"]),
    (
        "INSERT INTO project_species (project_id, species) VALUES ({projects 0}, 'By hand')",
        &["added_since project_species "],
    ),
    ("DELETE FROM account_emails WHERE email = {added}", &["removed_since account_emails "]),
];

/// What goes wrong with what holds rows together, and a part of what is said of it.
const LOOSENED: &[(&str, &str)] = &[
    (
        "ALTER TABLE plantings DROP CONSTRAINT plantings_brand_id_fkey;
         ALTER TABLE plantings ADD CONSTRAINT plantings_brand_id_fkey FOREIGN KEY (brand_id) REFERENCES brands NOT VALID",
        "`plantings_brand_id_fkey` of `plantings` is not validated",
    ),
    ("DROP INDEX accounts_one_per_email", "`accounts_one_per_email` of `accounts` is not there"),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'payments_account'::regclass", "`payments_account` of `payments` is not valid"),
    ("DROP INDEX refunds_payment", "`refunds_payment` of `refunds`, which was there when the migration began"),
    ("ALTER TABLE credit_entries DISABLE TRIGGER ALL", "`credit_entries_account_id_fkey` of `credit_entries` is not checked"),
    ("SELECT setval(pg_get_serial_sequence('invoices', 'id'), 1)", "the sequence of `invoices.id` stands at 1"),
];

const MERGED_ROW: &str =
    "SELECT max(legacy_key) AS id FROM replant_outcomes WHERE step = 'users.accounts' AND outcome = 'merged'";

/// Fills in which rows it is about: `{payments 3}`, the fourth of those of our ids.
fn about(sample: &Sample, sql: &str) -> String {
    let mut sql = sql.to_owned();
    let postgres = sample.target.url.backend() == Backend::Postgres;
    while let Some((before, rest)) = sql.split_once('{') {
        let (name, after) = rest.split_once('}').unwrap();
        let one = |sql: String| sample.ids(&sql)[0].to_string();
        let block = |table: &str, what: &str| {
            format!("(SELECT {what} FROM replant_id_blocks WHERE target_table = '{table}' AND handed_out = 'planned')")
        };
        let (what, n) = name.split_once(' ').unwrap_or((name, "0"));
        let value = match what {
            "false" => if postgres { "false" } else { "0" }.to_owned(),
            "added" => {
                let sql = "SELECT target_key AS line FROM replant_changes WHERE target_table = 'account_emails' AND what = 'added' ORDER BY id LIMIT 1";
                let key: serde_json::Value = serde_json::from_str(&sample.lines(sql)[0]).unwrap();
                replant_core::literal(key["email"].as_str().unwrap())
            }
            // The id of a row that was skipped or merged.
            "free" => one(format!(
                "SELECT i.id + 1 AS id FROM {n} i WHERE i.id >= {} AND NOT EXISTS (SELECT 1 FROM {n} o WHERE o.id = i.id + 1) AND i.id < {} ORDER BY 1 LIMIT 1",
                block(n, "min(first_id)"),
                block(n, "min(first_id + ids - 1)")
            )),
            "allocation" => {
                let sql = format!(
                    "SELECT payment_id || ', ' || invoice_id AS line FROM payment_allocations ORDER BY payment_id LIMIT 1 OFFSET {n}"
                );
                sample.lines(&sql).remove(0)
            }
            "dear" => one(format!(
                "SELECT id FROM plantings WHERE cost_minor IS NOT NULL AND id >= {} ORDER BY id LIMIT 1 OFFSET 2{n}",
                block("plantings", "min(first_id)")
            )),
            "merged" if n == "row" => one(MERGED_ROW.to_owned()),
            "merged" => {
                one(format!("SELECT id FROM accounts WHERE merged_into IS NOT NULL ORDER BY id LIMIT 1 OFFSET {n}"))
            }
            // Active ones, to which others may be led: far from each other.
            "accounts" => one(format!(
                "SELECT id FROM accounts WHERE id >= {} AND status = 'active' AND kind = 'person' ORDER BY id LIMIT 1 OFFSET 3{n}",
                block("accounts", "min(first_id)")
            )),
            // Payments without anything that a CHECK or another rule ties to them.
            "payments" => one(format!(
                "SELECT p.id FROM payments p WHERE p.id >= {} AND p.method = 'card' AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = p.id) \
                  AND NOT EXISTS (SELECT 1 FROM payment_allocations a WHERE a.payment_id = p.id) ORDER BY id LIMIT 1 OFFSET 1{n}",
                block("payments", "min(first_id)")
            )),
            // Far from the row that nobody has written.
            "plantings" => one(format!(
                "SELECT id FROM plantings WHERE id >= {} ORDER BY id LIMIT 1 OFFSET 90{n}",
                block("plantings", "min(first_id)")
            )),
            table => one(format!(
                "SELECT id FROM {table} WHERE id >= {} ORDER BY id LIMIT 1 OFFSET 1{n}",
                block(table, "min(first_id)")
            )),
        };
        sql = format!("{before}{value}{after}");
    }
    sql
}

fn lines(found: &[Difference]) -> Vec<String> {
    let mut lines: Vec<String> =
        found.iter().map(|one| format!("{} {} {}", one.verdict.as_str(), one.table, one.columns.join(","))).collect();
    lines.sort();
    lines
}

fn each_corruption_has_its_verdict(target: Target) {
    let sample = Sample::migrated(target);
    let (verified, found) = sample.verify();
    assert_eq!((lines(&found), verified.has_alarms()), (vec![], false), "{:?}", verified.findings);
    let mut expected: Vec<String> = Vec::new();
    for (sql, verdicts) in CORRUPTED {
        sample.site(&about(&sample, sql));
        expected.extend(verdicts.iter().map(|verdict| (*verdict).to_owned()));
    }
    expected.sort();
    let (verified, found) = sample.verify();
    assert_eq!(lines(&found), expected);
    assert!(verified.has_alarms() && !verified.is_stale());
    // Money apart: by currency, and by whom it is of.
    let apart: BTreeMap<(&str, &str), i128> = verified
        .money
        .iter()
        .filter(|money| money.written != money.stands)
        .map(|money| ((&*money.table, &*money.currency), money.stands - money.written))
        .collect();
    assert!(
        apart.keys().any(|(table, _)| *table == "payments")
            && apart.keys().any(|(table, _)| *table == "credit_entries"),
        "{apart:?}"
    );
    let swapped =
        verified.money.iter().filter(|money| money.table == "payments").map(|money| money.owners.len()).sum::<usize>();
    assert!(swapped >= 3, "{swapped} accounts have other payments than they should");

    // The ledger says that a row was merged into another account than the rules do.
    sample.site(&about(
        &sample,
        "UPDATE replant_outcomes SET target_id = {accounts 3} WHERE step = 'users.accounts' AND legacy_key = {merged row}",
    ));
    let (_, found) = sample.verify();
    let defects: Vec<&Difference> = found.iter().filter(|one| one.verdict == Verdict::Defect).collect();
    let [defect] = &defects[..] else { panic!("{defects:?}") };
    assert_eq!((&*defect.table, defect.legacy_key), ("accounts", Some(sample.ids(MERGED_ROW)[0])));
}

#[test]
fn each_corruption_has_its_verdict_on_sqlite() {
    each_corruption_has_its_verdict(sqlite());
}

#[test]
fn each_corruption_has_its_verdict_on_postgres() {
    let Some(target) = postgres() else { return };
    each_corruption_has_its_verdict(target);
}

#[test]
fn what_holds_rows_together_is_looked_at_too() {
    let Some(target) = postgres() else { return };
    let sample = Sample::migrated(target);
    for (sql, _) in LOOSENED {
        sample.site(sql);
    }
    let (verified, found) = sample.verify();
    assert_eq!(lines(&found), Vec::<String>::new());
    let said: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
    for (_, part) in LOOSENED {
        assert!(said.iter().any(|line| line.contains(part)), "{part}: {said:#?}");
    }
    assert!(verified.has_alarms());
}

/// What customers do to a row, by turns.
const EDITS: [&str; 5] = [
    "UPDATE accounts SET display_name = 'edited ' || id, updated_at = now() WHERE id = {id}",
    "UPDATE accounts SET locale = 'fr', phone = NULL WHERE id = {id}",
    "UPDATE plantings SET message = 'edited', status = 'planted' WHERE id = {id}",
    "UPDATE payments SET status = 'failed' WHERE id = {id}",
    "UPDATE plantings SET trees = trees + 1 WHERE id = {id}",
];

#[test]
fn what_customers_change_meanwhile_is_theirs() {
    let Some(target) = postgres() else { return };
    let sample = Sample::migrated(target);
    let ours = |table: &str, from: usize, more: &str| sample.ours(table, 200, from, more);
    let rows = [
        ours("accounts", 0, "AND locale IS DISTINCT FROM 'fr'"),
        ours("accounts", 200, "AND locale IS DISTINCT FROM 'fr'"),
        ours("plantings", 0, "AND message IS NULL"),
        ours("payments", 0, "AND status = 'succeeded'"),
        ours("plantings", 2_000, ""),
    ];
    let edited: usize = rows.iter().map(Vec::len).sum();
    assert_eq!(edited, 1_000);
    let over = AtomicBool::new(false);
    let mut site = sample.target.open();
    let (rows, ends) = (&rows, &over);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..200 {
                for (edit, ids) in EDITS.iter().zip(rows) {
                    site.batch_execute(&edit.replace("{id}", &ids[n].to_string())).unwrap();
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            ends.store(true, Ordering::SeqCst);
        });
        let mut looks = 0;
        while !over.load(Ordering::SeqCst) || looks == 0 {
            let (verified, found) = sample.verify();
            assert!(!verified.has_alarms() && !verified.is_stale(), "{:?}", lines(&found));
            assert!(found.iter().all(|one| one.verdict == Verdict::Changed), "{:?}", lines(&found));
            looks += 1;
        }
    });
    let (verified, found) = sample.verify();
    assert_eq!(found.len(), edited);
    assert!(!verified.has_alarms() && found.iter().all(|one| one.verdict == Verdict::Changed));
}
