//! Steps with defects: a panic, money that does not balance, texts that a target cannot keep.

use std::sync::mpsc;
use std::time::Duration;

use replant_core::{ChunkError, Currency, Outcome, RunError, Stop};
use replant_testkit::state::assert_same_state;

use crate::world::{World, chunks_of, count, fate, on_both, part, quarantine, state, texts, thing, totals};

#[test]
fn a_row_over_which_the_transform_panics_waits_in_quarantine() {
    let rows: String = (1..=30)
        .map(|id| thing(id, &format!("thing {id}"), "1", if id % 10 == 4 { "label:x;panic" } else { "" }))
        .collect();
    let world = World::new(&rows);
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(7));
        let found = quarantine(&target, "toy.things");
        assert_eq!(found.iter().map(|row| row.legacy_key).collect::<Vec<_>>(), [4, 14, 24]);
        assert!(found.iter().all(|row| row.code == "unforeseen" && row.reason.contains("panicked")));
        assert_eq!(count(&target, "labels WHERE label = 'x'"), 0);
        assert_eq!(totals(&target, "toy.things").0.migrated, 27);
    });
}

#[test]
fn a_write_that_panics_ends_the_run_and_nothing_of_its_chunk_stays() {
    let world = World::new(&[thing(1, "a", "1", ""), thing(2, "b", "1", "rename:2=panic")].concat());
    on_both(|fresh| {
        let target = fresh();
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            let (url, world) = (target.url.clone(), &world);
            let stop = Stop::default();
            let asked = stop.clone();
            scope.spawn(move || send.send(world.migration(&url, chunks_of(1)).run(&stop, &replant_core::Silent)));
            let ended = receive.recv_timeout(Duration::from_secs(10));
            asked.request();
            match ended.expect("the run ends") {
                Err(RunError::Chunk { lo: 2, hi: 2, source: ChunkError::Panicked, .. }) => {}
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(count(&target, "replant_chunks WHERE state = 'claimed'"), 0);
        assert_eq!(texts(&target, "SELECT name AS value FROM items WHERE id = 2"), ["other native"]);
        world.change("UPDATE thing SET note = ''");
        world.complete(&target, chunks_of(1));
        assert_same_state("mended", &world.undisturbed(fresh), &state(&target));
        world.change("UPDATE thing SET note = 'rename:2=panic' WHERE id = 2");
    });
}

#[test]
fn money_that_does_not_balance_is_not_written() {
    let mut rows: String = (1..=20).map(|id| thing(id, &format!("thing {id}"), "1", "")).collect();
    rows += &(1..=20)
        .map(|id| part(id, &id.to_string(), "1.005", if id == 13 { "LEK" } else { "GBP" }))
        .collect::<String>();
    let world = World::new(&rows);
    on_both(|fresh| {
        let target = fresh();
        let error = world.run(&target, chunks_of(5)).expect_err("money is made");
        assert!(
            matches!(error, RunError::Chunk { step: "toy.parts", lo: 11, hi: 15, source: ChunkError::Unbalanced(_) }),
            "{error}"
        );
        assert_eq!(count(&target, "parts WHERE currency = 'LEK'"), 0);
        assert_eq!(
            count(&target, "parts p JOIN items i ON i.id = p.item_id WHERE i.name IN ('thing 11', 'thing 15')"),
            0
        );
        world.change("UPDATE part SET currency = 'GBP' WHERE id = 13");
        world.complete(&target, chunks_of(5));
        let (counts, money) = totals(&target, "toy.parts");
        assert_eq!(counts.migrated, 20);
        let (_, flow) = money.iter().find(|(currency, _)| *currency == Currency::new("GBP").unwrap()).unwrap();
        assert_eq!(
            (flow.read.to_string(), flow.migrated.to_string(), flow.repaired.to_string()),
            ("2010.000".to_owned(), "2000".to_owned(), "10.000".to_owned())
        );
        world.change("UPDATE part SET currency = 'LEK' WHERE id = 13");
    });
}

#[test]
fn a_repaired_value_with_a_nul_comes_in_like_any_other() {
    // PostgreSQL keeps no NUL in a text, and the value before the repair is a text of the ledger.
    let mut rows = thing(1, "a", "1", "");
    rows += "INSERT INTO thing VALUES (2, 'b' || char(0), NULL, 1, '');";
    let world = World::new(&rows);
    on_both(|fresh| {
        let target = fresh();
        world.complete(&target, chunks_of(10));
        assert_eq!(fate(&target, "toy.things", 2).outcome, Outcome::Migrated, "{}", target.url.backend());
        assert_eq!(texts(&target, "SELECT value_before AS value FROM replant_repairs"), ["b\u{2400}"]);
    });
}
