//! A company that goes on while its history is migrated: later and later states of its legacy database, and customers on the new site.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "helpers of tests are tests, say what they did, and draw random moments"
)]

#[path = "../../src/registry.rs"]
mod registry;
#[path = "../world/mod.rs"]
mod world;

mod customers;
mod known;
mod legacy;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use replant_core::{CatchUp, Extent, Rejudged, Settings, Silent, Stop, Undo};
use replant_testkit::dump::TableDump;
use replant_testkit::postgres;

use known::{Known, Names, Theirs, assert_same, assert_same_but_for, tables};
use legacy::{Legacy, Vanished};
use world::{Target, assert_same_platform, ended_within, program};

/// What a test varies.
#[derive(Debug, Clone, Copy)]
struct Case {
    seed: u64,
    chunk: u64,
    workers: usize,
}

/// Legacy rows of the company.
const ROWS: u64 = 3_000;

/// Small chunks and large ones, one worker and four.
const CASES: [Case; 4] = [
    Case { seed: 1, chunk: 50, workers: 1 },
    Case { seed: 2, chunk: 50, workers: 4 },
    Case { seed: 3, chunk: 5_000, workers: 1 },
    Case { seed: 4, chunk: 5_000, workers: 4 },
];

/// Kills on each backend. `REPLANT_KILLS` asks for others.
const KILLS: usize = 25;

impl Case {
    fn settings(self) -> Settings {
        let (readers, writers) = (self.workers, self.workers);
        Settings { chunk_rows: self.chunk, readers, writers, legacy_pool: 8, target_pool: 12, ..Settings::default() }
    }
}

/// An empty platform of a company.
type Fresh<'a> = &'a dyn Fn(&Legacy) -> Target;

/// In SQLite and in PostgreSQL.
fn on_both(story: &dyn Fn(Fresh<'_>)) {
    story(&Legacy::platform_in_sqlite);
    if postgres::database().is_some() {
        story(&|legacy| legacy.platform_in_postgres().unwrap());
    }
}

fn migrate(case: Case, legacy: &Legacy, target: &Target) {
    assert!(legacy.migration(target, case.settings()).run(&Stop::default(), &Silent).unwrap().complete);
}

fn catch_up(case: Case, legacy: &Legacy, target: &Target) -> CatchUp {
    let done = legacy.migration(target, case.settings()).catch_up(&Vec::new(), &Stop::default(), &Silent).unwrap();
    assert!(done.complete);
    done
}

/// The platform of a company to which a migration of its last state alone comes.
fn alone(case: Case, legacy: &Legacy, fresh: Fresh<'_>) -> Known {
    let target = fresh(legacy);
    migrate(case, legacy, &target);
    Known::of(&target)
}

#[test]
fn a_later_state_ends_as_if_it_had_been_the_first() {
    on_both(&|fresh| {
        for case in CASES {
            let now = Legacy::simulated(ROWS, case.seed);
            let before = now.before(case.seed, 1);
            let Vanished { left, counts, gone } = now.without_some(case.seed, &[&before]);
            let target = fresh(&now);
            migrate(case, &before, &target);
            catch_up(case, &left, &target);
            let found = Known::of(&target);
            assert_same(&format!("{case:?}"), &alone(case, &counts, fresh).without(&gone), &found);

            // The same state again has nothing to say.
            let again = catch_up(case, &left, &target);
            for (step, done) in again.steps {
                let nothing = Rejudged { read: done.rejudged.read, ..Rejudged::default() };
                assert_eq!((step, done.rejudged, done.added > 0), (step, nothing, done.moved.read > 0));
            }
            assert_same(&format!("{case:?} again"), &found, &Known::of(&target));
        }
    });
}

#[test]
fn three_later_states_in_a_row_do_too() {
    on_both(&|fresh| {
        for case in CASES {
            let now = Legacy::simulated(ROWS, case.seed + 10);
            let target = fresh(&now);
            let [first, second, third] = [0, 1, 2].map(|state| now.before(case.seed + state, 3 - state));
            let Vanished { left, counts, gone } = now.without_some(case.seed, &[&first, &second, &third]);
            migrate(case, &first, &target);
            for state in [&second, &third, &left] {
                catch_up(case, state, &target);
            }
            assert_same(&format!("{case:?}"), &alone(case, &counts, fresh).without(&gone), &Known::of(&target));
        }
    });
}

#[test]
fn what_customers_changed_meanwhile_is_theirs() {
    on_both(&|fresh| {
        for case in CASES {
            let now = Legacy::simulated(ROWS, case.seed + 20);
            let before = now.before(case.seed, 1);
            let Vanished { left, counts, gone } = now.without_some(case.seed, &[&before]);
            let target = fresh(&now);
            migrate(case, &before, &target);
            let migrated = tables(&target);
            let addresses = customers::addresses(&mut left.db(), &mut before.db(), &mut target.open());
            customers::go_on(&mut target.open());
            customers::sign_up(&mut target.open(), &addresses);
            let changed = tables(&target);
            catch_up(case, &left, &target);

            // Whoever signed up had done so before a migration of that state alone.
            let expected = fresh(&now);
            customers::sign_up(&mut expected.open(), &addresses);
            migrate(case, &counts, &expected);
            let names = Names::of(&target);
            let theirs =
                Theirs { migrated: &Known::named(&names, &migrated), changed: &Known::named(&names, &changed) };
            let expected = Known::of(&expected).without(&gone);
            assert_same_but_for(&format!("{case:?}"), &theirs, &expected, &Known::of(&target));
        }
    });
}

#[test]
fn a_later_state_that_is_taken_back_was_never_there() {
    on_both(&|fresh| {
        for case in CASES {
            let now = Legacy::simulated(ROWS, case.seed + 40);
            let before = now.before(case.seed, 1);
            let Vanished { left, counts, gone } = now.without_some(case.seed, &[&before]);
            let target = fresh(&now);
            migrate(case, &before, &target);
            let (platform, lineage) = (platform(&target), Known::of(&target).ledger);
            catch_up(case, &left, &target);
            assert_ne!(platform, self::platform(&target), "{case:?}: it brings something");

            let undo = Undo { extent: Extent::State(2), with_dependants: false, why: "a test".to_owned() };
            let migration = left.migration(&target, case.settings());
            let undone = migration.undo(&undo, &Stop::default(), &Silent).unwrap();
            assert!(undone.complete);
            assert_same_platform(&format!("{case:?} taken back"), &platform, &self::platform(&target));
            let found = Known::of(&target).ledger;
            // What is gone is gone: the legacy database is that of the later state.
            let is_gone = |line: &&String| line.contains(" source_gone ");
            let names: BTreeSet<&str> =
                found.iter().filter(is_gone).filter_map(|line| line.split(' ').next()).collect();
            let there = |line: &&String| !line.split(' ').next().is_some_and(|name| names.contains(name));
            let (was, is): (BTreeSet<&String>, BTreeSet<&String>) =
                (lineage.iter().filter(there).collect(), found.iter().filter(there).collect());
            let only = |a: &BTreeSet<&String>, b: &BTreeSet<&String>| {
                a.difference(b).map(ToString::to_string).collect::<Vec<_>>()
            };
            assert_eq!((only(&was, &is), only(&is, &was)), (vec![], vec![]), "{case:?} taken back");

            catch_up(case, &left, &target);
            let expected = alone(case, &counts, fresh).without(&gone);
            assert_same(&format!("{case:?} once more"), &expected, &Known::of(&target));
        }
    });
}

#[test]
fn a_later_state_is_taken_back_however_often_that_is_killed() {
    let wanted = std::env::var("REPLANT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    on_both(&|fresh| {
        let case = CASES[0];
        let now = Legacy::simulated(ROWS, 50);
        let before = now.before(50, 1);
        let Vanished { left, counts, gone } = now.without_some(50, &[&before]);
        let expected = alone(case, &counts, fresh).without(&gone);
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let args = ["undo", "--env", "local", "--state", "2", "--why", "a test"];
        let undo = |target: &Target| program(&args, left.path(), target).spawn().unwrap();
        let target = fresh(&now);
        migrate(case, &before, &target);
        let platform = platform(&target);
        let (mut kills, mut ends, mut whole) = (0, 0, None);
        while kills < wanted {
            catch_up(case, &left, &target);
            loop {
                let (clock, mut run) = (Instant::now(), undo(&target));
                let wait = whole.map_or(Duration::MAX, |whole: Duration| whole.mul_f64(random.f64() * 1.1));
                if ended_within(&mut run, if kills < wanted { wait } else { Duration::MAX }) {
                    assert!(run.wait().unwrap().success(), "an undo after {kills} kills fails (seed {seed})");
                    whole.get_or_insert(clock.elapsed());
                    break;
                }
                run.kill().unwrap();
                run.wait().unwrap();
                kills += 1;
            }
            ends += 1;
            assert_same_platform(&format!("after {kills} kills, seed {seed}"), &platform, &self::platform(&target));
        }
        catch_up(case, &left, &target);
        assert_same(&format!("after {kills} kills, seed {seed}"), &expected, &Known::of(&target));
        println!("{kills} kills, {ends} undos of a state came to their end");
    });
}

#[test]
fn what_customers_made_of_a_state_that_is_taken_back_is_theirs() {
    on_both(&|fresh| {
        for case in CASES {
            let now = Legacy::simulated(ROWS, case.seed + 60);
            let before = now.before(case.seed, 1);
            let target = fresh(&now);
            migrate(case, &before, &target);
            let constraints = world::catalogue(&target);
            catch_up(case, &now, &target);
            let caught_up = rows(&target);
            customers::go_on(&mut target.open());
            let changed = rows(&target);
            let undo = Undo { extent: Extent::State(2), with_dependants: false, why: "a test".to_owned() };
            let migration = now.migration(&target, case.settings());
            let undone = migration.undo(&undo, &Stop::default(), &Silent).unwrap();
            assert!(undone.complete);
            assert!(undone.steps.iter().any(|step| !step.kept.is_empty()), "{case:?}: what stays is named");

            let found = rows(&target);
            for (row, columns) in &changed {
                let was = caught_up.get(row);
                for (column, value) in columns {
                    if was.is_none_or(|was| was[column] != *value) {
                        let now = found.get(row).map(|now| &now[column]);
                        assert_eq!(now, Some(value), "{case:?}: {row} {column}");
                    }
                }
            }
            let gone = caught_up.keys().filter(|row| !changed.contains_key(*row));
            assert_eq!(
                gone.filter(|row| found.contains_key(*row)).collect::<Vec<_>>(),
                Vec::<&String>::new(),
                "{case:?}"
            );
            assert_eq!(world::catalogue(&target), constraints, "{case:?}");
            // It comes again, and they are there still.
            catch_up(case, &now, &target);
            let found = rows(&target);
            let theirs = changed.keys().filter(|row| !caught_up.contains_key(*row));
            assert_eq!(
                theirs.filter(|row| !found.contains_key(*row)).collect::<Vec<_>>(),
                Vec::<&String>::new(),
                "{case:?}"
            );
        }
    });
}

/// The rows of the platform, by table and key.
fn rows(target: &Target) -> BTreeMap<String, BTreeMap<String, Option<String>>> {
    let mut rows = BTreeMap::new();
    for table in platform(target) {
        for row in &table.rows {
            let key: Vec<&str> = table.key.iter().filter_map(|place| row[*place].as_deref()).collect();
            let columns = table.columns.iter().cloned().zip(row.iter().cloned()).collect();
            rows.insert(format!("{} {}", table.name, key.join(" ")), columns);
        }
    }
    rows
}

/// The platform as it stands, but for passwords: the ledger has a hash alone of one that a later state has written over.
fn platform(target: &Target) -> Vec<TableDump> {
    let mut tables = world::platform(target);
    for table in tables.iter_mut().filter(|table| table.name == "accounts") {
        let place = table.columns.iter().position(|column| column == "password_hash").unwrap();
        table.rows.iter_mut().for_each(|row| row[place] = None);
    }
    tables
}

#[test]
fn a_catch_up_that_is_killed_ends_as_others() {
    let wanted = std::env::var("REPLANT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    on_both(&|fresh| {
        let case = CASES[0];
        let now = Legacy::simulated(ROWS, 30);
        let before = now.before(30, 1);
        let Vanished { left, counts, gone } = now.without_some(30, &[&before]);
        let expected = alone(case, &counts, fresh).without(&gone);
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let begun = || {
            let target = fresh(&now);
            migrate(case, &before, &target);
            target
        };
        let again = |target: &Target| program(&["catch-up", "--env", "local"], left.path(), target).spawn().unwrap();
        let (target, clock) = (begun(), Instant::now());
        assert!(again(&target).wait().unwrap().success());
        let whole = clock.elapsed();
        let (mut kills, mut ends) = (0, 0);
        while kills < wanted {
            let target = begun();
            loop {
                let mut run = again(&target);
                let wait = if kills < wanted { whole.mul_f64(random.f64()) } else { Duration::MAX };
                if ended_within(&mut run, wait) {
                    assert!(run.wait().unwrap().success(), "a catch-up after {kills} kills fails (seed {seed})");
                    break;
                }
                run.kill().unwrap();
                run.wait().unwrap();
                kills += 1;
            }
            ends += 1;
            assert_same(&format!("after {kills} kills, seed {seed}"), &expected, &Known::of(&target));
        }
        println!("{kills} kills, {ends} catch-ups came to their end");
    });
}
