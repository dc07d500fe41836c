//! Quarantined rows, mended and replayed: the target ends as that of a run over the mended source.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use diesel::connection::SimpleConnection;
use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::mends::Mend;
use replant_core::ledger::quarantine::{self, QuarantineEntry, QuarantineFilter};
use replant_core::{Migration, Registry, Settings, Silent, Stop, diesel};
use replant_testkit::conformance::Target;
use replant_testkit::sample;
use replant_testkit::state::{State, assert_same_state};
use serde_json::Value;

/// Cells of the quarantined rows with a code: how a person would mend them. `#` stands for the row's key.
const MENDS: &[(&str, &str, &str, &str, &str)] = &[
    ("users.accounts", "user", "email_invalid", "email", "mended.#@orchard.example"),
    ("brands.brands", "brand", "brand_name_missing", "name", "Brand #"),
    ("projects.projects", "project", "project_name_missing", "name", "Project #"),
    ("invoices.invoices", "invoice", "amount_invalid", "total", "12.50"),
    ("invoices.invoices", "invoice", "invoice_number_invalid", "invoice_no", "MT-99#"),
    ("subscriptions.subscriptions", "subscription", "amount_invalid", "amount", "12.50"),
    ("subscriptions.subscriptions", "subscription", "started_at_unknown", "started_when", "2022-03-04 05:06:07"),
    ("payments.payments", "finance_transaction", "amount_invalid", "amount", "0.50"),
    ("payments.payments", "finance_transaction", "refund_exceeds_payment", "amount", "0.01"),
    ("payments.payments", "finance_transaction", "status_unknown", "status", "paid"),
    ("payments.payments", "finance_transaction", "gateway_ref_conflict", "gateway_ref", "mended-#"),
    ("bank_transfers.transfers", "bank_transfer", "received_unknown", "received", "2023-02-01"),
    ("bank_transfers.transfers", "bank_transfer", "amount_invalid", "amount", "99.00"),
    ("plantations.plantings", "plantation", "trees_not_positive", "trees", "3"),
    ("plantations.plantings", "plantation", "status_unknown", "status", "done"),
    ("cross_charges.charges", "cross_charge", "brand_unknown", "brand_id", "1"),
    ("credits.entries", "credit_entry", "amount_invalid", "delta", "-12.50"),
];

struct World {
    folder: tempfile::TempDir,
    registry: Registry,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), registry: registry::registry() }
    }

    fn legacy(&self, name: &str) -> DbUrl {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        sample::sqlite_legacy_sample(&folder)
    }

    fn migration(&self, legacy: &DbUrl, target: &Target) -> Migration<'_> {
        Migration {
            registry: &self.registry,
            snapshot: reference::snapshot,
            legacy: legacy.clone(),
            target: target.url.clone(),
            settings: Settings { chunk_rows: 700, ..Settings::default() },
        }
    }
}

fn quarantined(target: &Target, step: &str, code: &str) -> Vec<QuarantineEntry> {
    let filter = QuarantineFilter { step: Some(step.to_owned()), code: Some(code.to_owned()), limit: None };
    quarantine::list(&mut target.open(), &filter).unwrap()
}

/// The mended rows, and the statements that mend the source in the same way.
fn mends(target: &Target) -> (Vec<Mend>, String) {
    let (mut mends, mut sql): (Vec<Mend>, String) = (Vec::new(), String::new());
    for (step, table, code, column, value) in MENDS {
        let rows = quarantined(target, step, code);
        assert!(!rows.is_empty(), "no row of {step} is quarantined as {code}");
        for entry in rows {
            let value = value.replace('#', &entry.legacy_key.to_string());
            let mut row: Value = serde_json::from_str(&entry.legacy_row).unwrap();
            let cell = &mut row.as_object_mut().unwrap()[*column];
            let is_number = ["trees", "brand_id"].contains(column);
            *cell = if is_number { Value::from(value.parse::<i64>().unwrap()) } else { Value::from(value.clone()) };
            sql += &format!("UPDATE \"{table}\" SET \"{column}\" = '{value}' WHERE id = {};\n", entry.legacy_key);
            mends.push(Mend { table: (*table).to_owned(), key: entry.legacy_key, row });
        }
    }
    (mends, sql)
}

/// What was done to rows that were there before is told as it came about.
fn state(target: &Target, began: Timestamp) -> State {
    let mut state = State::but_for_ids(&mut target.open(), began).unwrap();
    state.ledger.retain(|line| !line.starts_with("change "));
    // Which balance was adjusted first is no matter: these entries are known by the block that their ids are of.
    let entries = state.tables.iter_mut().find(|table| table.name == "credit_entries").unwrap();
    for row in &mut entries.rows {
        if row[0].as_ref().is_some_and(|id| id.starts_with("new 1 ")) {
            row[0] = Some("an adjustment".to_owned());
        }
    }
    entries.rows.sort();
    state
}

fn a_replay_ends_as_a_run_over_the_mended_source(fresh: &dyn Fn() -> Target) {
    let (world, began) = (World::new(), Timestamp::now());
    let (legacy, target) = (world.legacy("broken"), fresh());
    assert!(world.migration(&legacy, &target).run(&Stop::default(), &Silent).unwrap().complete);
    let before = state(&target, began);
    let nothing = world.migration(&legacy, &target).replay(&[], &Stop::default(), &Silent).unwrap();
    assert!(nothing.complete && nothing.steps.iter().all(|(_, done)| !done.changed()), "{nothing:?}");
    assert_same_state("a replay of nothing", &before, &state(&target, began));

    let (mends, sql) = mends(&target);
    let done = world.migration(&legacy, &target).replay(&mends, &Stop::default(), &Silent).unwrap();
    assert!(done.complete);

    let mended = world.legacy("mended");
    Db::open(&mended, Role::Target).unwrap().batch_execute(&sql).unwrap();
    let expected = fresh();
    assert!(world.migration(&mended, &expected).run(&Stop::default(), &Silent).unwrap().complete);
    assert_same_state("the replay", &state(&expected, began), &state(&target, began));

    let again = world.migration(&legacy, &target).replay(&[], &Stop::default(), &Silent).unwrap();
    assert!(again.steps.iter().all(|(_, done)| !done.changed()), "{again:?}");
}

#[test]
fn on_sqlite() {
    a_replay_ends_as_a_run_over_the_mended_source(&Target::sqlite_sample);
}

#[test]
fn on_postgres() {
    if Target::postgres_sample().is_some() {
        a_replay_ends_as_a_run_over_the_mended_source(&|| Target::postgres_sample().expect("the server is there"));
    }
}
