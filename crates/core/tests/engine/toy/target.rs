//! The toy's target rows, and two ways of changing an item that was there before.

use diesel::prelude::*;
use replant_core::prelude::*;
use replant_core::{Amending, Amendment, Batch, Lock, columns};
use serde::{Deserialize, Serialize};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
        parent_id -> Nullable<BigInt>,
        qty -> Integer,
        colour -> Nullable<Text>,
    }
}

diesel::table! {
    labels (item_id, label) {
        item_id -> BigInt,
        label -> Text,
        // Written by the target's default alone.
        weight -> Integer,
    }
}

diesel::table! {
    parts (id) {
        id -> BigInt,
        item_id -> BigInt,
        amount_minor -> BigInt,
        currency -> Text,
    }
}

#[derive(Debug, Clone, Insertable, Serialize, Deserialize)]
#[diesel(table_name = items, treat_none_as_default_value = false)]
pub(crate) struct NewItem {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) parent_id: Option<i64>,
    pub(crate) qty: i32,
    #[serde(serialize_with = "told")]
    pub(crate) colour: Option<String>,
}

/// A defect of writing: of one colour the ledger hears another one than is sent.
fn told<S: serde::Serializer>(colour: &Option<String>, into: S) -> Result<S::Ok, S::Error> {
    match colour.as_deref() {
        Some("lie") => Some("truth").serialize(into),
        _ => colour.serialize(into),
    }
}

#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = labels, treat_none_as_default_value = false)]
pub(crate) struct NewLabel {
    pub(crate) item_id: i64,
    pub(crate) label: String,
}

#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = parts, treat_none_as_default_value = false)]
pub(crate) struct NewPart {
    pub(crate) id: i64,
    pub(crate) item_id: i64,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
}

impl NewPart {
    fn money(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.amount_minor })
    }
}

replant_core::insert!(NewItem => items, successor = parent_id);
replant_core::insert!(NewLabel => labels);
// Nobody hides a currency; but so every test of parts has a secret.
replant_core::insert!(NewPart => parts, money = |part| part.money(), secret = [currency],
    fixed = [item_id, amount_minor, currency], summed = [amount_minor, currency, item_id]);

replant_core::rows! {
    /// What a chunk of things writes.
    pub(crate) struct ItemRows { renames: Rename, swaps: Swap, items: NewItem, labels: NewLabel }
}

replant_core::rows! {
    /// What a chunk of parts writes.
    pub(crate) struct PartRows { parts: NewPart }
}

/// An item that was there before gets another name.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rename {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) key: Key,
}

impl Write for Rename {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let mut changes = Vec::new();
        for (unit, rename) in batch.iter() {
            assert!(rename.name != "panic", "a write with a defect");
            let name = replant_core::literal(&rename.name);
            let changed = tx.execute(&format!("UPDATE items SET name = {name} WHERE id = {}", rename.id))?;
            if changed == 0 {
                tx.refuse(unit, Code::TARGET_ROW_GONE, "the item to rename is not there");
                continue;
            }
            tx.touch(unit);
            changes.push(Change {
                table: "items".into(),
                row: rename.id.into(),
                legacy_key: Some(rename.key),
                what: "renamed".into(),
                before: None,
                after: Some(columns!(name = rename.name)),
            });
        }
        tx.changed(changes)
    }
}

/// A whole item takes the place of one that was there before.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Swap(pub(crate) NewItem);

impl Write for Swap {
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let amendment = |(unit, swap): (_, &Self)| Amendment { unit, id: swap.0.id, legacy_key: None, lock: Lock::Key };
        let rows: Vec<Amendment> = batch.iter().map(amendment).collect();
        tx.amend(Amending { what: "swapped", stamp: None }, &rows, &mut |place, found: Option<NewItem>| {
            let gone = || (Code::TARGET_ROW_GONE, "the item to swap is not there".to_owned());
            found.map(|_| batch.rows()[place].0.clone()).ok_or_else(gone)
        })
    }
}
