//! Columns of the target: types that a binary COPY takes, and columns that Replant does not know.

use diesel::connection::SimpleConnection;
use replant_core::{RunError, Settings};

use super::refused;
use crate::world::{World, count, on_both, ordinary, postgres, site, sqlite};

#[test]
fn an_integer_of_another_width_is_refused_with_both_types() {
    let world = World::new(&ordinary(20));
    let Some(target) = postgres() else { return };
    for (column, other, named) in [
        ("items ALTER COLUMN qty", "bigint", "`items.qty` is bigint, where Integer was expected"),
        ("items ALTER COLUMN qty", "smallint", "`items.qty` is smallint, where Integer was expected"),
        ("parts ALTER COLUMN amount_minor", "integer", "`parts.amount_minor` is integer, where BigInt was expected"),
        ("parts ALTER COLUMN amount_minor", "numeric", "`parts.amount_minor` is numeric, where BigInt was expected"),
    ] {
        site(&target.url, &format!("ALTER TABLE {column} TYPE {other}"));
        let RunError::Preflight { findings } = refused(&world, &target, &[named]) else { unreachable!() };
        assert_eq!(findings.len(), 1, "{findings:?}");
        site(&target.url, findings[0].mend.as_deref().expect("a statement"));
        world.migration(&target.url, Settings::default()).plan().expect("what is said mends it");
    }
}

#[test]
fn types_that_are_sent_as_text_are_taken() {
    let world = World::new(&ordinary(40));
    let Some(expected) = postgres() else { return };
    world.complete(&expected, Settings::default());
    let Some(target) = postgres() else { return };
    let mut db = target.open();
    db.batch_execute(
        "CREATE EXTENSION citext SCHEMA public; CREATE DOMAIN short AS varchar(40); CREATE DOMAIN shorter AS short;
         CREATE DOMAIN whole AS bigint CHECK (VALUE >= 0);
         ALTER TABLE items ALTER COLUMN name TYPE citext; ALTER TABLE items ALTER COLUMN colour TYPE char(8);
         ALTER TABLE labels ALTER COLUMN label TYPE shorter; ALTER TABLE parts ALTER COLUMN currency TYPE varchar(3);
         ALTER TABLE parts ALTER COLUMN amount_minor TYPE whole",
    )
    .unwrap();
    drop(db);
    world.complete(&target, Settings::default());
    for table in ["items", "labels", "parts"] {
        assert_eq!(count(&target, table), count(&expected, table), "{table}");
    }
}

#[test]
fn an_enum_is_no_text() {
    let Some(target) = postgres() else { return };
    let to_enum = "CREATE TYPE colours AS ENUM ('red', 'green'); ALTER TABLE items ALTER COLUMN colour TYPE colours USING colour::colours";
    site(&target.url, to_enum);
    refused(&World::new(&ordinary(20)), &target, &["`items.colour` is colours, where Text was expected"]);
}

#[test]
fn further_columns_that_the_database_fills_are_taken() {
    let world = World::new(&ordinary(40));
    let Some(target) = postgres() else { return };
    site(
        &target.url,
        "CREATE DOMAIN mood AS text NOT NULL DEFAULT 'calm';
         ALTER TABLE items ADD letter text NOT NULL DEFAULT 'monthly', ADD twice integer NOT NULL GENERATED ALWAYS AS (qty * 2) STORED,
           ADD mood mood, ADD shelf bigint;
         ALTER TABLE parts ADD serial bigint NOT NULL GENERATED ALWAYS AS IDENTITY",
    );
    world.complete(&target, Settings::default());
    assert_eq!(count(&target, "items WHERE letter <> 'monthly' OR twice <> qty * 2 OR mood <> 'calm'"), 0);

    let target = sqlite();
    site(
        &target.url,
        "ALTER TABLE items ADD COLUMN letter TEXT NOT NULL DEFAULT 'monthly';
         ALTER TABLE items ADD COLUMN twice INTEGER NOT NULL GENERATED ALWAYS AS (qty * 2) VIRTUAL",
    );
    world.complete(&target, Settings::default());
    assert_eq!(count(&target, "items WHERE letter <> 'monthly' OR twice <> qty * 2"), 0);
}

#[test]
fn a_column_that_the_database_computes_cannot_be_written() {
    let world = World::new(&ordinary(20));
    let Some(target) = postgres() else { return };
    site(
        &target.url,
        "ALTER TABLE items DROP COLUMN colour; ALTER TABLE items ADD colour text GENERATED ALWAYS AS ('red'::text) STORED",
    );
    refused(&world, &target, &["`items.colour` is computed by the database"]);
}

#[test]
fn a_key_that_is_no_integer_is_named() {
    let world = World::new(&ordinary(20));
    world.change(
        "DROP TABLE part; CREATE TABLE part (id INT, thing_id INTEGER, amount TEXT, currency TEXT);
         INSERT INTO part VALUES (1, 1, '1', 'GBP')",
    );
    on_both(|fresh| {
        world.migration(&fresh().url, Settings::default()).plan().expect("integers, so far");
    });
    world.change("INSERT INTO part VALUES ('seven', 1, '1', 'GBP')");
    on_both(|fresh| {
        refused(&world, &fresh(), &["the key `part.id` holds something else than integers"]);
    });
}
