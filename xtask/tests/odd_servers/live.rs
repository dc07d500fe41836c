//! What the site has of its own: instants that hardly any program can hold, and triggers.

use std::time::Duration;

use replant_core::diesel::connection::SimpleConnection;

use crate::world::Target;
use crate::{assert_ends_as_ordinary, eventually, expected, migrate, number, program, restricted, words};

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

/// Rows that the ledger calls migrated and that are not where it says.
const NOWHERE: &str = "replant.replant_outcomes o LEFT JOIN {table} t ON t.id = o.target_id
    WHERE o.target_table = '{table}' AND t.id IS NULL";

#[test]
fn a_trigger_that_drops_rows() {
    let Some((target, _)) = restricted() else { return };
    let mut db = target.open();
    let dropped =
        [("plantings", "trees % 10 = 3"), ("payments", "amount_minor % 10 = 7"), ("refunds", "amount_minor % 10 = 0")];
    for (table, rows) in dropped {
        db.batch_execute(&format!(
            "CREATE FUNCTION no_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.{rows} THEN RETURN NULL; END IF; RETURN NEW; END $$;
             CREATE TRIGGER no_{table} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no_{table}()"
        ))
        .unwrap();
    }
    let mut count = |sql: &str| number(&mut db, &format!("SELECT count(*) AS number FROM {sql}")).unwrap();
    let before: Vec<i64> = dropped.iter().map(|(table, rows)| count(&format!("{table} WHERE {rows}"))).collect();
    let end = migrate(&target);
    assert!(end.status.success(), "{}", words(&end));
    for ((table, rows), before) in dropped.into_iter().zip(before) {
        assert_eq!(count(&format!("{table} WHERE {rows}")), before, "{table}");
        let reason = format!("replant.replant_quarantine WHERE reason LIKE '%of `{table}`%'");
        assert!(count(&reason) > 0, "nothing waits for {table}");
        assert_eq!(count(&NOWHERE.replace("{table}", table)), 0, "{table}");
    }
    // Every legacy row has one end.
    let all = "replant.replant_chunks WHERE state <> 'done' OR rows_read <> migrated + merged + skipped + quarantined";
    assert_eq!(count(all), 0);
    // And all money.
    let money = words(&program(&["status", "--money", "--env", "local"], &target).output().unwrap());
    let is_currency = |word: &str| word.len() == 3 && word.bytes().all(|letter| letter.is_ascii_uppercase());
    // A table, a currency, its flows, and whether they close.
    let flows = money.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(is_currency));
    let closed: Vec<bool> = flows.map(|line| line.trim_end().ends_with("yes")).collect();
    assert!(closed.len() > 5 && closed.iter().all(|closed| *closed), "{money}");
}

/// What a trigger of the site lacks, for every row: nobody can be blamed for it but whoever runs the site, who mends it.
#[test]
fn a_trigger_that_lacks_something() {
    let lacks = [
        ("TABLE audit", "INSERT INTO audit VALUES (NEW.id)", "42501", "GRANT INSERT ON audit TO {role}"),
        ("TABLE seen", "PERFORM current_setting('app.user_id')", "42704", "ALTER ROLE {role} SET app.user_id = '1'"),
    ];
    for (table, body, code, mend) in lacks {
        let Some((target, role)) = restricted() else { return };
        let mut db = target.open();
        let trigger = format!(
            "CREATE {table} (planting bigint);
             CREATE FUNCTION audits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
             CREATE TRIGGER audits AFTER INSERT ON plantings FOR EACH ROW EXECUTE FUNCTION audits()"
        );
        db.batch_execute(&trigger).unwrap();
        let end = migrate(&target);
        let told = words(&end);
        assert!(!end.status.success() && told.contains("a trigger of `plantings`") && told.contains(code), "{told}");
        let blamed = "SELECT count(*) AS number FROM replant.replant_quarantine WHERE reason LIKE '%trigger%'";
        assert_eq!(number(&mut db, blamed), Some(0));
        db.batch_execute(&mend.replace("{role}", role.role())).unwrap();
        let end = migrate(&target);
        db.batch_execute(&format!("DROP FUNCTION audits CASCADE; DROP {table}")).unwrap();
        assert_ends_as_ordinary(code, &target, &end);
    }
}

/// A trigger on what the end of credits writes: its chunks are all done by then.
fn on_last_adjustments(target: &Target, body: &str) {
    let trigger = format!(
        "CREATE FUNCTION at_the_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
           IF NOT EXISTS (SELECT FROM replant.replant_chunks WHERE step = 'credits.entries' AND state <> 'done') THEN
             {body};
           END IF;
           RETURN NEW;
         END $$;
         CREATE TRIGGER at_the_end BEFORE INSERT ON credit_entries FOR EACH ROW
           WHEN (NEW.reason = 'adjustment') EXECUTE FUNCTION at_the_end()"
    );
    target.open().batch_execute(&trigger).unwrap();
}

fn without_it(target: &Target) {
    target.open().batch_execute("DROP FUNCTION at_the_end CASCADE").unwrap();
}

#[test]
fn an_end_whose_rows_a_trigger_drops_is_none() {
    let Some((target, _)) = restricted() else { return };
    on_last_adjustments(&target, "RETURN NULL");
    let end = migrate(&target);
    assert!(!end.status.success() && words(&end).contains("a trigger of `credit_entries`"), "{}", words(&end));
    without_it(&target);
    assert_ends_as_ordinary("dropped at the end", &target, &migrate(&target));
}

/// Longer than a few tries take.
const LONG: Duration = Duration::from_secs(4);

#[test]
fn an_end_waits_for_a_lock_as_long_as_it_is_held() {
    let Some((target, _)) = restricted() else { return };
    on_last_adjustments(&target, "PERFORM pg_advisory_xact_lock(4711)");
    let mut other = target.open();
    other.batch_execute("SELECT pg_advisory_lock(4711)").unwrap();
    let mut migrate = program(&["migrate", "--env", "local"], &target);
    let mut run = migrate.env("REPLANT__RUN__RETRY__TIMES", "1").spawn().unwrap();
    eventually("the end waits", || {
        let waits =
            "SELECT count(*) AS number FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 4711";
        number(&mut target.open(), waits) == Some(1)
    });
    std::thread::sleep(LONG);
    assert_eq!(run.try_wait().unwrap(), None, "it gives up");
    other.batch_execute("SELECT pg_advisory_unlock(4711)").unwrap();
    let end = run.wait_with_output().unwrap();
    without_it(&target);
    assert_ends_as_ordinary("a lock at the end", &target, &end);
}
