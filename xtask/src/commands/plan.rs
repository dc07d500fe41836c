//! `plan`: every check of a run, and the steps with their rows.

use replant_core::Migration;

use super::At;
use crate::cli::Plan;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print};
use crate::registry::registry;
use crate::report::{on, render, table};

pub(crate) fn run(args: Plan, at: &At) -> Result<Exit, Error> {
    let environment = at.environment(&args.on.env)?;
    let (legacy, target) = (environment.legacy()?, environment.target()?);
    tracing::info!("from {}, into {}", legacy.place(), target.place());
    let registry = registry();
    let settings = environment.settings(args.only, false, None);
    let steps = Migration { registry: &registry, snapshot: reference::snapshot, legacy, target, settings }.plan()?;
    if args.form.json {
        json(&steps);
        return Ok(Exit::Done);
    }
    let mut table = table(&["step", "rows", "chunks", "legacy", "target", "after", "state"]);
    for step in &steps {
        table.add_row([
            step.step.to_owned(),
            grouped(step.rows),
            grouped(step.chunks),
            step.legacy_table.to_owned(),
            step.target_table.to_owned(),
            if step.after.is_empty() { "-".to_owned() } else { step.after.join(", ") },
            if step.done { "done" } else { "to do" }.to_owned(),
        ]);
    }
    print(render(table, 1..3));
    let rows: u64 = steps.iter().filter(|step| !step.done).map(|step| step.rows).sum();
    let on = on(&environment.name);
    print(match steps.iter().all(|step| step.done) {
        true => format!("\nEvery check passed. All is done: `cargo xtask status{on}` shows what became of the rows."),
        false => format!(
            "\nEvery check passed; nothing was written. To move {} rows: cargo xtask migrate{on}",
            grouped(rows)
        ),
    });
    Ok(Exit::Done)
}
