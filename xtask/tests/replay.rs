//! Quarantined rows, mended and replayed: the target ends as that of a run over the mended source.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../src/registry.rs"]
mod registry;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl};
use jiff::Timestamp;
use replant_core::db::{Db, DbUrl, Role};
use replant_core::ledger::history::{self, KnownStep, Lineage};
use replant_core::ledger::mends::Mend;
use replant_core::ledger::quarantine::{self, QuarantineEntry, QuarantineFilter};
use replant_core::{Key, Migration, Registry, Settings, Silent, Stop, diesel};
use replant_testkit::conformance::Target;
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
        fixtures::LEGACY.in_sqlite(&folder)
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

/// Puts `value` into a cell.
fn mend(row: &mut Value, column: &str, value: &str) {
    let is_number = ["trees", "brand_id"].contains(&column);
    row.as_object_mut().unwrap()[column] =
        if is_number { Value::from(value.parse::<i64>().unwrap()) } else { Value::from(value) };
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
            mend(&mut row, column, &value);
            sql += &format!("UPDATE \"{table}\" SET \"{column}\" = '{value}' WHERE id = {};\n", entry.legacy_key);
            mends.push(Mend { table: (*table).to_owned(), key: entry.legacy_key, row });
        }
    }
    (mends, sql)
}

/// What was done to rows that were there before is told as it came about.
fn state(target: &Target, began: Timestamp) -> State {
    let mut state = State::but_for_ids(&mut target.open(), began, fixtures::IDS).unwrap();
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

/// Whose rows customers bring forth before they are mended: the code that they wait with, cells as they are mended, and the
/// customers' row. `#` stands for the row's key, `@` for the platform's id of what the named column points to.
struct Overtaken {
    step: &'static str,
    code: &'static str,
    cells: &'static [(&'static str, &'static str)],
    /// The column that `@` is looked up by, and the step of what it names.
    by: Option<(&'static str, &'static str)>,
    /// The customer's row: table, columns, values.
    own: (&'static str, &'static str, &'static str),
    /// What becomes of the mended row.
    expect: Overtook,
}

#[derive(Debug, PartialEq, Eq)]
enum Overtook {
    /// It goes to the customer's row.
    Joins,
    /// It is skipped: `already_native`.
    GivesWay,
    /// It comes in, repaired with this code.
    Repaired(&'static str),
}

const OVERTAKEN: &[Overtaken] = &[
    Overtaken {
        step: "users.accounts",
        code: "email_invalid",
        cells: &[("email", "since.#@orchard.example")],
        by: None,
        own: (
            "accounts",
            "kind, email, display_name, marketing_consent, status, created_at, updated_at",
            "'person', 'since.#@orchard.example', 'Since', '0', 'active', '2024-03-21 10:00:00.000000', '2024-03-21 10:00:00.000000'",
        ),
        expect: Overtook::Joins,
    },
    Overtaken {
        step: "projects.projects",
        code: "project_name_missing",
        cells: &[("name", "Since #")],
        by: None,
        own: ("projects", "slug, name, active", "'since-#', 'Since', '1'"),
        expect: Overtook::Joins,
    },
    Overtaken {
        step: "invoices.invoices",
        code: "invoice_number_invalid",
        cells: &[("invoice_no", "MT-98#")],
        by: Some(("user_id", "users.accounts")),
        own: (
            "invoices",
            "account_id, number, total_minor, currency, issued_on, status",
            "@, 'MT-98#', 100, 'GBP', '2024-03-21', 'open'",
        ),
        expect: Overtook::GivesWay,
    },
    Overtaken {
        step: "subscriptions.subscriptions",
        code: "started_at_unknown",
        cells: &[("started_when", "2022-03-04 05:06:07"), ("status", "active"), ("plan", "since")],
        by: Some(("user_id", "users.accounts")),
        own: (
            "subscriptions",
            "account_id, plan, trees_per_cycle, amount_minor, currency, cycle, status, started_at",
            "@, 'since', 1, 100, 'GBP', 'month', 'active', '2024-03-21 10:00:00.000000'",
        ),
        expect: Overtook::Repaired("superseded"),
    },
    Overtaken {
        step: "payments.payments",
        code: "gateway_ref_conflict",
        cells: &[("gateway", "Stripe"), ("gateway_ref", "since-#")],
        by: Some(("user_id", "users.accounts")),
        own: (
            "payments",
            "account_id, method, status, amount_minor, currency, gateway, gateway_ref, paid_at",
            "@, 'card', 'succeeded', 100, 'GBP', 'stripe', 'since-#', '2024-03-21 10:00:00.000000'",
        ),
        expect: Overtook::GivesWay,
    },
    Overtaken {
        step: "cross_charges.charges",
        code: "brand_unknown",
        cells: &[("brand_id", "13"), ("period", "2019-05"), ("cost_centre", "since")],
        by: Some(("brand_id", "brands.brands")),
        own: (
            "cross_charges",
            "brand_id, period, trees, unit_price_minor, total_minor, currency, cost_centre",
            "@, '2019-05-01', 1, 100, 100, 'GBP', 'since'",
        ),
        expect: Overtook::GivesWay,
    },
];

fn known(db: &mut Db, step: &str) -> KnownStep {
    history::known_steps(db).unwrap().into_iter().find(|known| known.name == step).unwrap()
}

fn lineage(db: &mut Db, step: &str, key: Key) -> Option<Lineage> {
    let known = known(db, step);
    history::of_legacy(db, &known, key).unwrap()
}

impl Overtaken {
    /// Mends the first row that can be, and has a customer come before it. Returns the mend.
    fn overtake(&self, target: &Target) -> Mend {
        let db = &mut target.open();
        for entry in quarantined(target, self.step, self.code) {
            let mut row: Value = serde_json::from_str(&entry.legacy_row).unwrap();
            for (column, value) in self.cells {
                mend(&mut row, column, &value.replace('#', &entry.legacy_key.to_string()));
            }
            let pointed = self.by.map(|(column, step)| {
                let found = row[column].as_i64().and_then(|key| lineage(db, step, key));
                found.and_then(|found| found.targets.first().map(|(_, id)| *id))
            });
            if pointed == Some(None) {
                continue;
            }
            let (table, columns, values) = self.own;
            let values = values.replace('#', &entry.legacy_key.to_string());
            let values = values.replace('@', &pointed.flatten().map_or_else(|| "@".to_owned(), |id| id.to_string()));
            db.batch_execute(&format!("INSERT INTO {table} ({columns}) VALUES ({values})")).unwrap();
            return Mend { table: known(db, self.step).legacy_table, key: entry.legacy_key, row };
        }
        panic!("no row of {} that is quarantined as {} will do", self.step, self.code);
    }

    fn check(&self, db: &mut Db, key: Key) {
        let found = lineage(db, self.step, key).unwrap();
        let (table, ..) = self.own;
        match self.expect {
            Overtook::Joins => {
                #[derive(QueryableByName)]
                struct Last {
                    #[diesel(sql_type = BigInt)]
                    id: i64,
                }
                let last = diesel::sql_query(format!("SELECT id FROM {table} ORDER BY id DESC LIMIT 1"));
                assert_eq!(found.targets[0], (table.to_owned(), last.get_result::<Last>(db).unwrap().id), "{found:?}");
            }
            Overtook::GivesWay => assert_eq!(found.code.as_deref(), Some("already_native"), "{found:?}"),
            Overtook::Repaired(code) => assert!(found.repairs.iter().any(|repair| repair == code), "{found:?}"),
        }
    }
}

fn a_replay_takes_in_what_customers_did_since(target: &Target) {
    let world = World::new();
    let legacy = world.legacy("broken");
    assert!(world.migration(&legacy, target).run(&Stop::default(), &Silent).unwrap().complete);
    let mends: Vec<Mend> = OVERTAKEN.iter().map(|overtaken| overtaken.overtake(target)).collect();
    assert!(world.migration(&legacy, target).replay(&mends, &Stop::default(), &Silent).unwrap().complete);
    let db = &mut target.open();
    for (overtaken, mend) in OVERTAKEN.iter().zip(&mends) {
        overtaken.check(db, mend.key);
    }
}

#[test]
fn customers_come_first_on_sqlite() {
    a_replay_takes_in_what_customers_did_since(&fixtures::PLATFORM.sqlite_target());
}

#[test]
fn customers_come_first_on_postgres() {
    if let Some(target) = fixtures::PLATFORM.postgres_target() {
        a_replay_takes_in_what_customers_did_since(&target);
    }
}

#[test]
fn on_sqlite() {
    a_replay_ends_as_a_run_over_the_mended_source(&|| fixtures::PLATFORM.sqlite_target());
}

#[test]
fn on_postgres() {
    if fixtures::PLATFORM.postgres_target().is_some() {
        a_replay_ends_as_a_run_over_the_mended_source(&|| {
            fixtures::PLATFORM.postgres_target().expect("the server is there")
        });
    }
}
