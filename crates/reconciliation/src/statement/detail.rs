//! What a legacy row says, in a line: enough for its owner to know it again.

use std::collections::BTreeMap;

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::{Cell, Key, Wall};

use crate::error::{Reading, ReportError};
use crate::schema::legacy::{
    bank_transfer as t, brand as b, credit_entry as e, cross_charge as c, finance_transaction as f, invoice as i,
    plantation as p, subscription as s, user as u,
};

/// When it was, and what: both as the legacy table writes it.
#[derive(Debug, Default)]
pub(super) struct Detail {
    pub(super) at: Option<String>,
    pub(super) about: String,
    /// Of a planting.
    pub(super) trees: Option<i64>,
}

type Details = BTreeMap<Key, Detail>;

/// What rows of a legacy table say. A row that is gone is not among them.
pub(super) fn details(legacy: &mut Db, table: &str, keys: &[Key]) -> Result<Details, ReportError> {
    let mut details = Details::new();
    for some in keys.chunks(1_000) {
        let keys = some.to_vec();
        let rows = match table {
            "user" => users(legacy, keys),
            "brand" => brands(legacy, keys),
            "subscription" => subscriptions(legacy, keys),
            "invoice" => invoices(legacy, keys),
            "finance_transaction" => transactions(legacy, keys),
            "bank_transfer" => transfers(legacy, keys),
            "plantation" => plantations(legacy, keys),
            "cross_charge" => cross_charges(legacy, keys),
            "credit_entry" => credit_entries(legacy, keys),
            _ => Ok(Vec::new()),
        };
        details.extend(rows.reading("legacy rows that were not moved")?);
    }
    Ok(details)
}

type Rows = QueryResult<Vec<(Key, Detail)>>;

/// What is stored in a cell, whatever it is.
fn stored<T: ToString>(cell: &Cell<T>) -> Option<String> {
    match cell {
        Cell::Good(value) => Some(value.to_string()),
        Cell::Null => None,
        Cell::Bad(unfit) => Some(unfit.raw.clone()),
    }
}

fn wall(cell: &Cell<Wall>) -> Option<String> {
    match cell {
        Cell::Good(Wall(at)) => Some(at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        Cell::Null => None,
        Cell::Bad(unfit) => Some(unfit.raw.clone()),
    }
}

/// Those of the named values that are not NULL: `type card, status ""`. An empty one may be what is wrong with the row.
fn said(parts: &[(&str, Option<String>)]) -> String {
    let shown = |value: &str| if value.trim().is_empty() { format!("{value:?}") } else { value.to_owned() };
    let there = parts.iter().filter_map(|(name, value)| Some(format!("{name} {}", shown(value.as_deref()?))));
    there.collect::<Vec<_>>().join(", ")
}

fn users(db: &mut Db, keys: Vec<Key>) -> Rows {
    let rows: Vec<(Key, Cell<String>)> = u::table.filter(u::id.eq_any(keys)).select((u::id, u::email)).load(db)?;
    Ok(rows
        .into_iter()
        .map(|(id, email)| (id, Detail { about: said(&[("email", stored(&email))]), ..Detail::default() }))
        .collect())
}

fn brands(db: &mut Db, keys: Vec<Key>) -> Rows {
    let rows: Vec<(Key, Cell<String>)> = b::table.filter(b::id.eq_any(keys)).select((b::id, b::name)).load(db)?;
    Ok(rows
        .into_iter()
        .map(|(id, name)| (id, Detail { about: said(&[("name", stored(&name))]), ..Detail::default() }))
        .collect())
}

fn subscriptions(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<String>, Cell<String>, Cell<String>, Cell<String>, Cell<Wall>);
    let columns = (s::id, s::plan, s::amount, s::currency, s::status, s::started_when);
    let rows: Vec<Row> = s::table.filter(s::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, plan, amount, currency, status, at): Row| {
        let about = said(&[
            ("plan", stored(&plan)),
            ("amount", stored(&amount)),
            ("currency", stored(&currency)),
            ("status", stored(&status)),
        ]);
        (id, Detail { at: wall(&at), about, trees: None })
    };
    Ok(rows.into_iter().map(detail).collect())
}

fn invoices(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<String>, Cell<String>, Cell<String>, Cell<String>);
    let columns = (i::id, i::invoice_no, i::total, i::currency, i::issued);
    let rows: Vec<Row> = i::table.filter(i::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, number, total, currency, issued): Row| {
        let about = said(&[("number", stored(&number)), ("total", stored(&total)), ("currency", stored(&currency))]);
        (id, Detail { at: stored(&issued), about, trees: None })
    };
    Ok(rows.into_iter().map(detail).collect())
}

fn transactions(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<String>, Cell<String>, Cell<String>, Cell<String>, Cell<i64>, Cell<Wall>);
    let columns = (f::id, f::kind, f::amount, f::currency, f::status, f::parent_id, f::tx_when);
    let rows: Vec<Row> = f::table.filter(f::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, kind, amount, currency, status, parent, at): Row| {
        let about = said(&[
            ("type", stored(&kind)),
            ("amount", stored(&amount)),
            ("currency", stored(&currency)),
            ("status", stored(&status)),
            ("of transaction", stored(&parent)),
        ]);
        (id, Detail { at: wall(&at), about, trees: None })
    };
    Ok(rows.into_iter().map(detail).collect())
}

fn transfers(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<String>, Cell<String>, Cell<String>, Cell<String>, Cell<String>);
    let columns = (t::id, t::reference, t::amount, t::currency, t::status, t::received);
    let rows: Vec<Row> = t::table.filter(t::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, reference, amount, currency, status, at): Row| {
        let about = said(&[
            ("reference", stored(&reference)),
            ("amount", stored(&amount)),
            ("currency", stored(&currency)),
            ("status", stored(&status)),
        ]);
        (id, Detail { at: stored(&at), about, trees: None })
    };
    Ok(rows.into_iter().map(detail).collect())
}

fn plantations(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<i64>, Cell<i64>, Cell<i64>, Cell<String>, Cell<String>, Cell<String>, Cell<Wall>);
    let columns = (p::id, p::user_id, p::brand_id, p::trees, p::source, p::gift_email, p::status, p::planted_when);
    let rows: Vec<Row> = p::table.filter(p::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, user, brand, trees, source, gift, status, at): Row| {
        let about = said(&[
            ("trees", stored(&trees)),
            ("source", stored(&source)),
            ("by user", stored(&user)),
            ("brand", stored(&brand)),
            ("gift to", stored(&gift)),
            ("status", stored(&status)),
        ]);
        (id, Detail { at: wall(&at), about, trees: trees.good().copied() })
    };
    Ok(rows.into_iter().map(detail).collect())
}

fn cross_charges(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<i64>, Cell<String>, Cell<String>, Cell<i64>, Cell<String>, Cell<String>, Cell<String>);
    let columns = (c::id, c::brand_id, c::brand_name, c::period, c::trees, c::total, c::currency, c::status);
    let rows: Vec<Row> = c::table.filter(c::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, brand, name, period, trees, total, currency, status): Row| {
        let about = said(&[
            ("brand", stored(&brand)),
            ("name", stored(&name)),
            ("trees", stored(&trees)),
            ("total", stored(&total)),
            ("currency", stored(&currency)),
            ("status", stored(&status)),
        ]);
        (id, Detail { at: stored(&period), about, trees: None })
    };
    Ok(rows.into_iter().map(detail).collect())
}

fn credit_entries(db: &mut Db, keys: Vec<Key>) -> Rows {
    type Row = (Key, Cell<String>, Cell<String>, Cell<String>, Cell<Wall>);
    let columns = (e::id, e::delta, e::currency, e::reason, e::created_when);
    let rows: Vec<Row> = e::table.filter(e::id.eq_any(keys)).select(columns).load(db)?;
    let detail = |(id, delta, currency, reason, at): Row| {
        let about = said(&[("delta", stored(&delta)), ("currency", stored(&currency)), ("reason", stored(&reason))]);
        (id, Detail { at: wall(&at), about, trees: None })
    };
    Ok(rows.into_iter().map(detail).collect())
}
