//! Taking the whole migration of the sample back: killed at random moments, and with customers who have made some of it theirs.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a test may fail, says what it did, and draws random moments"
)]

mod migrated;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use replant_core::db::Backend;
use replant_core::{Event, Extent, Reporter, RowName, Silent, Stop, Undo, Undone, Why};
use replant_testkit::state::assert_same_state;

use migrated::Sample;
use world::{
    Target, assert_same_platform, catalogue, ended_within, migrate, platform, postgres, program, sqlite, state,
};

/// Kills on each backend. `REPLANT_KILLS` asks for others.
const KILLS: usize = 25;

/// The constraints and indexes of the platform.
fn constraints(target: &Target) -> Vec<String> {
    let mut all = catalogue(target);
    all.retain(|line| !line.contains("replant_") && !line.contains("__diesel"));
    all
}

fn undo(legacy: &Path, target: &Target) -> std::process::Child {
    let args = ["undo", "--env", "local", "--all", "--why", "a test"];
    program(&args, legacy, target).spawn().expect("the program starts")
}

/// Takes everything back, killed after random parts of the time that it takes, and migrates again.
fn killed_undos_end_as_others(name: &str, fresh: &dyn Fn() -> Target) {
    let folder = tempfile::tempdir().unwrap();
    fixtures::LEGACY.in_sqlite(folder.path());
    let legacy = folder.path().join("legacy.db");
    let wanted = std::env::var("REPLANT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut ends, mut whole) = (0, 0, None);
    let began = Timestamp::now();
    let target = fresh();
    let (before, held) = (platform(&target), constraints(&target));
    assert!(migrate(&legacy, &target).wait().unwrap().success());
    let expected = state(&target, began);
    while kills < wanted {
        loop {
            let clock = Instant::now();
            let mut run = undo(&legacy, &target);
            if let Some(whole) = whole
                && !ended_within(&mut run, Duration::mul_f64(whole, random.f64() * 1.2))
            {
                run.kill().unwrap();
                run.wait().unwrap();
                kills += 1;
                continue;
            }
            assert!(run.wait().unwrap().success(), "{name}: an undo after {kills} kills fails (seed {seed})");
            ends += 1;
            whole.get_or_insert(clock.elapsed());
            break;
        }
        let what = format!("{name}, after {kills} kills, seed {seed}");
        assert_same_platform(&what, &before, &platform(&target));
        assert_eq!(held, constraints(&target), "{what}");
        assert!(migrate(&legacy, &target).wait().unwrap().success(), "{what}");
        assert_same_state(&what, &expected, &state(&target, began));
    }
    println!("{name}: {kills} kills, {ends} undos came to their end");
}

#[test]
fn killed_undos_end_as_others_on_sqlite() {
    killed_undos_end_as_others("SQLite", &sqlite);
}

#[test]
fn killed_undos_end_as_others_on_postgres() {
    if postgres().is_some() {
        killed_undos_end_as_others("PostgreSQL", &|| postgres().expect("the server is there"));
    }
}

fn take_back(sample: &Sample, only: &[&str]) -> Undone {
    take_back_all_of(sample, Extent::Whole(only.iter().map(|name| (*name).to_owned()).collect()))
}

fn take_back_all_of(sample: &Sample, extent: Extent) -> Undone {
    let undo = Undo { extent, with_dependants: true, why: "a test".to_owned() };
    let undone = sample.migration().undo(&undo, &Stop::default(), &Silent).unwrap();
    assert!(undone.complete);
    undone
}

fn customers_keep_what_is_theirs(target: Target) {
    let sample = Sample::migrated(target);
    let all = |ids: &[i64]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let plantings = sample.ours("plantings", 250, 0, "");
    let accounts = sample.ours("accounts", 150, 0, "AND status = 'active'");
    let payments = sample.ours("payments", 100, 50, "");
    sample.site(&format!("UPDATE plantings SET message = 'edited' WHERE id IN ({})", all(&plantings)));
    sample.site(&format!("UPDATE accounts SET display_name = 'edited' WHERE id IN ({})", all(&accounts)));
    sample.site(&format!("UPDATE payments SET status = 'pending' WHERE id IN ({})", all(&payments)));
    // Rows of customers that point to ours.
    let owners = sample.ours("accounts", 100, 400, "AND status = 'active'");
    let paid = sample.ours("payments", 100, 600, "");
    sample.site(&format!(
        "INSERT INTO plantings (account_id, project_id, kind, status, trees, planted_at) \
           SELECT a.id, (SELECT min(id) FROM projects), 'purchase', 'pending', 7, '2024-05-01 00:00:00.000000' FROM accounts a WHERE a.id IN ({})",
        all(&owners)
    ));
    sample.site(&format!(
        "INSERT INTO refunds (payment_id, amount_minor, reason, refunded_at) \
           SELECT p.id, 1, 'refund', '2024-05-01 00:00:00.000000' FROM payments p WHERE p.id IN ({})",
        all(&paid)
    ));
    let theirs = [
        format!("SELECT 'planting ' || id || ' ' || message || ' ' || account_id AS line FROM plantings WHERE id IN ({}) ORDER BY id", all(&plantings)),
        format!("SELECT 'account ' || id || ' ' || display_name || ' ' || email AS line FROM accounts WHERE id IN ({}) ORDER BY id", all(&accounts)),
        format!("SELECT 'payment ' || id || ' ' || status || ' ' || amount_minor AS line FROM payments WHERE id IN ({}) ORDER BY id", all(&payments)),
        format!("SELECT 'owner ' || id || ' ' || email AS line FROM accounts WHERE id IN ({}) ORDER BY id", all(&owners)),
        format!("SELECT 'paid ' || id || ' ' || amount_minor AS line FROM payments WHERE id IN ({}) ORDER BY id", all(&paid)),
        "SELECT 'own ' || account_id || ' ' || trees AS line FROM plantings WHERE trees = 7 AND planted_at = '2024-05-01 00:00:00.000000' ORDER BY account_id".to_owned(),
        "SELECT 'refund ' || payment_id AS line FROM refunds WHERE amount_minor = 1 AND refunded_at = '2024-05-01 00:00:00.000000' ORDER BY payment_id".to_owned(),
    ];
    let stands = || theirs.iter().flat_map(|sql| sample.lines(sql)).collect::<Vec<_>>();
    let before = stands();
    assert_eq!(before.len(), 500 + 200 + 200);

    let undone = take_back(&sample, &[]);
    assert_eq!(stands(), before);
    let kept: Vec<_> = undone.steps.iter().flat_map(|step| &step.kept).collect();
    let named = |table: &str, why: Why| -> BTreeSet<i64> {
        let of = kept.iter().filter(|kept| kept.table == table && kept.why == why);
        of.filter_map(|kept| if let Some(RowName::Id(id)) = &kept.row { Some(*id) } else { None }).collect()
    };
    for (table, why, rows) in [
        ("plantings", Why::Changed, &plantings),
        ("accounts", Why::Changed, &accounts),
        ("payments", Why::Changed, &payments),
        ("accounts", Why::PointedTo, &owners),
        ("payments", Why::PointedTo, &paid),
    ] {
        let (named, rows): (_, BTreeSet<i64>) = (named(table, why), rows.iter().copied().collect());
        assert!(rows.is_subset(&named), "{table} {why:?}: {:?}", rows.difference(&named).take(5).collect::<Vec<_>>());
    }
    let (verified, found) = verify(&sample);
    assert!(!verified, "{found:?}");

    sample.migrate();
    assert_eq!(stands(), before);
    let (alarms, found) = verify(&sample);
    assert!(!alarms, "{found:?}");
    // As many rows as a run leaves that was never taken back, with what customers added.
    let counts = |sample: &Sample| -> Vec<i64> {
        ["accounts", "payments", "plantings", "refunds", "invoices", "subscriptions", "credit_entries"]
            .map(|table| sample.ids(&format!("SELECT count(*) AS id FROM {table}"))[0])
            .to_vec()
    };
    let other = Sample::migrated(match sample.target.url.backend() {
        Backend::Sqlite => sqlite(),
        _ => postgres().unwrap(),
    });
    let (mut expected, found) = (counts(&other), counts(&sample));
    expected[2] += 100;
    expected[3] += 100;
    assert_eq!(found, expected);
}

/// Whether a verification finds what nothing explains, and that.
fn verify(sample: &Sample) -> (bool, Vec<String>) {
    let (verified, found) = sample.verify();
    let alarms = found.iter().filter(|difference| difference.verdict.is_alarm());
    let findings = verified.findings.iter().filter(|finding| finding.refuses());
    let said = alarms.map(|difference| format!("{difference:?}")).chain(findings.map(ToString::to_string));
    (verified.has_alarms(), said.take(5).collect())
}

#[test]
fn customers_keep_what_is_theirs_on_sqlite() {
    customers_keep_what_is_theirs(sqlite());
}

#[test]
fn customers_keep_what_is_theirs_on_postgres() {
    let Some(target) = postgres() else { return };
    customers_keep_what_is_theirs(target);
}

#[test]
fn everything_goes() {
    let target = sqlite();
    let before = platform(&target);
    let sample = Sample::migrated(target);
    let undone = take_back(&sample, &[]);
    let kept: Vec<_> = undone.steps.iter().flat_map(|step| &step.kept).collect();
    assert!(kept.is_empty(), "{} {:?}", kept.len(), &kept[..kept.len().min(12)]);
    assert_same_platform("everything", &before, &platform(&sample.target));
}

#[test]
fn a_domain_goes_with_all_that_builds_on_it_and_comes_again() {
    let sample = Sample::migrated(sqlite());
    let before = platform(&sample.target);
    let undone = take_back(&sample, &["payments"]);
    assert!(undone.steps.len() > 1 && undone.steps.iter().all(|step| step.kept.is_empty()), "{undone:?}");
    assert!(sample.ours("refunds", 1, 0, "").is_empty() && sample.ours("payments", 1, 0, "").is_empty());
    sample.migrate();
    assert_same_platform("a domain", &before, &platform(&sample.target));
}

/// Asks a run to stop once a part of its chunks is done.
struct After<'a>(AtomicUsize, &'a Stop);

impl Reporter for After<'_> {
    fn event(&self, event: &Event) {
        if matches!(event, Event::ChunkDone { .. }) && self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.1.request();
        }
    }
}

#[test]
fn a_run_goes_alone_and_comes_again() {
    let began = Timestamp::now();
    let all = Sample::migrated(sqlite());
    let expected = state(&all.target, began);
    let chunks = all.ids("SELECT count(*) AS id FROM replant_chunks WHERE state = 'done'")[0];
    for part in [4, 2] {
        let (sample, stop) = (Sample::before(sqlite()), Stop::default());
        let half = After(AtomicUsize::new(usize::try_from(chunks / part).unwrap()), &stop);
        assert!(!sample.migration().run(&stop, &half).unwrap().complete);
        let before = platform(&sample.target);
        sample.migrate();
        let run = sample.lines("SELECT id AS line FROM replant_runs ORDER BY started_at DESC").remove(0);
        let extent = Extent::Run(run.clone());
        let what = Undo { extent: extent.clone(), with_dependants: false, why: "a test".to_owned() };
        let would = sample.migration().would_undo(&what, &Stop::default(), &Silent).unwrap();
        if part == 2 {
            // It goes on where it was killed.
            for wait in [0.1, 0.2, 0.4, 0.8] {
                let args = ["undo", "--env", "local", "--run", &run, "--why", "a test"];
                let mut process = program(&args, &sample.legacy_file(), &sample.target).spawn().unwrap();
                if !ended_within(&mut process, Duration::from_secs_f64(wait)) {
                    process.kill().unwrap();
                }
                process.wait().unwrap();
            }
        }
        let undone = take_back_all_of(&sample, extent);
        let rows = |undone: &Undone| undone.steps.iter().map(|step| (step.step, step.rows)).collect::<Vec<_>>();
        assert!(part == 2 || rows(&would) == rows(&undone), "{would:?} {undone:?}");
        let kept: Vec<_> = undone.steps.iter().flat_map(|step| &step.kept).collect();
        assert!(kept.is_empty(), "{} {:?}", kept.len(), &kept[..kept.len().min(12)]);
        assert_same_platform("a run", &before, &platform(&sample.target));
        sample.migrate();
        assert_same_state("a run that came again", &expected, &state(&sample.target, began));
        let (alarms, found) = verify(&sample);
        assert!(!alarms, "{found:?}");
    }
}
