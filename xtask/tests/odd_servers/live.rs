//! Rows of the site with instants that hardly any program can hold: they stay as they are, and stop nothing.

use replant_core::diesel::connection::SimpleConnection;

use crate::{expected, migrate, number, restricted, words};

/// Of accounts and subscriptions of the site: a column, and the value that it is given.
const BEYOND: &[(&str, &str, &str)] = &[
    ("accounts", "last_seen_at", "infinity"),
    ("accounts", "updated_at", "20240-01-05 00:00:00+00"),
    ("subscriptions", "started_at", "-infinity"),
    ("subscriptions", "next_billing_at", "infinity"),
    ("payments", "paid_at", "infinity"),
];

/// Its place among them.
const UPDATED_AT: usize = 1;

#[test]
fn instants_beyond_every_calendar() {
    let Some((target, _)) = restricted() else { return };
    let mut db = target.open();
    for (table, column, value) in BEYOND {
        db.batch_execute(&format!("UPDATE {table} SET {column} = '{value}' WHERE id % 3 = 0")).unwrap();
    }
    let mut held = || -> Vec<i64> {
        let count =
            |(table, column, value)| format!("SELECT count(*) AS number FROM {table} WHERE {column} = '{value}'");
        BEYOND.iter().map(|&beyond| number(&mut db, &count(beyond)).unwrap()).collect()
    };
    let before = held();
    assert!(before.iter().all(|&rows| rows > 10), "{before:?}");
    let end = migrate(&target);
    assert!(end.status.success(), "{}", words(&end));
    let mut after = held();
    // An account that takes something over has been changed since.
    assert!(after[UPDATED_AT] > 10, "{after:?}");
    after[UPDATED_AT] = before[UPDATED_AT];
    assert_eq!(before, after);
    expected::assert_ends_as_expected(&mut db);
    expected::assert_money_as_expected(&mut db);
}
