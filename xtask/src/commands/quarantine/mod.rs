//! `quarantine`: the rows that no rule can make right.

mod cells;
mod export;
mod problems;
mod replay;
mod respelled;
mod roots;
mod sheet;

use std::collections::BTreeMap;

use replant_core::Key;
use replant_core::db::Db;
use replant_core::ledger::history;
use replant_core::ledger::quarantine::{self, QuarantineEntry, QuarantineFilter};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::At;
use crate::cli::{By, Form, Quarantine, QuarantineList, QuarantineShow};
use crate::error::Error;
use crate::exit::Exit;
use crate::money::Exponents;
use crate::output::{json, print};
use crate::report::{on, render, table};

/// A quarantined row without its values.
#[derive(Debug, Serialize)]
struct Line {
    step: String,
    legacy_key: Key,
    code: String,
    reason: String,
    root_step: String,
    root_key: Key,
    /// By currency, in exact minor units.
    money: BTreeMap<String, Decimal>,
}

/// Runs one of its commands.
pub(crate) fn run(command: Quarantine, at: &At) -> Result<Exit, Error> {
    match command {
        Quarantine::List(args) => list(args, at),
        Quarantine::Show(args) => show(&args, at),
        Quarantine::Export(args) => export::run(&args, at),
        Quarantine::Replay(args) => replay::run(&args, at),
    }
}

/// The step of a name, or of a legacy table.
fn step_of(db: &mut Db, asked: &str) -> Result<String, Error> {
    let known = history::known_steps(db)?;
    match known.iter().find(|step| step.name == asked || step.legacy_table == asked) {
        Some(found) => Ok(found.name.clone()),
        None => {
            let names: Vec<&str> = known.iter().map(|step| step.name.as_str()).collect();
            let hint = format!("the ledger knows {}", names.join(", "));
            Err(Error::NotFound { what: format!("there is no step `{asked}` in the ledger"), hint })
        }
    }
}

fn list(args: QuarantineList, at: &At) -> Result<Exit, Error> {
    let mut db = at.ledger(&args.on.env)?;
    let step = args.step.map(|asked| step_of(&mut db, &asked)).transpose()?;
    let limit = args.limit.unwrap_or(if args.by.is_none() { 20 } else { 50 });
    match args.by {
        Some(By::Row) => {
            let filter = QuarantineFilter { step, code: args.code, limit: Some(limit) };
            rows(&mut db, &filter, &args.on.env, args.form)
        }
        by => {
            let wanted = roots::Wanted { step, code: args.code, order: args.order, limit };
            roots::run(&mut db, &wanted, by.is_none(), &args.on.env, args.form)
        }
    }
}

fn rows(db: &mut Db, filter: &QuarantineFilter, env: &str, form: Form) -> Result<Exit, Error> {
    let lines: Result<Vec<Line>, Error> = quarantine::list(db, filter)?.into_iter().map(line).collect();
    let lines = lines?;
    if form.json {
        json(&lines);
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        print("No such row is quarantined.");
        return Ok(Exit::Done);
    }
    let exponents = Exponents::of(db)?;
    let mut table = table(&["step", "key", "code", "money", "reason", "waits for"]);
    for line in &lines {
        let own = line.root_step == line.step && line.root_key == line.legacy_key;
        table.add_row([
            line.step.clone(),
            line.legacy_key.to_string(),
            line.code.clone(),
            exponents.all(&line.money),
            line.reason.clone(),
            if own { "-".to_owned() } else { format!("{} {}", line.root_step, line.root_key) },
        ]);
    }
    print(render(table, 1..2));
    if filter.limit == i64::try_from(lines.len()).ok() {
        print(format!("\nThe first {}; --limit shows more, --step and --code fewer.", lines.len()));
    }
    print(format!("\nA whole row: cargo xtask quarantine show TABLE KEY{}", on(env)));
    Ok(Exit::Done)
}

fn line(entry: QuarantineEntry) -> Result<Line, Error> {
    let money = entry.amounts()?;
    let QuarantineEntry { step, legacy_key, code, reason, root_step, root_key, .. } = entry;
    Ok(Line { step, legacy_key, code, reason, root_step, root_key, money })
}

/// A quarantined row with its values.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    line: Line,
    quarantined_at: replant_core::Instant,
    row: Value,
}

fn show(args: &QuarantineShow, at: &At) -> Result<Exit, Error> {
    let mut db = at.ledger(&args.on.env)?;
    let mut found = Vec::new();
    for step in
        history::known_steps(&mut db)?.iter().filter(|step| step.legacy_table == args.table || step.name == args.table)
    {
        if let Some(entry) = quarantine::of_row(&mut db, &step.name, args.id)? {
            let row =
                serde_json::from_str(&entry.legacy_row).unwrap_or_else(|_| Value::String(entry.legacy_row.clone()));
            found.push(Whole { row, quarantined_at: entry.quarantined_at, line: line(entry)? });
        }
    }
    if found.is_empty() {
        let hint = format!("cargo xtask trace {} {}{} says what became of it", args.table, args.id, on(&args.on.env));
        return Err(Error::NotFound { what: format!("no row {} of `{}` is quarantined", args.id, args.table), hint });
    }
    if args.form.json {
        json(&found);
        return Ok(Exit::Done);
    }
    for Whole { line, quarantined_at, row } in &found {
        print(format!("{} {}: {} ({})", line.step, line.legacy_key, line.reason, line.code));
        if (&line.root_step, line.root_key) != (&line.step, line.legacy_key) {
            print(format!("waits for {} {}", line.root_step, line.root_key));
        }
        print(format!("quarantined at {quarantined_at}\n"));
        json(row);
    }
    Ok(Exit::Done)
}
