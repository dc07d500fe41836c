//! `quarantine list --by root`: which rows hold back the most.

use replant_core::db::Db;
use replant_core::ledger::quarantine::{self, RootSum};
use rust_decimal::Decimal;

use crate::cli::{Form, Order};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print};
use crate::report::{on, render, table};

/// Which roots are asked for.
pub(super) struct Wanted {
    pub(super) step: Option<String>,
    pub(super) code: Option<String>,
    pub(super) order: Order,
    pub(super) limit: i64,
}

pub(super) fn run(db: &mut Db, wanted: &Wanted, env: &str, form: Form) -> Result<Exit, Error> {
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
    if form.json {
        json(&roots);
        return Ok(Exit::Done);
    }
    if roots.is_empty() {
        print("No such row is quarantined.");
        return Ok(Exit::Done);
    }
    let mut table = table(&["step", "key", "code", "rows", "money, in minor units"]);
    for root in &roots {
        table.add_row([
            root.step.clone(),
            root.legacy_key.to_string(),
            root.code.clone().unwrap_or_else(|| "-".to_owned()),
            grouped(root.rows),
            money(root),
        ]);
    }
    print(render(table, 3..4));
    if roots.len() < all {
        print(format!("\nThe first {} of {}; --limit shows more.", roots.len(), grouped(all as u64)));
    }
    print(format!("\nTo mend them: cargo xtask quarantine export --out FOLDER{}", on(env)));
    Ok(Exit::Done)
}

fn money(root: &RootSum) -> String {
    let held: Vec<String> = root.money.iter().map(|(currency, amount)| format!("{currency} {amount}")).collect();
    if held.is_empty() { "-".to_owned() } else { held.join(", ") }
}
