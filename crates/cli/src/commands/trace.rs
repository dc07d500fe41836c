//! `trace`: what became of a legacy row, and where a target row came from.

use std::fmt::Write as _;

use clap::Args;
use replant_core::db::Db;
use replant_core::ledger::history::{self, ChangeEntry, KnownStep, Lineage, RepairEntry};
use replant_core::ledger::quarantine;
use serde::Serialize;

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::typed::{program, typed};

/// Show what became of a legacy row, and where a target row came from
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A legacy table or a target table
    table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    id: i64,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    form: Form,
}

impl Command for Trace {
    const NAME: &'static str = "trace";

    fn help(app: &App) -> Option<String> {
        let registry = (app.registry)();
        let step = registry.steps().next()?;
        let program = program();
        let (legacy, target) = (format!("{} 4711", step.legacy_table()), format!("{} 90210", step.target_table()));
        Some(format!(
            "\
A table of that name may exist on both sides: then both answers are shown.

Examples:
  {program} trace {legacy:<20}  by the legacy table
  {program} trace {target:<20}  by the target table"
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let steps = history::known_steps(&mut db)?;
        let found = look(&mut db, &steps, &self.table, self.id)?;
        if found.as_legacy.is_empty() && found.as_target.is_empty() && found.changes.is_empty() {
            return Err(unknown(&steps, &self));
        }
        match self.form.json {
            true => json(&found),
            false => print(found.text(&self.on.env)),
        }
        Ok(Exit::Done)
    }
}

/// All that the ledger knows of the rows with one key in the tables of one name.
#[derive(Debug, Serialize)]
struct Found {
    table: String,
    id: i64,
    /// The legacy row of that name and key, by the steps that moved it.
    as_legacy: Vec<Origin>,
    /// The legacy rows behind the target row of that name and key.
    as_target: Vec<Origin>,
    /// What was done to the target row, if it was there before.
    changes: Vec<ChangeEntry>,
}

/// A legacy row and what became of it.
#[derive(Debug, Serialize)]
struct Origin {
    step: String,
    #[serde(flatten)]
    lineage: Lineage,
    values_repaired: Vec<RepairEntry>,
    quarantine: Option<Cause>,
}

/// Why a row is quarantined.
#[derive(Debug, Serialize)]
struct Cause {
    reason: String,
    root_step: String,
    root_key: i64,
}

fn look(db: &mut Db, steps: &[KnownStep], table: &str, id: i64) -> Result<Found, Error> {
    let mut found =
        Found { table: table.to_owned(), id, as_legacy: Vec::new(), as_target: Vec::new(), changes: Vec::new() };
    for step in steps.iter().filter(|step| step.legacy_table == table) {
        if let Some(lineage) = history::of_legacy(db, step, id)? {
            found.as_legacy.push(origin(db, step, lineage)?);
        }
    }
    // A step may write further tables than the one that it is named for, so every step is asked.
    for step in steps {
        for lineage in history::behind_target(db, step, table, id)? {
            found.as_target.push(origin(db, step, lineage)?);
        }
    }
    found.changes = history::changes(db, table, id)?;
    Ok(found)
}

fn origin(db: &mut Db, step: &KnownStep, lineage: Lineage) -> Result<Origin, Error> {
    let values_repaired = history::repairs(db, &step.name, lineage.legacy_id)?;
    let quarantine = quarantine::of_row(db, &step.name, lineage.legacy_id)?.map(|entry| Cause {
        reason: entry.reason,
        root_step: entry.root_step,
        root_key: entry.root_key,
    });
    Ok(Origin { step: step.name.clone(), lineage, values_repaired, quarantine })
}

fn unknown(steps: &[KnownStep], args: &Trace) -> Error {
    let (table, id) = (&args.table, args.id);
    let legacy = steps.iter().any(|step| step.legacy_table == *table);
    if legacy || steps.iter().any(|step| step.target_table == *table) {
        let what = format!("the ledger knows no row {id} of `{table}`");
        let hint = match legacy {
            true => {
                format!("there is no such row, or its step has not come to it: see `{}`", typed("status", &args.on.env))
            }
            false => "the row is not there, or the live site wrote it: no migration did".to_owned(),
        };
        return Error::NotFound { what, hint };
    }
    let mut tables: Vec<&str> =
        steps.iter().flat_map(|step| [step.legacy_table.as_str(), step.target_table.as_str()]).collect();
    tables.sort_unstable();
    tables.dedup();
    Error::NotFound {
        what: format!("the ledger knows no row {id} of a table `{table}`"),
        hint: format!("tables that it knows: {}", tables.join(", ")),
    }
}

impl Found {
    fn text(&self, env: &str) -> String {
        let mut text = String::new();
        let on_target = !self.as_target.is_empty() || !self.changes.is_empty();
        if on_target && !self.as_legacy.is_empty() {
            let _ = writeln!(text, "`{}` {} is on both sides.\n", self.table, self.id);
        }
        for origin in &self.as_legacy {
            let _ = writeln!(text, "Legacy row {} {}", self.table, self.id);
            origin.write(&mut text, env);
        }
        if !self.as_target.is_empty() {
            let _ =
                writeln!(text, "Target row {} {}, from {} legacy row(s)", self.table, self.id, self.as_target.len());
        }
        for origin in &self.as_target {
            let _ = writeln!(text, "\n  legacy row {} {}", origin.lineage.legacy_table, origin.lineage.legacy_id);
            origin.write(&mut text, env);
        }
        if !self.changes.is_empty() {
            let _ = writeln!(text, "Target row {} {} was there before and was changed", self.table, self.id);
        }
        for change in &self.changes {
            let _ = writeln!(text, "  {} by {}{}", change.what, change.step, for_the_sake_of(change));
            let _ = writeln!(text, "    before  {}\n    after   {}", shown(&change.before), shown(&change.after));
        }
        text.trim_end().to_owned()
    }
}

fn for_the_sake_of(change: &ChangeEntry) -> String {
    let chunk =
        change.chunk.map_or_else(|| ", when the step was finished".to_owned(), |chunk| format!(", chunk {chunk}"));
    let key = change.legacy_key.map(|key| format!(", for legacy row {key}")).unwrap_or_default();
    format!("{chunk}{key}")
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("NULL")
}

impl Origin {
    fn write(&self, text: &mut String, env: &str) {
        let row = &self.lineage;
        let code = row.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        let _ = writeln!(text, "  outcome  {}{code}, by {}, chunk {}", row.outcome, self.step, row.chunk);
        for (place, (table, id)) in row.targets.iter().enumerate() {
            let _ = writeln!(text, "  {}  {table} {id}", if place == 0 { "target " } else { "       " });
        }
        if let Some(imprint) = &row.imprint {
            let _ = writeln!(text, "  written  imprint {imprint}");
        }
        for repair in &self.values_repaired {
            let _ = writeln!(
                text,
                "  repair   {} of {}: {:?} -> {:?}",
                repair.code,
                repair.column,
                shown(&repair.before),
                shown(&repair.after)
            );
        }
        if let Some(cause) = &self.quarantine {
            let _ = writeln!(text, "  cause    {}", cause.reason);
            if (&cause.root_step, cause.root_key) != (&self.step, row.legacy_id) {
                let _ = writeln!(text, "  waits    for {} {}", cause.root_step, cause.root_key);
            }
            let show = format!("quarantine show {} {}", row.legacy_table, row.legacy_id);
            let _ = writeln!(text, "  whole    {}", typed(&show, env));
        }
    }
}
