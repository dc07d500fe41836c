//! Rows that the target's constraints refuse: those units stay out, whole, and nobody else does.

use std::collections::BTreeMap;

use replant_core::db::Backend;
use replant_core::{Currency, Event, Key, Outcome, Settings};
use replant_testkit::conformance::Target;
use replant_testkit::dump;
use replant_testkit::state::assert_same_state;
use rust_decimal::Decimal;

use crate::world::{
    Watch, World, child, chunks_of, count, fate, on_both, ordinary, part, postgres, quarantine, site, sqlite, state,
    thing, totals,
};

/// A way in which the target refuses a thing, with what its reason names in PostgreSQL and in SQLite.
pub(crate) struct Kind {
    what: &'static str,
    bad: fn(Key) -> String,
    postgres: &'static str,
    sqlite: &'static str,
    /// Whether the first row of the kind still goes in: the others are refused because of it.
    first_is_good: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        what: "a name that a native item has",
        bad: |id| thing(id, "native", "1", ""),
        postgres: "items_name_key",
        sqlite: "items.name",
        first_is_good: false,
    },
    Kind {
        what: "a name that is twice in the chunk",
        bad: |id| thing(id, "twice", "1", ""),
        postgres: "items_name_key",
        sqlite: "items.name",
        first_is_good: true,
    },
    Kind {
        what: "a check",
        bad: |id| thing(id, &format!("empty {id}"), "0", ""),
        postgres: "items_qty_check",
        sqlite: "qty > 0",
        first_is_good: false,
    },
    Kind {
        what: "a column that must not be NULL",
        bad: |id| thing(id, &format!("void {id}"), "1", "colourless"),
        postgres: "colour is not null",
        sqlite: "items.colour",
        first_is_good: false,
    },
    Kind {
        what: "a foreign key",
        bad: |id| child(id, &format!("orphan {id}"), "9999999", "1", ""),
        postgres: "items_parent_id_fkey",
        sqlite: "foreign key",
        first_is_good: false,
    },
    Kind {
        what: "a child row that a check refuses after its parent went in",
        bad: |id| thing(id, &format!("long {id}"), "1", "label:good;label:far too long for a label"),
        postgres: "labels_label_check",
        sqlite: "length(label) < 20",
        first_is_good: false,
    },
    Kind {
        what: "a child row that is there twice",
        bad: |id| thing(id, &format!("double {id}"), "1", "label:one;label:one"),
        postgres: "labels_pkey",
        sqlite: "labels.item_id, labels.label",
        first_is_good: false,
    },
];

/// Rows a chunk; the n-th chunk holds rows of the n-th kind.
pub(crate) fn rows(a_chunk: i64, bad: i64) -> (String, BTreeMap<Key, &'static Kind>) {
    let mut sql = String::new();
    let mut refused = BTreeMap::new();
    for (n, kind) in (0..).zip(KINDS) {
        for place in 0..a_chunk {
            let id = n * a_chunk + place + 1;
            // Spread, but for the last row of each chunk.
            let is_bad = bad > 0 && place % (a_chunk / bad) == 0;
            if is_bad {
                sql += &(kind.bad)(id);
                if place > 0 || !kind.first_is_good {
                    refused.insert(id, kind);
                }
            } else {
                sql += &thing(id, &format!("good {id}"), "1", "label:good");
            }
        }
    }
    (sql, refused)
}

/// Every row has a part, and every tenth a follower, both under keys of their own.
const FOLLOWER: Key = 1_000_000;

fn refuses_exactly_the_bad_ones(a_chunk: i64, bad: i64) {
    let (mut sql, refused) = rows(a_chunk, bad);
    let things = a_chunk * i64::try_from(KINDS.len()).unwrap();
    let mut followers = BTreeMap::new();
    for id in 1..=things {
        sql += &part(id, &id.to_string(), "1.00", "GBP");
        let name = match refused.get(&id).map(|kind| kind.what) {
            Some("a check") => format!("empty {id}~2"),
            Some("a foreign key") => format!("orphan {id}~2"),
            None if id % 10 == 2 => format!("good {id}~2"),
            _ => continue,
        };
        sql += &thing(FOLLOWER + id, &name, "1", "box");
        sql += &part(FOLLOWER + id, &(FOLLOWER + id).to_string(), "1.00", "GBP");
        followers.insert(FOLLOWER + id, id);
    }
    let world = World::new(&sql);
    let moved = |target: &Target| {
        let settings = chunks_of(a_chunk.unsigned_abs());
        world.complete(target, settings);
        check(target, &refused, things, &followers);
    };
    let lite = sqlite();
    moved(&lite);
    if let Some(pg) = postgres() {
        moved(&pg);
        dump::assert_same(&dump::dump_all(&mut lite.open()).unwrap(), &dump::dump_all(&mut pg.open()).unwrap());
    }
}

fn check(target: &Target, refused: &BTreeMap<Key, &'static Kind>, things: i64, followers: &BTreeMap<Key, Key>) {
    let backend = target.url.backend();
    let first = |key: Key| followers.get(&key).copied().unwrap_or(key);
    let found = quarantine(target, "toy.things");
    let keys: Vec<Key> = found.iter().map(|row| row.legacy_key).collect();
    let expected: Vec<Key> =
        (1..=things).chain(followers.keys().copied()).filter(|key| refused.contains_key(&first(*key))).collect();
    assert_eq!(keys, expected, "the quarantined things ({backend})");
    for row in &found {
        let leader = first(row.legacy_key);
        let kind = refused[&leader];
        assert_eq!((row.root_step.as_str(), row.root_key), ("toy.things", leader), "{}", kind.what);
        let (code, name) = match (row.legacy_key == leader, backend) {
            (false, _) => ("parent_quarantined", "waits for row"),
            (true, Backend::Sqlite) => ("constraint_violated", kind.sqlite),
            (true, _) => ("constraint_violated", kind.postgres),
        };
        assert_eq!(row.code, code, "{} ({backend})", kind.what);
        assert!(row.reason.contains(name), "{} ({backend}): {}", kind.what, row.reason);
        assert!(row.legacy_row.contains(&format!("\"id\":{}", row.legacy_key)));
    }

    let parts = quarantine(target, "toy.parts");
    assert_eq!(
        parts.iter().map(|row| row.legacy_key).collect::<Vec<_>>(),
        expected,
        "the quarantined parts ({backend})"
    );
    for row in &parts {
        assert_eq!(row.code, "parent_quarantined");
        assert_eq!((row.root_step.as_str(), row.root_key), ("toy.things", first(row.legacy_key)));
    }

    let all = u64::try_from(things + i64::try_from(followers.len()).unwrap()).unwrap();
    let out = u64::try_from(expected.len()).unwrap();
    let merged = u64::try_from(followers.values().filter(|leader| !refused.contains_key(leader)).count()).unwrap();
    let (counts, _) = totals(target, "toy.things");
    assert_eq!((counts.read, counts.merged, counts.quarantined), (all, merged, out));
    let (counts, money) = totals(target, "toy.parts");
    assert_eq!((counts.read, counts.migrated, counts.quarantined), (all, all - out, out));
    let (gbp, flow) = money.iter().next().unwrap();
    assert_eq!(gbp, Currency::new("GBP").unwrap());
    let pence = |rows: u64| Decimal::from(rows * 100);
    assert_eq!((flow.read, flow.migrated, flow.quarantined), (pence(all), pence(all - out), pence(out)));

    // Nothing of a refused unit stays, and everything of the others is there.
    let kept: i64 = things - i64::try_from(refused.len()).unwrap();
    assert_eq!(count(target, "items WHERE colour = 'red'"), kept, "items ({backend})");
    assert_eq!(count(target, "labels WHERE label LIKE 'of %' AND weight = 1"), kept, "labels ({backend})");
    assert_eq!(count(target, "labels WHERE item_id IN (SELECT id FROM items WHERE colour = 'grey')"), 0);
    assert_eq!(count(target, "parts"), i64::try_from(all - out).unwrap());
    assert_eq!(count(target, "items WHERE colour = 'grey'"), i64::try_from(merged).unwrap(), "boxes ({backend})");
}

#[test]
fn one_refused_row_in_a_thousand_stays_out_alone() {
    refuses_exactly_the_bad_ones(1_000, 1);
}

#[test]
fn five_refused_rows_in_a_hundred_stay_out_alone() {
    refuses_exactly_the_bad_ones(400, 20);
}

#[test]
fn a_chunk_that_is_refused_whole_stays_out_whole() {
    refuses_exactly_the_bad_ones(60, 60);
}

#[test]
fn a_row_comes_in_when_the_one_that_had_its_name_is_refused_for_something_else() {
    // The first takes the name and falls over its label; the second is innocent, in one chunk as in two.
    let world = World::new(
        &[
            thing(1, "name", "1", "label:far too long for a label"),
            thing(2, "name", "1", ""),
            thing(3, "name", "1", ""),
        ]
        .concat(),
    );
    on_both(|fresh| {
        for rows in [1, 3] {
            let target = fresh();
            world.complete(&target, one_worker(rows));
            let outcomes: Vec<Outcome> = (1..=3).map(|key| fate(&target, "toy.things", key).outcome).collect();
            assert_eq!(
                outcomes,
                [Outcome::Quarantined, Outcome::Migrated, Outcome::Quarantined],
                "chunks of {rows} ({})",
                target.url.backend()
            );
        }
    });
}

fn one_worker(chunk_rows: u64) -> Settings {
    Settings { readers: 1, writers: 1, ..chunks_of(chunk_rows) }
}

#[test]
fn a_change_of_a_row_that_was_there_is_refused_alone() {
    // Each thing brings a label of its own, so that a refused change must take back what its unit wrote besides.
    let mut rows = String::new();
    for id in 1..=40 {
        rows += &match id {
            7 => thing(id, "seven", "1", "rename:2=native;label:seven"),
            19 => thing(id, "nineteen", "1", "rename:1=;label:nineteen"),
            23 => thing(id, "twenty-three", "1", "swap:2=native;label:swap"),
            31 => thing(id, "thirty-one", "1", "rename:999=x;label:gone"),
            33 => thing(id, "thirty-three", "1", "rename:2=renamed;label:fine"),
            _ => thing(id, &format!("thing {id}"), "1", "label:fine"),
        };
    }
    let world = World::new(&rows);
    on_both(|fresh| {
        let mut states = Vec::new();
        for rows in [40, 9, 1] {
            let target = fresh();
            world.complete(&target, one_worker(rows));
            let refused: Vec<(Key, String)> =
                quarantine(&target, "toy.things").into_iter().map(|row| (row.legacy_key, row.code)).collect();
            let violated = |key: Key| (key, "constraint_violated".to_owned());
            assert_eq!(
                refused,
                [violated(7), violated(19), violated(23), (31, "target_row_gone".to_owned())],
                "chunks of {rows} ({})",
                target.url.backend()
            );
            assert_eq!(count(&target, "items WHERE colour = 'red'"), 36);
            assert_eq!(count(&target, "labels WHERE label = 'fine'"), 36);
            assert_eq!(count(&target, "labels WHERE label IN ('seven', 'nineteen', 'swap', 'gone')"), 0);
            assert_eq!(count(&target, "items WHERE id = 2 AND name = 'renamed' AND colour = 'green'"), 1);
            states.push(state(&target));
        }
        assert_same_state("chunks of 9 rows", &states[0], &states[1]);
        assert_same_state("chunks of 1 row", &states[0], &states[2]);
    });
}

#[test]
fn whole_rows_take_the_place_of_those_that_were_there() {
    let world = World::new(&[thing(1, "a", "1", "swap:1=first"), thing(2, "b", "1", "swap:2=second")].concat());
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(10));
        assert_eq!(
            count(&target, "items WHERE (id, name, colour) IN (VALUES (1, 'first', 'blue'), (2, 'second', 'blue'))"),
            2
        );
    });
}

#[test]
fn refusals_leave_the_rest_of_an_ordinary_run_as_it_is() {
    // The first item of the sequence is taken by the site between the plan and the chunk: that row alone stays out.
    let world = World::new(&ordinary(60));
    on_both(|fresh| {
        let undisturbed = fresh();
        world.complete(&undisturbed, chunks_of(20));
        let target = fresh();
        let url = &target.url;
        let watch = Watch::new(move |event| {
            if matches!(event, Event::StepStarted { step: "toy.things", .. }) {
                site(url, "INSERT INTO items (name, qty, colour) VALUES ('thing 2', 5, 'green')");
            }
        });
        assert!(world.watched(&target, chunks_of(20), &watch).unwrap().complete);
        let (before, after) = (totals(&undisturbed, "toy.things").0, totals(&target, "toy.things").0);
        assert_eq!((after.migrated, after.quarantined), (before.migrated - 1, before.quarantined + 1));
        assert_eq!(fate(&target, "toy.things", 2).code.as_deref(), Some("constraint_violated"));
    });
}

#[test]
fn identities_that_are_always_generated_take_the_planned_ids_on_every_path() {
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER TABLE items ALTER COLUMN id SET GENERATED ALWAYS");
    let world = World::new(&[thing(1, "a", "1", ""), thing(2, "b", "0", ""), thing(3, "c", "1", "")].concat());
    world.complete(&target, chunks_of(10));
    assert_eq!(quarantine(&target, "toy.things").len(), 1);
    assert_eq!(fate(&target, "toy.things", 3).outcome, Outcome::Migrated);
}

#[test]
fn a_constraint_that_is_checked_at_commit_refuses_its_row_alone() {
    let Some(target) = postgres() else { return };
    site(&target.url, "ALTER TABLE items ALTER CONSTRAINT items_parent_id_fkey DEFERRABLE INITIALLY DEFERRED");
    let world = World::new(&[thing(1, "a", "1", ""), child(2, "b", "77777", "1", ""), thing(3, "c", "1", "")].concat());
    world.complete(&target, chunks_of(10));
    let found = quarantine(&target, "toy.things");
    assert_eq!(found.iter().map(|row| row.legacy_key).collect::<Vec<_>>(), [2]);
    assert!(found[0].reason.contains("items_parent_id_fkey"));
}
