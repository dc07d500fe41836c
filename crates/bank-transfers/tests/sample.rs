//! The bank transfers of the sample, on SQLite, against the counts of an independent reading of the rules; and all the money
//! that came in.

use std::collections::BTreeMap;

use replant_core::db::{Db, Role};
use replant_core::ledger::{close, status};
use replant_core::{Migration, Registry, Settings, Silent, Stop};
use replant_testkit::dump;

const STEP: &str = "bank_transfers.transfers";

fn migrated(folder: &std::path::Path) -> Db {
    let target = fixtures::PLATFORM.in_sqlite(folder);
    let registry = Registry::default()
        .domain(users::domain())
        .domain(brands::domain())
        .domain(invoices::domain())
        .domain(subscriptions::domain())
        .domain(payments::domain())
        .domain(bank_transfers::domain());
    let migration = Migration {
        registry: &registry,
        snapshot: reference::snapshot,
        legacy: fixtures::LEGACY.in_sqlite(folder),
        target: target.clone(),
        settings: Settings::default(),
    };
    let report = migration.run(&Stop::default(), &Silent).expect("the run ends well");
    assert!(report.complete);
    Db::open(&target, Role::Target).expect("the target is there")
}

#[test]
fn the_sample_comes_to_the_expected_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = migrated(folder.path());

    let steps = status::steps(&mut db).expect("the ledger can be read");
    let counts = &steps.iter().find(|step| step.step == STEP).expect("the step").counts;
    assert_eq!(
        (counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined),
        (700, 344, 0, 315, 41)
    );
    let codes = status::codes(&mut db).expect("the ledger can be read");
    let codes = codes.iter().filter(|code| code.step == STEP);
    let mut codes: Vec<String> = codes.map(|c| format!("{}:{}={}", c.what, c.code, c.count)).collect();
    codes.sort();
    assert_eq!(
        codes,
        [
            "quarantined:amount_invalid=2",
            "quarantined:amount_not_positive=2",
            "quarantined:currency_conflict=3",
            "quarantined:currency_unknown=3",
            "quarantined:parent_quarantined=2",
            "quarantined:payer_unknown=20",
            "quarantined:received_unknown=8",
            "quarantined:status_unknown=1",
            "repaired:amount_rounded=2",
            "repaired:currency_defaulted=2",
            "repaired:text_cleaned=5",
            "skipped:already_recorded=277",
            "skipped:not_cleared=37",
            "skipped:parent_skipped=1",
        ]
    );
    for (currency, flow) in close::money(&mut db, Some(STEP)).expect("the ledger can be read").iter() {
        assert!(flow.balance(), "{currency}: {flow:?}");
    }

    let payments = Table::of(&mut db, "payments");
    let refunds = Table::of(&mut db, "refunds");
    let allocations = Table::of(&mut db, "payment_allocations");
    let currencies = payments.by("id", "currency");
    let in_its_own = |row: &BTreeMap<String, String>| row["currency"].clone();
    let in_its_payment_s = |row: &BTreeMap<String, String>| currencies[&row["payment_id"]].clone();
    assert_eq!(
        payments.sums(in_its_own),
        "23082 rows; amount_minor AUD 1524010, CAD 2362510, CHF 761769, EUR 11297103, GBP 130645678, JPY 1110223, \
         KWD 136300, SEK 2280164, USD 7113272"
    );
    assert_eq!(
        refunds.sums(in_its_payment_s),
        "1081 rows; amount_minor AUD 24593, CAD 92495, CHF 1060, EUR 911285, GBP 2201427, JPY 9150, KWD 700, SEK 6589, \
         USD 348075"
    );
    assert_eq!(
        allocations.sums(in_its_payment_s),
        "346 rows; amount_minor AUD 244958, CAD 323994, CHF 51554, EUR 1034931, GBP 11500245, JPY 249130, KWD 77800, \
         SEK 274219, USD 579498"
    );
}

/// The rows of a platform table, by column.
struct Table(Vec<BTreeMap<String, String>>);

impl Table {
    fn of(db: &mut Db, name: &str) -> Self {
        let dump = dump::dump(db, name).expect("a dump");
        let row = |row: Vec<Option<String>>| {
            dump.columns.iter().cloned().zip(row.into_iter().map(Option::unwrap_or_default)).collect()
        };
        Self(dump.rows.into_iter().map(row).collect())
    }

    fn by(&self, key: &str, value: &str) -> BTreeMap<String, String> {
        self.0.iter().map(|row| (row[key].clone(), row[value].clone())).collect()
    }

    /// Rows, and the sums of their amounts in each currency.
    fn sums(&self, currency: impl Fn(&BTreeMap<String, String>) -> String) -> String {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for row in &self.0 {
            *sums.entry(currency(row)).or_default() += row["amount_minor"].parse::<i64>().expect("an amount");
        }
        let sums: Vec<String> = sums.iter().map(|(currency, sum)| format!("{currency} {sum}")).collect();
        format!("{} rows; amount_minor {}", self.0.len(), sums.join(", "))
    }
}
