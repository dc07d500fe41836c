//! `plan`: what every check of a run finds, and the steps with their rows.

use clap::Args;
use replant_core::{Finding, Forecast, Plan as Planned, RunError};

use crate::arguments::{Form, On};
use crate::command::Command;
use crate::commands::catch_up::CatchUp;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{grouped, json, print, render, table};
use crate::typed::typed;

/// Check both databases and show the steps with their rows; writes nothing
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    on: On,
    /// A domain or a step, with all that it waits for; may be repeated [default: all]
    #[arg(long, value_name = "DOMAIN")]
    only: Vec<String>,
    /// Where the legacy database is in a later state: read every row of it, and count those that read otherwise than they did
    #[arg(long)]
    changed: bool,
    #[command(flatten)]
    form: Form,
}

impl Command for Plan {
    const NAME: &'static str = "plan";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        let registry = cx.registry();
        let settings = environment.settings(self.only, false, None);
        let migration = cx.migration(&registry, legacy, target, settings);
        let (plan, exit) = match migration.plan() {
            Err(RunError::Preflight { findings }) => {
                let (from, into) = (migration.legacy.place(), migration.target.place());
                let planned =
                    Planned { from, into, snapshot: None, state: None, steps: Vec::new(), findings, forecast: None };
                (planned, Exit::Refused)
            }
            planned => {
                let mut planned = planned?;
                if self.changed {
                    migration.read_through(&mut planned)?;
                }
                (planned, Exit::Done)
            }
        };
        let env = &self.on.env;
        match self.form.json {
            true => json(&plan),
            false if exit == Exit::Done => print(format!("{}\n{}", between(&plan), account(&plan, env))),
            false => print(format!("{}\n{}", between(&plan), refused(&plan.findings, env))),
        }
        Ok(exit)
    }
}

/// Between which databases: two that were taken for others are seen here.
fn between(plan: &Planned) -> String {
    let frozen = plan.snapshot.map(|at| format!(", frozen at {at}")).unwrap_or_default();
    format!("from  {}{frozen}\ninto  {}\n", plan.from, plan.into)
}

/// What keeps a run from beginning, then what else was found.
fn refused(findings: &[Finding], env: &str) -> String {
    let refusals = findings.iter().filter(|finding| finding.refuses());
    let count = refusals.clone().count();
    let things = if count == 1 { "One thing keeps".to_owned() } else { format!("{count} things keep") };
    let list: String = refusals.map(item).collect();
    let notes = notes(findings);
    format!(
        "{things} a run from beginning; nothing was written.\n\n{list}{notes}\nMend them, then: {}",
        typed(Plan::NAME, env)
    )
}

/// The findings that keep nothing from beginning, under a line of their own.
fn notes(findings: &[Finding]) -> String {
    let list: String = findings.iter().filter(|finding| !finding.refuses()).map(item).collect();
    if list.is_empty() { list } else { format!("\nTo know:\n{list}") }
}

fn item(finding: &Finding) -> String {
    format!("  {finding}\n")
}

fn account(plan: &Planned, env: &str) -> String {
    let steps = &plan.steps;
    let mut table = table(&["step", "rows", "chunks", "legacy", "target", "after", "state"]);
    for step in steps {
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
    let table = render(table, 1..3);
    let notes = notes(&plan.findings);
    if let Some(later) = later(plan, env) {
        return format!("{table}\n{notes}\n{later}");
    }
    let rows: u64 = steps.iter().filter(|step| !step.done).map(|step| step.rows).sum();
    let verdict = match steps.iter().all(|step| step.done) {
        true => format!("\nEvery check passed. All is done: `{}` shows what became of the rows.", typed("status", env)),
        false => format!(
            "{}\nEvery check passed; nothing was written. To move {} rows: {}",
            plan.forecast.map(room).unwrap_or_default(),
            grouped(rows),
            typed("migrate", env)
        ),
    };
    format!("{table}\n{notes}{verdict}")
}

/// What a later state of the legacy database has; none where it is of the state that is in the target.
fn later(plan: &Planned, env: &str) -> Option<String> {
    let (found, state) = plan.snapshot.zip(plan.state).filter(|(found, state)| found > state)?;
    let mut table = table(&["step", "new", "gone", "changed"]);
    let mut is_read = true;
    for (step, later) in plan.steps.iter().filter_map(|step| Some((step, step.later?))) {
        is_read &= later.changed.is_some();
        let changed = later.changed.map_or_else(|| "?".to_owned(), grouped);
        table.add_row([step.step.to_owned(), grouped(later.added), grouped(later.gone), changed]);
    }
    let unread =
        if is_read { "" } else { "\n`--changed` reads every row, and counts those that read otherwise than they did." };
    Some(format!(
        "The legacy database is of {found}, the target was brought to the state of {state}. Rows since:\n{}{unread}\n\nTo bring them in, \
         and to judge all others anew: {}",
        render(table, 1..4),
        typed(CatchUp::NAME, env)
    ))
}

/// How much room the run takes.
fn room(forecast: Forecast) -> String {
    format!(
        "\nRoom: about {} for the platform, {} for the ledger and {} of write-ahead log, in a database of {}.",
        megabytes(forecast.data_bytes),
        megabytes(forecast.ledger_bytes),
        megabytes(forecast.wal_bytes),
        megabytes(forecast.database_bytes)
    )
}

/// Bytes as people say them.
fn megabytes(bytes: u64) -> String {
    const MB: u64 = 1_000_000;
    match bytes {
        0..MB => "1 MB".to_owned(),
        MB..10_000_000_000 => format!("{} MB", grouped(bytes.div_ceil(MB))),
        _ => format!("{} GB", grouped(bytes.div_ceil(1_000 * MB))),
    }
}

#[cfg(test)]
mod tests {
    use replant_core::db::Role;

    use super::*;

    #[test]
    fn refusals_stand_first_each_with_what_mends_it() {
        let findings = [
            Finding::refusal(Role::Target, "the database user lacks a right: INSERT on `loans`")
                .mend("GRANT INSERT ON loans TO replant;"),
            Finding::note(Role::Target, "the table `readers` is partitioned"),
        ];
        assert_eq!(
            refused(&findings, "dev"),
            "One thing keeps a run from beginning; nothing was written.

  target: the database user lacks a right: INSERT on `loans`
    mend: GRANT INSERT ON loans TO replant;

To know:
  target: the table `readers` is partitioned

Mend them, then: replant plan --env dev"
        );
    }

    #[test]
    fn bytes_are_said_as_people_say_them() {
        let said = [5, 1_000_000, 1_000_001, 28_500_000_000].map(megabytes);
        assert_eq!(said, ["1 MB", "1 MB", "2 MB", "29 GB"]);
    }
}
