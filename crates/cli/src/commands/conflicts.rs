//! `conflicts`: what customers keep although the legacy database says otherwise now.

use clap::Args;
use replant_core::ledger::conflicts::{self, Conflict};

use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print, render, table};
use crate::typed::typed;

/// List rows of which customers keep columns that the legacy database says otherwise now; shows no values
#[derive(Debug, Args)]
#[command(after_help = "\
A row without columns is one that a customer has removed, and that would be written anew.")]
pub(crate) struct Conflicts {
    #[command(flatten)]
    on: On,
    /// At most so many
    #[arg(long, value_name = "ROWS", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
    #[command(flatten)]
    form: Form,
}

impl Command for Conflicts {
    const NAME: &'static str = "conflicts";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let found = conflicts::list(&mut db, 0, self.limit)?;
        if self.form.json {
            json(&found);
            return Ok(Exit::Done);
        }
        let all = conflicts::count(&mut db)?;
        if all == 0 {
            print("No conflict: customers keep nothing that the legacy database says otherwise.");
            return Ok(Exit::Done);
        }
        let mut table = table(&["table", "row", "columns", "step", "legacy key", "state"]);
        for conflict in &found {
            table.add_row(cells(conflict));
        }
        let more = match all > found.len() as u64 {
            true => format!("\n\n{} of {}; --limit shows more.", grouped(found.len() as u64), grouped(all)),
            false => String::new(),
        };
        print(format!("{}{more}", render(table, 0..0)));
        Ok(Exit::Done)
    }
}

/// That there are some, and how to see them; none where there are none.
pub(crate) fn noted(rows: u64, env: &str) -> Option<String> {
    let command = typed(Conflicts::NAME, env);
    let noted = format!(
        "Conflicts: of {} rows customers keep what the legacy database says otherwise: `{command}`",
        grouped(rows)
    );
    (rows > 0).then_some(noted)
}

fn cells(conflict: &Conflict) -> [String; 6] {
    let row = conflict.id.map(|id| id.to_string()).or_else(|| conflict.key.clone());
    [
        conflict.table.clone(),
        row.unwrap_or_default(),
        if conflict.columns.is_empty() { "(removed)".to_owned() } else { conflict.columns.join(", ") },
        conflict.step.clone(),
        conflict.legacy_key.map_or_else(|| "-".to_owned(), |key| key.to_string()),
        conflict.generation.to_string(),
    ]
}
