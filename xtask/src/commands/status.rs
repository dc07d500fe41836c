//! `status`: how far the migration is, from the ledger alone.

use replant_core::constraints::Dropped;
use replant_core::db::{Db, Role};
use replant_core::ledger;
use replant_core::ledger::status::{CodeCount, RunStatus, StepStatus};
use serde::Serialize;

use super::At;
use super::constraints::{missing, warning};
use crate::cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::money::{self, MoneyLine};
use crate::output::{grouped, json, print};
use crate::report::{codes_table, on, render, table};

/// How many runs are shown.
const RUNS: i64 = 5;

#[derive(Debug, Default, Serialize)]
struct Status {
    environment: String,
    /// Whether the target has a ledger at all.
    begun: bool,
    steps: Vec<StepStatus>,
    runs: Vec<RunStatus>,
    codes: Vec<CodeCount>,
    /// Where the money went, by table and currency, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    money: Option<Vec<MoneyLine>>,
    /// What offline loads dropped and that is not there, whoever dropped it last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Dropped>,
}

pub(crate) fn run(args: &cli::Status, at: &At) -> Result<Exit, Error> {
    let environment = at.environment(&args.on.env)?;
    let mut db = Db::open(&environment.target()?, Role::Target)?;
    let mut status = Status { environment: environment.name, ..Status::default() };
    if ledger::exists(&mut db)? {
        status.begun = true;
        status.steps = ledger::status::steps(&mut db)?;
        status.runs = ledger::status::runs(&mut db, RUNS)?;
        status.codes = ledger::status::codes(&mut db)?;
        status.missing = missing(&mut db)?;
        status.money = if args.money { Some(money::by_table(&mut db)?) } else { None };
    }
    match args.form.json {
        true => json(&status),
        false => print(status.text()),
    }
    Ok(Exit::Done)
}

impl Status {
    fn text(&self) -> String {
        if !self.begun {
            return format!(
                "There is no ledger in the target yet: `cargo xtask migrate{}` begins.",
                on(&self.environment)
            );
        }
        if let Some(money) = &self.money {
            return money::table_of(money);
        }
        let mut parts = vec![steps(&self.steps), runs(&self.runs), codes_table(&self.codes, usize::MAX)];
        if !self.missing.is_empty() {
            parts.insert(0, warning(&self.missing, &self.environment));
        }
        parts.join("\n\n")
    }
}

fn state(step: &StepStatus) -> &'static str {
    match step {
        StepStatus { done: true, .. } => "done",
        StepStatus { indexing: true, .. } => "indexing",
        StepStatus { chunks_claimed: 1.., .. } => "under way",
        StepStatus { chunks_done: 1.., .. } => "begun",
        _ => "planned",
    }
}

fn steps(steps: &[StepStatus]) -> String {
    let heads = [
        "step",
        "rows",
        "chunks done",
        "claimed",
        "free",
        "migrated",
        "merged",
        "skipped",
        "quarantined",
        "repairs",
        "state",
    ];
    let mut table = table(&heads);
    for step in steps {
        let counts = &step.counts;
        let numbers = [
            step.rows,
            step.chunks_done,
            step.chunks_claimed,
            step.chunks_free,
            counts.migrated,
            counts.merged,
            counts.skipped,
            counts.quarantined,
            counts.repairs,
        ];
        let mut cells = vec![step.step.clone()];
        cells.extend(numbers.map(grouped));
        cells.push(state(step).to_owned());
        table.add_row(cells);
    }
    let failures = steps
        .iter()
        .filter_map(|step| Some(format!("\nLast failure of {}: {}", step.step, step.last_failure.as_ref()?)));
    let failures: String = failures.collect();
    format!("{}{failures}", render(table, 1..10))
}

fn runs(runs: &[RunStatus]) -> String {
    let mut table = table(&["run", "environment", "began", "ended", "state", "reason"]);
    let minute = |at: &replant_core::Instant| at.0.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    for run in runs {
        table.add_row([
            run.id.clone(),
            run.environment.clone(),
            minute(&run.started_at),
            run.ended_at.as_ref().map_or_else(|| "-".to_owned(), minute),
            run.state.clone(),
            run.reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    render(table, 0..0)
}
