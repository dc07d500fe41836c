//! `quarantine show`: a quarantined row whole, with its cause.

use clap::Args;
use replant_core::ledger::{history, quarantine};
use serde::Serialize;
use serde_json::Value;

use super::{Line, line};
use crate::arguments::{Form, On};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print};
use crate::typed::typed;

/// Show a quarantined row whole, with its cause
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The legacy table
    table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    id: i64,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    form: Form,
}

/// A quarantined row with its values.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    line: Line,
    quarantined_at: replant_core::Instant,
    row: Value,
}

impl Show {
    pub(super) fn run(&self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let mut found = Vec::new();
        for step in history::known_steps(&mut db)?
            .iter()
            .filter(|step| step.legacy_table == self.table || step.name == self.table)
        {
            if let Some(entry) = quarantine::of_row(&mut db, &step.name, self.id)? {
                let row =
                    serde_json::from_str(&entry.legacy_row).unwrap_or_else(|_| Value::String(entry.legacy_row.clone()));
                found.push(Whole { row, quarantined_at: entry.quarantined_at, line: line(entry)? });
            }
        }
        if found.is_empty() {
            let trace = typed(&format!("trace {} {}", self.table, self.id), &self.on.env);
            let hint = format!("{trace} says what became of it");
            return Err(Error::NotFound {
                what: format!("no row {} of `{}` is quarantined", self.id, self.table),
                hint,
            });
        }
        if self.form.json {
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
}
