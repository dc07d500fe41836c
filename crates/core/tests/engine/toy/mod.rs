//! The toy domain: things become items with labels, parts become parts. A note of a thing says what to try on the target.

pub(crate) mod legacy;
pub(crate) mod target;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use legacy::{Knob, Part, Thing};
use target::{ItemRows, NewItem, NewLabel, NewPart, PartRows, Rename, Swap, items, labels, parts};

/// What stands behind a gate: called with the key of every unit that is judged.
pub(crate) type Gate = Arc<dyn Fn(Key) + Send + Sync>;

/// Gates by the name that the legacy table `knob` gives: tests of one process share the domain, not their gates.
pub(crate) static GATES: LazyLock<Mutex<HashMap<String, Gate>>> = LazyLock::new(Mutex::default);

pub(crate) fn domain() -> Domain {
    Domain::new("toy").step::<Things>().step::<Parts>()
}

/// Legacy `thing` to `items` and `labels`.
pub(crate) struct Things;

pub(crate) struct ThingLookups {
    followers: Followers,
    plan: Arc<StepPlan>,
    /// How many native items there were: it must be the same in every process.
    natives: i64,
    gate: Option<Gate>,
}

/// The thing that a thing with a `~` in its name follows.
fn led_by(name: &str) -> Option<&str> {
    name.split_once('~').map(|(leader, _)| leader)
}

/// How many items the site had.
#[derive(serde::Serialize, serde::Deserialize)]
struct Natives(i64);

impl Frozen for Natives {
    const NAME: &'static str = "toy.natives";

    fn read(db: &mut Db, _: &Ours) -> diesel::QueryResult<Self> {
        use diesel::prelude::*;
        items::table.count().get_result(db).map(Self)
    }

    fn extend(&mut self, _: Self) {}
}

impl Step for Things {
    const NAME: &'static str = "toy.things";
    const ABOUT: &'static str = "things become items";
    const AFTER: &'static [&'static str] = &[];
    const TARGET: &'static str = "items";
    const PARTS: &'static [(&'static str, &'static str)] = &[("labels", "item_id")];
    const MERGED: Option<&'static str> = Some("same_name");
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage")),
        ("name", Fate::Moved("items.name")),
        ("parent_id", Fate::Moved("items.parent_id")),
        ("qty", Fate::Moved("items.qty")),
        ("note", Fate::Moved("labels.label")),
    ];

    type Legacy = Thing;
    type Lookups = ThingLookups;
    type Rows = ItemRows;

    fn writes() -> Vec<TableShape> {
        // The colour may be NULL in a row of ours: the site has forbidden it since, let us say, after the checks.
        let mut items = shape_of::<items::table>("items");
        items.columns.iter_mut().filter(|column| column.name == "colour").for_each(|column| column.nullable = false);
        vec![items, shape_of::<labels::table>("labels")]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<ThingLookups, PrepareError> {
        let natives = cx.frozen::<Natives>()?.0;
        let mut leaders = HashMap::new();
        let mut followers = Vec::new();
        cx.scan(|thing: Thing| {
            let Some(name) = thing.name.good() else { return };
            match led_by(name).and_then(|leader| leaders.get(leader)) {
                Some(leader) => followers.push((*leader, thing.id)),
                None => {
                    leaders.entry(name.clone()).or_insert(thing.id);
                }
            }
        })?;
        let mut gate = None;
        cx.scan(|knob: Knob| gate = GATES.lock().unwrap().get(&knob.value).cloned())?;
        let followers = followers.into_iter().collect();
        Ok(ThingLookups { followers, plan: cx.plan(), natives, gate })
    }

    fn followers(lookups: &ThingLookups) -> Option<&Followers> {
        Some(&lookups.followers)
    }

    fn transform(lookups: &ThingLookups, unit: &Unit<'_, Thing>, draft: &mut Draft<ItemRows>) -> Result<i64, Refusal> {
        let thing = unit.leader();
        if let Some(gate) = &lookups.gate {
            gate(thing.id);
        }
        let id = lookups.plan.id_of(thing.id).expect("every planned row has an id");
        let raw = thing.name.text("name")?.ok_or_else(|| Refusal::quarantine("name_missing", "it has no name"))?;
        let name = raw.trim_matches([' ', '\0']).to_owned();
        if name != raw {
            draft.repair(thing.id, "name_trimmed", "name", raw.to_owned(), name.clone());
        }
        let qty = *thing.qty.read("qty")?.ok_or_else(|| Refusal::quarantine("qty_missing", "it has no quantity"))?;
        let notes = thing.note.text("note")?.unwrap_or_default();
        let has = |note: &str| notes.split(';').any(|n| n == note);
        assert!(!has("panic"), "a rule with a defect");
        if has("test") {
            return Err(Refusal::skip("test_thing"));
        }
        let colour = (!has("colourless")).then(|| if has("lie") { "lie" } else { "red" }.to_owned());
        let parent_id = thing.parent_id.reference("parent_id")?;
        draft.write(NewItem { id, name: name.clone(), parent_id, qty, colour });
        for row in unit.rows() {
            for note in row.note.text("note")?.unwrap_or_default().split(';') {
                match note {
                    "box" if row.id == thing.id => {}
                    note => say(lookups, draft, (id, &name), row.id, note),
                }
            }
        }
        // Were the frozen reading not the first one, the fingerprint would show it.
        draft.write(NewLabel { item_id: id, label: format!("of {}", lookups.natives) });
        Ok(id)
    }

    /// The site counts the items that came in: done twice, it would show.
    fn finish(_: &ThingLookups, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        diesel::RunQueryDsl::execute(
            diesel::sql_query(
                "INSERT INTO finishes (id, items) SELECT coalesce(max(f.id), 0) + 1, (SELECT count(*) FROM items) FROM finishes f",
            ),
            tx.db(),
        )?;
        Ok(())
    }
}

/// Does what a note says.
fn say(lookups: &ThingLookups, draft: &mut Draft<ItemRows>, (item, name): (i64, &str), key: Key, note: &str) {
    match note.split_once(':') {
        Some(("label", label)) => draft.write(NewLabel { item_id: item, label: label.to_owned() }),
        Some(("rename", to)) => {
            let (id, name) = to.split_once('=').expect("rename:ID=NAME");
            draft.write(Rename { id: id.parse().unwrap(), name: name.to_owned(), key });
        }
        Some(("swap", to)) => {
            let (id, name) = to.split_once('=').expect("swap:ID=NAME");
            draft.write(Swap(NewItem {
                id: id.parse().unwrap(),
                name: name.to_owned(),
                parent_id: None,
                qty: 1,
                colour: Some("blue".to_owned()),
            }));
        }
        // A follower is an item of its own.
        None if note == "alone" => {
            let id = lookups.plan.id_of(key).expect("every planned row has an id");
            draft.write(NewItem {
                id,
                name: format!("alone {key}"),
                parent_id: None,
                qty: 1,
                colour: Some("red".to_owned()),
            });
            draft.migrated_as(key, "items", id);
        }
        // A follower is a box of the item: an item of its own that points to a row of the same batch.
        None if note == "box" => {
            let id = lookups.plan.id_of(key).expect("every planned row has an id");
            let colour = Some("grey".to_owned());
            draft.write(NewItem { id, name: format!("{name} box {key}"), parent_id: Some(item), qty: 1, colour });
            draft.also("items", id);
        }
        _ => {}
    }
}

/// Legacy `part` to `parts`.
pub(crate) struct Parts;

pub(crate) struct PartLookups {
    things: Arc<replant_core::Standings>,
    plan: Arc<StepPlan>,
}

impl Step for Parts {
    const NAME: &'static str = "toy.parts";
    const ABOUT: &'static str = "parts of things";
    const AFTER: &'static [&'static str] = &[Things::NAME];
    const TARGET: &'static str = "parts";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage")),
        ("thing_id", Fate::Moved("parts.item_id")),
        ("amount", Fate::Moved("parts.amount_minor")),
        ("currency", Fate::Moved("parts.currency")),
    ];

    type Legacy = Part;
    type Lookups = PartLookups;
    type Rows = PartRows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<parts::table>("parts")]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<PartLookups, PrepareError> {
        Ok(PartLookups { things: cx.standings::<Things>()?, plan: cx.plan() })
    }

    fn transform(lookups: &PartLookups, unit: &Unit<'_, Part>, draft: &mut Draft<PartRows>) -> Result<i64, Refusal> {
        let part = unit.leader();
        let currency = part.currency.text("currency")?.and_then(Currency::new);
        let exact: Option<Decimal> = part.amount.text("amount")?.and_then(|amount| amount.parse().ok());
        let (Some(currency), Some(exact)) = (currency, exact) else {
            return Err(Refusal::quarantine("amount_unreadable", "the amount or its currency cannot be read"));
        };
        let exact_minor = exact * Decimal::ONE_HUNDRED;
        let amount = Money { currency, minor: exact_minor.round().to_i64().expect("a toy has small amounts") };
        draft.money(part.id, amount, exact_minor);
        let thing = lookups.things.of(part.thing_id.reference("thing_id")?);
        Refusal::of_parents([&thing])?;
        let Standing::Live(item_id) = thing else {
            return Err(Refusal::quarantine("thing_missing", "it is part of nothing"));
        };
        let id = lookups.plan.id_of(part.id).expect("every planned row has an id");
        // A rule with a defect: money in this currency grows on the way.
        let leak = i64::from(currency.as_str() == "LEK");
        draft.write(NewPart { id, item_id, amount_minor: amount.minor + leak, currency: currency.as_str().to_owned() });
        Ok(id)
    }
}
