//! A target in a schema of its own, beside tables of the same names in `public` that are not Replant's to touch.

use diesel::connection::SimpleConnection;
use replant_core::constraints::{self, Presence};
use replant_core::db::Backend;
use replant_core::{Offline, RunError, Settings, Silent, Stop, ledger};
use replant_testkit::conformance::Target;
use replant_testkit::dump::{TableDump, assert_same, dump_all};
use replant_testkit::state::assert_same_state;
use replant_testkit::{catalog, postgres as server};

use crate::refusals;
use crate::world::{World, chunks_of, part, postgres, site, state, target_ddl, texts};

/// The name has to be quoted in SQL, and encoded in an address.
const MAKE: &str = "CREATE SCHEMA \"The shop\"; SET search_path = \"The shop\";";
const IN_THE_SHOP: &str = "?schema=The%20shop";

/// The target, and what stands beside it in `public`.
struct Shop {
    target: Target,
    address: String,
    beside: Target,
    rows: Vec<TableDump>,
    sequences: Vec<String>,
}

impl Shop {
    fn open() -> Option<Self> {
        let database = server::database()?;
        let tables = target_ddl(Backend::Postgres);
        database.open().batch_execute(&format!("{tables} CREATE INDEX parts_item ON parts (item_id)")).unwrap();
        database.open().batch_execute(&format!("{MAKE} {tables} CREATE INDEX parts_item ON parts (item_id)")).unwrap();
        let address = format!("{}{IN_THE_SHOP}", database.address());
        let url = address.parse().unwrap();
        let beside = Target { url: database.url(), guard: Box::new(database) };
        // Whoever took this row for one of the target would refuse the thing of that name.
        site(&beside.url, "INSERT INTO items (name, qty, colour) VALUES ('good 2', 1, 'red')");
        let rows = dump_all(&mut beside.open()).unwrap();
        let sequences = sequences(&beside);
        Some(Self { target: Target { url, guard: Box::new(()) }, address, beside, rows, sequences })
    }

    #[track_caller]
    fn left_public_alone(&self, constraints: &[String]) {
        assert_same(&self.rows, &dump_all(&mut self.beside.open()).unwrap());
        assert_eq!(sequences(&self.beside), self.sequences);
        assert_eq!(catalog::constraints(&mut self.beside.open()).unwrap(), constraints);
    }
}

fn sequences(target: &Target) -> Vec<String> {
    let sql = "SELECT sequencename || ' ' || coalesce(last_value, 0) AS value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1";
    texts(target, sql)
}

/// Every kind of refusal, and a part of each thing.
fn world() -> World {
    let parts: String = (1..=280).map(|key| part(key, &key.to_string(), "1.00", "GBP")).collect();
    World::new(&(refusals::rows(40, 4).0 + &parts))
}

#[test]
fn a_run_in_a_schema_of_its_own_ends_as_one_in_public() {
    let Some(shop) = Shop::open() else { return };
    let (world, live) = (world(), postgres().unwrap());
    let public = catalog::constraints(&mut shop.beside.open()).unwrap();
    world.complete(&live, chunks_of(40));

    let rehearsed = world.complete(&shop.target, Settings { dry_run: true, ..chunks_of(40) });
    world.subject().a_dry_run_leaves_nothing(&shop.target);
    shop.left_public_alone(&public);

    let report = world.complete(&shop.target, chunks_of(40));
    let counts = |report: &replant_core::Report| report.steps.iter().map(|step| step.counts).collect::<Vec<_>>();
    assert_eq!(counts(&rehearsed), counts(&report));
    assert_same_state("in a schema of its own", &state(&live), &state(&shop.target));
    shop.left_public_alone(&public);

    // What the site takes away meanwhile, a replay takes in.
    for target in [&live, &shop.target] {
        site(&target.url, "UPDATE items SET name = 'renamed' WHERE name = 'native'");
        assert!(world.migration(&target.url, chunks_of(40)).replay(&[], &Stop::default(), &Silent).unwrap().complete);
    }
    assert_same_state("replayed", &state(&live), &state(&shop.target));
    shop.left_public_alone(&public);
}

#[test]
fn an_offline_load_of_a_schema_of_its_own_brings_all_back() {
    let Some(shop) = Shop::open() else { return };
    let (world, live) = (world(), postgres().unwrap());
    let public = catalog::constraints(&mut shop.beside.open()).unwrap();
    let own = catalog::constraints(&mut shop.target.open()).unwrap();
    world.complete(&live, chunks_of(40));
    world.complete(&shop.target, Settings { offline: Some(Offline { least_rows: 0 }), ..chunks_of(40) });
    let dropped = constraints::list(&mut shop.target.open()).unwrap();
    assert!(dropped.iter().any(|one| one.name == "parts_item") && dropped.len() > 2, "{dropped:?}");
    assert!(dropped.iter().all(|one| one.presence == Presence::Restored), "{dropped:?}");
    assert_eq!(catalog::constraints(&mut shop.target.open()).unwrap(), own);
    assert_same_state("offline", &state(&live), &state(&shop.target));
    shop.left_public_alone(&public);
}

#[test]
fn a_schema_that_is_not_there_is_refused_though_public_has_the_tables() {
    let Some(shop) = Shop::open() else { return };
    let public = catalog::constraints(&mut shop.beside.open()).unwrap();
    let nowhere = shop.address.replace(IN_THE_SHOP, "?schema=nowhere").parse().unwrap();
    let refused = world().migration(&nowhere, chunks_of(40)).run(&Stop::default(), &Silent);
    let Err(RunError::Preflight { findings }) = refused else { panic!("it is not refused") };
    let missing = ["items", "labels", "parts"].map(|table| format!("table `{table}` is missing"));
    assert_eq!(findings.iter().map(|finding| &*finding.what).collect::<Vec<_>>(), missing);
    assert!(!ledger::exists(&mut shop.beside.open()).unwrap());
    shop.left_public_alone(&public);
}
