//! `quarantine list`: how much waits and why, then which rows hold back the most.

use replant_core::db::Db;
use replant_core::ledger::history;
use replant_core::ledger::quarantine::{self, CodeSum, QuarantineFilter, RootSum};
use rust_decimal::Decimal;
use serde::Serialize;

use super::list::Order;
use crate::arguments::Form;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::money::Exponents;
use crate::output::{grouped, json, print, render, table};
use crate::typed::typed;

/// Which roots are asked for.
pub(super) struct Wanted {
    pub(super) step: Option<String>,
    pub(super) code: Option<String>,
    pub(super) order: Order,
    pub(super) limit: i64,
}

/// What a script gets where it asks for no view of its own.
#[derive(Serialize)]
struct Overview<'a> {
    codes: &'a [CodeSum],
    roots: &'a [RootSum],
}

/// Shows roots, with a summary by code before them if it is wished for.
pub(super) fn run(
    cx: &Context,
    db: &mut Db,
    wanted: &Wanted,
    summed_up: bool,
    env: &str,
    form: Form,
) -> Result<Exit, Error> {
    let filter = QuarantineFilter { step: wanted.step.clone(), code: wanted.code.clone(), limit: None };
    let codes = if summed_up { quarantine::by_code(db, &filter)? } else { Vec::new() };
    let mut roots = quarantine::roots(db)?;
    roots.retain(|root| {
        wanted.step.as_ref().is_none_or(|step| root.step == *step)
            && wanted.code.as_ref().is_none_or(|code| root.code.as_ref() == Some(code))
    });
    if wanted.order == Order::Money {
        // A stable sort: of roots that hold as much, the one with more rows stays first.
        roots.sort_by_key(|root| std::cmp::Reverse(root.money.values().map(Decimal::abs).sum::<Decimal>()));
    }
    let all = roots.len();
    roots.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    match form.json {
        true if summed_up => json(&Overview { codes: &codes, roots: &roots }),
        true => json(&roots),
        false => print(text(cx, db, &codes, &roots, all, env)?),
    }
    Ok(Exit::Done)
}

fn text(
    cx: &Context,
    db: &mut Db,
    codes: &[CodeSum],
    roots: &[RootSum],
    all: usize,
    env: &str,
) -> Result<String, Error> {
    let exponents = cx.exponents(db)?;
    let mut parts = Vec::new();
    if !codes.is_empty() {
        parts.push(codes_table(codes, &exponents));
    }
    if !roots.is_empty() {
        let legacy = history::known_steps(db)?;
        let mut table = table(&["waits for", "key", "code", "rows", "money"]);
        for root in roots {
            let known = legacy.iter().find(|step| step.name == root.step);
            table.add_row([
                known.map_or_else(|| root.step.clone(), |step| step.legacy_table.clone()),
                root.legacy_key.to_string(),
                root.code.clone().unwrap_or_else(|| "-".to_owned()),
                grouped(root.rows),
                exponents.all(&root.money),
            ]);
        }
        parts.push(format!("What they wait for, the rows that hold back the most first:\n\n{}", render(table, 3..4)));
        if roots.len() < all {
            parts.push(format!("The first {} of {}; --limit shows more.", roots.len(), grouped(all as u64)));
        }
    }
    if parts.is_empty() {
        return Ok("No such row is quarantined.".to_owned());
    }
    parts.push(format!(
        "Row by row: {}\nA whole row: {}\nTo mend them: {}",
        typed("quarantine list --by row", env),
        typed("quarantine show TABLE KEY", env),
        typed("quarantine export --out FOLDER", env)
    ));
    Ok(parts.join("\n\n"))
}

fn codes_table(codes: &[CodeSum], exponents: &Exponents) -> String {
    let rows: u64 = codes.iter().map(|code| code.rows).sum();
    let mut table = table(&["code", "rows", "oldest", "money"]);
    for code in codes {
        table.add_row([
            code.code.clone(),
            grouped(code.rows),
            code.oldest.0.strftime("%Y-%m-%d %H:%MZ").to_string(),
            exponents.all(&code.money),
        ]);
    }
    format!("Quarantined: {} rows.\n\n{}", grouped(rows), render(table, 1..2))
}
