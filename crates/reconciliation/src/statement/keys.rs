//! The legacy rows of a person, by their keys: those that name a user or a brand of theirs, or their address.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use replant_clean as clean;
use replant_core::db::Db;
use replant_core::{Cell, Key};

use super::person::{Person, address};
use crate::error::{Reading, ReportError};
use crate::read::{PAGE, pages};
use crate::schema::legacy::{
    bank_transfer as t, brand as b, credit_entry as e, cross_charge as c, finance_transaction as f, invoice as i,
    plantation as p, subscription as s,
};

/// The keys of a person's rows, by legacy table.
pub(super) type Keys = BTreeMap<&'static str, BTreeSet<Key>>;

/// The rows of a table that name one of the users.
macro_rules! of_users {
    ($legacy:expr, $table:ident, $what:literal, $users:expr) => {{
        let mut keys: BTreeSet<Key> = BTreeSet::new();
        for some in $users.chunks(1_000) {
            let theirs = $table::table.filter($table::user_id.eq_any(some.to_vec())).select($table::id);
            keys.extend(theirs.load::<Key>($legacy).reading($what)?);
        }
        keys
    }};
}

pub(super) fn keys(legacy: &mut Db, person: &Person) -> Result<Keys, ReportError> {
    let users: Vec<Key> = person.users.iter().copied().collect();
    let brands = brands(legacy, &users)?;
    let mut plantations = of_users!(legacy, p, "legacy plantations", users);
    plantations.extend(plantations_without_user(legacy, &brands.theirs)?);
    plantations.extend(gifts(legacy, &person.address)?);
    let transactions = of_users!(legacy, f, "legacy transactions", users);
    Ok(Keys::from([
        ("user", person.users.clone()),
        ("subscription", of_users!(legacy, s, "legacy subscriptions", users)),
        ("invoice", of_users!(legacy, i, "legacy invoices", users)),
        ("finance_transaction", with_others(legacy, transactions, &brands.theirs, &person.address)?),
        ("bank_transfer", transfers(legacy, person)?),
        ("plantation", plantations),
        ("cross_charge", cross_charges(legacy, &brands)?),
        ("credit_entry", of_users!(legacy, e, "legacy credit entries", users)),
        ("brand", brands.theirs),
    ]))
}

struct Brands {
    theirs: BTreeSet<Key>,
    /// The names of theirs, in one case.
    names: BTreeSet<String>,
    all: BTreeSet<Key>,
}

fn folded(name: &Cell<String>) -> Option<String> {
    clean::text(name.good()?).value.map(|name| clean::casefold(&name))
}

/// The row that a cell names.
fn named(cell: &Cell<i64>) -> Option<Key> {
    cell.reference("an id").ok().flatten()
}

fn brands(legacy: &mut Db, users: &[Key]) -> Result<Brands, ReportError> {
    let rows: Vec<(Key, Cell<i64>, Cell<String>)> =
        b::table.select((b::id, b::user_id, b::name)).load(legacy).reading("legacy brands")?;
    let mut brands = Brands { theirs: BTreeSet::new(), names: BTreeSet::new(), all: BTreeSet::new() };
    for (id, user, name) in rows {
        brands.all.insert(id);
        if named(&user).is_some_and(|user| users.binary_search(&user).is_ok()) {
            brands.theirs.insert(id);
            brands.names.extend(folded(&name));
        }
    }
    Ok(brands)
}

/// A row without a user belongs to the account of its brand.
fn plantations_without_user(legacy: &mut Db, brands: &BTreeSet<Key>) -> Result<Vec<Key>, ReportError> {
    if brands.is_empty() {
        return Ok(Vec::new());
    }
    let brands: Vec<Key> = brands.iter().copied().collect();
    p::table
        .filter(p::brand_id.eq_any(brands))
        .filter(p::user_id.is_null().or(p::user_id.eq(0)))
        .select(p::id)
        .load(legacy)
        .reading("legacy plantations")
}

fn gifts(legacy: &mut Db, wanted: &str) -> Result<Vec<Key>, ReportError> {
    let mut found = Vec::new();
    pages(
        legacy,
        "legacy gifts",
        |db, after| {
            let page = p::table.filter(p::id.gt(after)).filter(p::gift_email.is_not_null()).order(p::id).limit(PAGE);
            page.select((p::id, p::gift_email)).load::<(Key, Cell<String>)>(db)
        },
        |row| row.0,
        |(id, email)| {
            if email.good().and_then(|email| address(email)).as_deref() == Some(wanted) {
                found.push(id);
            }
        },
    )?;
    Ok(found)
}

type Loose = (Key, Cell<i64>, Cell<i64>, Cell<String>);

/// Transactions without a user: by the address in their meta, else by their brand; and refunds of any of theirs.
fn with_others(
    legacy: &mut Db,
    mut theirs: BTreeSet<Key>,
    brands: &BTreeSet<Key>,
    wanted: &str,
) -> Result<BTreeSet<Key>, ReportError> {
    let mut children = Vec::new();
    pages(
        legacy,
        "legacy transactions",
        |db, after| {
            let nobody = f::user_id.is_null().or(f::user_id.eq(0));
            let page = f::table.filter(f::id.gt(after)).filter(nobody).order(f::id).limit(PAGE);
            page.select((f::id, f::brand_id, f::parent_id, f::meta)).load::<Loose>(db)
        },
        |row| row.0,
        |(id, brand, parent, meta)| {
            let named = meta.good().and_then(|meta| email_in(meta)).and_then(|email| address(&email));
            let is_theirs = match named {
                Some(named) => named == wanted,
                None => self::named(&brand).is_some_and(|brand| brands.contains(&brand)),
            };
            if is_theirs {
                theirs.insert(id);
            }
            children.extend(self::named(&parent).map(|parent| (id, parent)));
        },
    )?;
    let refunds: Vec<Key> =
        children.into_iter().filter(|(_, parent)| theirs.contains(parent)).map(|(id, _)| id).collect();
    theirs.extend(refunds);
    Ok(theirs)
}

/// JSON that cannot be parsed names nobody.
fn email_in(meta: &str) -> Option<String> {
    let meta: serde_json::Value = serde_json::from_str(meta).ok()?;
    meta.get("email")?.as_str().map(str::to_owned)
}

type Transfer = (Key, Cell<i64>, Cell<String>);

fn transfers(legacy: &mut Db, person: &Person) -> Result<BTreeSet<Key>, ReportError> {
    let mut found = BTreeSet::new();
    pages(
        legacy,
        "legacy bank transfers",
        |db, after| {
            let page = t::table.filter(t::id.gt(after)).order(t::id).limit(PAGE);
            page.select((t::id, t::user_id, t::payer_email)).load::<Transfer>(db)
        },
        |row| row.0,
        |(id, user, payer)| {
            let is_theirs = match named(&user) {
                Some(user) => person.users.contains(&user),
                None => payer.good().and_then(|payer| address(payer)).as_deref() == Some(&person.address),
            };
            if is_theirs {
                found.insert(id);
            }
        },
    )?;
    Ok(found)
}

type Charge = (Key, Cell<i64>, Cell<String>);

/// By the brand's id, else by its name where no brand has that id (rules: Cross-charges).
fn cross_charges(legacy: &mut Db, brands: &Brands) -> Result<BTreeSet<Key>, ReportError> {
    let mut found = BTreeSet::new();
    if brands.theirs.is_empty() {
        return Ok(found);
    }
    pages(
        legacy,
        "legacy cross-charges",
        |db, after| {
            let page = c::table.filter(c::id.gt(after)).order(c::id).limit(PAGE);
            page.select((c::id, c::brand_id, c::brand_name)).load::<Charge>(db)
        },
        |row| row.0,
        |(id, brand, name)| {
            let is_theirs = match named(&brand).filter(|brand| brands.all.contains(brand)) {
                Some(brand) => brands.theirs.contains(&brand),
                None => folded(&name).is_some_and(|name| brands.names.contains(&name)),
            };
            if is_theirs {
                found.insert(id);
            }
        },
    )?;
    Ok(found)
}
