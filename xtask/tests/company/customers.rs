//! What customers do on the new site between two states of the legacy database.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};
use replant_core::db::{Backend, Db};
use replant_core::diesel;

/// When they do it.
const AT: &str = "'2024-04-02 10:00:00.000000'";

/// Each of them does something to a part of the rows, whoever made them.
const CUSTOMERS: &[&str] = &[
    // They rename themselves, withdraw their consent, empty a field.
    "UPDATE accounts SET display_name = 'Renamed ' || id, updated_at = $AT WHERE id % 11 = 0 AND merged_into IS NULL",
    "UPDATE accounts SET marketing_consent = false, updated_at = $AT WHERE id % 7 = 1 AND marketing_consent AND merged_into IS NULL",
    "UPDATE accounts SET phone = NULL, updated_at = $AT WHERE id % 5 = 2 AND phone IS NOT NULL AND merged_into IS NULL",
    // They cancel a subscription.
    "UPDATE subscriptions SET status = 'cancelled', cancelled_at = $AT, next_billing_at = NULL WHERE status = 'active' AND id % 3 = 0",
    // They change and delete what they planted.
    "UPDATE plantings SET message = 'Changed' WHERE id % 13 = 0",
    "DELETE FROM plantings WHERE id % 17 = 0",
    // They are refunded, and spend credit.
    "INSERT INTO refunds (payment_id, amount_minor, reason, refunded_at)
     SELECT id, 1, 'refund', $AT FROM payments WHERE id % 19 = 0 AND status = 'succeeded' AND amount_minor > 1",
    "INSERT INTO credit_entries (account_id, currency, delta_minor, reason, occurred_at)
     SELECT id, 'GBP', -1, 'spend', $AT FROM accounts WHERE id % 23 = 0 AND merged_into IS NULL",
    // They plant and pay.
    "INSERT INTO payments (account_id, amount_minor, currency, method, gateway, gateway_ref, status, paid_at)
     SELECT id, 500, 'GBP', 'card', 'stripe', 'pi_late_' || id, 'succeeded', $AT FROM accounts WHERE id % 31 = 0 AND merged_into IS NULL",
    "INSERT INTO plantings (account_id, project_id, trees, kind, status, planted_at)
     SELECT a.id, (SELECT min(id) FROM projects), 3, 'purchase', 'pending', $AT FROM accounts a WHERE a.id % 37 = 0 AND merged_into IS NULL",
    // They are erased.
    "UPDATE accounts SET email = 'erased-' || id || '@invalid', display_name = 'Erased', given_name = NULL, family_name = NULL, phone = NULL,
            password_hash = NULL, marketing_consent = false, status = 'closed', updated_at = $AT WHERE id % 29 = 0 AND merged_into IS NULL",
];

pub(crate) fn go_on(db: &mut Db) {
    for sql in CUSTOMERS {
        db.batch_execute(&sql.replace("$AT", AT)).unwrap();
    }
}

/// Somebody signs up with each of some addresses.
pub(crate) fn sign_up(db: &mut Db, emails: &[String]) {
    let ids = match db.backend() {
        Backend::Postgres => "OVERRIDING SYSTEM VALUE",
        _ => "",
    };
    for (id, email) in (900_001..).zip(emails) {
        let email = replant_core::literal(email);
        db.batch_execute(&format!(
            "INSERT INTO accounts (id, kind, email, display_name, marketing_consent, status, created_at, updated_at) {ids}
             VALUES ({id}, 'person', {email}, 'Late', true, 'active', {AT}, {AT})"
        ))
        .unwrap();
    }
    if db.backend() == Backend::Postgres {
        db.batch_execute("SELECT setval('accounts_id_seq', 900100)").unwrap();
    }
}

#[derive(QueryableByName)]
struct Address {
    #[diesel(sql_type = Text)]
    email: String,
}

/// Addresses of users who are there now and were not before, and that no account has yet; and one of nobody.
pub(crate) fn addresses(now: &mut Db, before: &mut Db, platform: &mut Db) -> Vec<String> {
    let taken = "SELECT lower(email) AS email FROM accounts UNION SELECT email FROM account_emails";
    let taken: Vec<Address> = diesel::sql_query(taken).load(platform).unwrap();
    let read = |db: &mut Db| -> Vec<String> {
        let sql = "SELECT email FROM user WHERE email LIKE '%_@_%.com' AND email = lower(email) AND email NOT LIKE '% %' ORDER BY id";
        diesel::sql_query(sql).load::<Address>(db).unwrap().into_iter().map(|row| row.email).collect()
    };
    let was = read(before);
    let is_free = |email: &String| !was.contains(email) && !taken.iter().any(|taken| taken.email == *email);
    let mut fresh: Vec<String> = read(now).into_iter().filter(is_free).take(3).collect();
    fresh.push("nobody.before@trees.org".to_owned());
    fresh
}
