//! `status`: how far the migration is, who works on it and how fast, from the ledger and the locks of the living.

use std::time::Duration;

use clap::Args;
use replant_core::constraints::Dropped;
use replant_core::db::{Db, Role};
use replant_core::ledger::generations::{self, Generation};
use replant_core::ledger::owner::Owner;
use replant_core::ledger::status::{CodeCount, RunStatus, StepStatus};
use replant_core::ledger::verifications::{self, Verification};
use replant_core::ledger::{alive, conflicts};
use replant_core::{Instant, ledger};
use serde::Serialize;

use super::conflicts::noted;
use super::constraints::{missing, warning};
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::money::{self, Exponents, LargestRow, MoneyLine};
use crate::output::{grouped, json, print, rate, render, table};
use crate::progress::{lasting, percent};
use crate::report::{FREQUENT, codes_table};
use crate::typed::typed;

/// Show how far the migration is, from the ledger in the target
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    on: On,
    /// Where the money went, by table and currency, and the largest single quarantined row of each
    #[arg(long)]
    money: bool,
    /// All codes, not only the most frequent ones
    #[arg(long)]
    codes: bool,
    #[command(flatten)]
    form: Form,
}

impl Command for Status {
    const NAME: &'static str = "status";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let mut db = Db::open(&environment.target()?, Role::Target)?;
        let mut state = State { environment: environment.name, all_codes: self.codes, ..State::default() };
        if ledger::exists(&mut db)? {
            state.read(&mut db)?;
            if self.money {
                state.read_money(cx, &mut db)?;
            }
        }
        match self.form.json {
            true => json(&state),
            false => print(state.text()),
        }
        Ok(Exit::Done)
    }
}

/// How many runs are shown.
const RUNS: i64 = 5;

/// What the pace is told from.
const MINUTE: Duration = Duration::from_secs(60);

/// How far it is.
#[derive(Debug, Default, Serialize)]
struct State {
    environment: String,
    /// Whether the target has a ledger at all.
    begun: bool,
    whole: Whole,
    workers: Vec<Worker>,
    steps: Vec<StepStatus>,
    runs: Vec<RunStatus>,
    /// The states of the legacy database to which the target was brought, the first one first.
    generations: Vec<Generation>,
    /// Rows of which customers keep something that the legacy database says otherwise.
    conflicts: u64,
    /// How each step was verified last.
    verified: Vec<Verification>,
    codes: Vec<CodeCount>,
    /// Where the money went, by table and currency, if it was asked for. In exact minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    money: Option<Vec<MoneyLine>>,
    /// With the money: the quarantined rows that hold the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<Vec<LargestRow>>,
    /// What offline loads dropped and that is not there, whoever dropped it last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Dropped>,
    #[serde(skip)]
    exponents: Exponents,
    #[serde(skip)]
    all_codes: bool,
}

/// All steps that are planned.
#[derive(Debug, Default, Serialize)]
struct Whole {
    rows: u64,
    done: u64,
    /// Whether every planned step is done.
    complete: bool,
    /// Over the last minute; none where nobody works.
    rows_per_second: Option<u64>,
    seconds_left: Option<u64>,
    last_commit: Option<Instant>,
}

/// A process that lives and works on the target.
#[derive(Debug, Serialize)]
struct Worker {
    /// As the ledger names it: host, process and a number.
    run: String,
    /// What `pg_stat_activity` shows as the name of its sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    started_at: Instant,
}

impl State {
    fn read(&mut self, db: &mut Db) -> Result<(), Error> {
        self.begun = true;
        self.steps = ledger::status::steps(db)?;
        let running = ledger::status::running(db)?;
        let ids: Vec<String> = running.iter().map(|run| run.id.clone()).collect();
        let living = alive::living(db, &ids)?;
        self.runs = ledger::status::runs(db, RUNS)?;
        for run in self.runs.iter_mut().filter(|run| run.state == "running" && !living.contains(&run.id)) {
            DEAD.clone_into(&mut run.state);
        }
        let has_sessions = matches!(db, Db::Pg(_));
        let workers = running.into_iter().filter(|run| living.contains(&run.id)).map(|run| Worker {
            session: has_sessions.then(|| Owner::session_name(&run.id)),
            run: run.id,
            started_at: run.started_at,
        });
        self.workers = workers.collect();
        self.whole = self.whole(db)?;
        self.codes = ledger::status::codes(db)?;
        self.generations = generations::all(db)?;
        self.conflicts = conflicts::count(db)?;
        if verifications::known(db)? {
            self.verified = verifications::last(db)?;
        }
        self.missing = missing(db)?;
        Ok(())
    }

    fn read_money(&mut self, cx: &Context, db: &mut Db) -> Result<(), Error> {
        self.money = Some(money::by_table(db)?);
        self.largest = Some(money::largest(db)?);
        self.exponents = cx.exponents(db)?;
        Ok(())
    }

    fn whole(&self, db: &mut Db) -> Result<Whole, Error> {
        let now = Instant::now();
        let minute_ago = now.0.checked_sub(MINUTE).map_or(now, Instant);
        let began = self.workers.iter().map(|worker| worker.started_at).min();
        // A run that is younger has had less time.
        let from = began.map_or(minute_ago, |began| began.max(minute_ago));
        let pace = ledger::status::pace(db, from)?;
        let took = Duration::try_from(now.0.duration_since(from.0)).unwrap_or_default();
        let rows = self.steps.iter().map(|step| step.rows).sum();
        let done = self.steps.iter().map(|step| step.counts.read).sum();
        let complete = !self.steps.is_empty() && self.steps.iter().all(|step| step.done);
        let rows_per_second = rate(pace.rows, took).filter(|_| began.is_some() && !complete);
        let seconds_left = rows_per_second.map(|rate| u64::saturating_sub(rows, done) / rate.max(1));
        Ok(Whole { rows, done, complete, rows_per_second, seconds_left, last_commit: pace.last_commit })
    }

    fn text(&self) -> String {
        if !self.begun {
            return format!("There is no ledger in the target yet: `{}` begins.", typed("migrate", &self.environment));
        }
        if let Some(money) = &self.money {
            let mut parts = vec![money::table_of(money, &self.exponents)];
            let largest = self.largest.as_ref().filter(|largest| !largest.is_empty());
            parts.extend(largest.map(|largest| money::largest_text(largest, &self.exponents)));
            return parts.join("\n\n");
        }
        let limit = if self.all_codes { usize::MAX } else { FREQUENT };
        let mut parts = vec![
            self.head(),
            steps(&self.steps, !self.workers.is_empty()),
            runs_table(&self.runs),
            self.generations_text(),
            codes_table(&self.codes, limit, &self.environment),
        ];
        if !self.missing.is_empty() {
            parts.insert(0, warning(&self.missing, &self.environment));
        }
        parts.join("\n\n")
    }

    /// What is asked for first: how far, how fast, how long, who.
    fn head(&self) -> String {
        let Whole { rows, done, complete, rows_per_second, seconds_left, last_commit } = &self.whole;
        let mut lines = vec![match (complete, rows_per_second, seconds_left) {
            (true, ..) => format!("{}: all {} rows are done.", self.environment, grouped(*rows)),
            (false, Some(rate), Some(left)) => format!(
                "{}: {} of {} rows are done, {} rows/s over the last minute, about {} left.",
                self.environment,
                percent(*done, *rows),
                grouped(*rows),
                grouped(*rate),
                lasting(*left)
            ),
            (false, ..) => {
                format!("{}: {} of {} rows are done.", self.environment, percent(*done, *rows), grouped(*rows))
            }
        }];
        if let Some(at) = last_commit {
            lines.push(format!("Last commit: {}.", second(at)));
        }
        lines.extend(self.verified_text());
        lines.extend(self.dead_text());
        match self.workers.as_slice() {
            [] if *complete => {}
            [] => lines.push(format!(
                "Nobody works on it: `{}` goes on where it stopped.",
                typed("migrate", &self.environment)
            )),
            workers => {
                lines.push(format!("Workers alive: {}", workers.len()));
                lines.extend(workers.iter().map(|worker| {
                    let session = worker.session.as_ref().map(|name| format!(", `{name}` in pg_stat_activity"));
                    format!("  {}{}, since {}", worker.run, session.unwrap_or_default(), second(&worker.started_at))
                }));
            }
        }
        lines.join("\n")
    }

    /// The states of the legacy database, and what customers keep.
    fn generations_text(&self) -> String {
        let mut table = table(&["state", "frozen", "begun", "ended"]);
        for state in &self.generations {
            let ended = state.ended_at.map_or_else(|| "-".to_owned(), |at| second(&Instant(at)));
            table.add_row([
                state.n.to_string(),
                second(&Instant(state.snapshot_at)),
                second(&Instant(state.begun_at)),
                ended,
            ]);
        }
        let conflicts = noted(self.conflicts, &self.environment).map(|noted| format!("\n{noted}")).unwrap_or_default();
        format!("{}{conflicts}", render(table, 0..0))
    }

    /// When every step was verified last, and what was wrong.
    fn verified_text(&self) -> Option<String> {
        let oldest = self.verified.iter().map(|one| one.verified_at).min()?;
        let (rows, defects, stale) = self.verified.iter().fold((0, 0, 0), |(rows, defects, stale), one| {
            (rows + one.rows, defects + one.defects + one.unexpected + one.unexplained, stale + one.stale)
        });
        let never = self.steps.iter().filter(|step| !self.verified.iter().any(|one| one.step == step.step)).count();
        let never = if never > 0 { format!("; {never} steps never") } else { String::new() };
        let found = match (defects, stale) {
            (0, 0) => "all as they should be".to_owned(),
            (defects, stale) => format!("{} that nothing explains, {} stale", grouped(defects), grouped(stale)),
        };
        Some(format!("Verified last: {}, {} rows, {found}{never}.", second(&oldest), grouped(rows)))
    }

    fn dead_text(&self) -> Option<String> {
        let dead: Vec<&str> = self.runs.iter().filter(|run| run.state == DEAD).map(|run| run.id.as_str()).collect();
        let chunks: u64 = self.steps.iter().map(|step| step.chunks_claimed).sum();
        let theirs = match self.workers.is_empty() && chunks > 0 {
            true => format!(" The {chunks} chunks that it held come free with the next run; nothing is lost."),
            false => " Nothing is lost.".to_owned(),
        };
        (!dead.is_empty()).then(|| format!("Dead (killed, or its machine went away): {}.{theirs}", dead.join(", ")))
    }
}

/// The state of a run that died without a word.
const DEAD: &str = "dead";

fn second(at: &Instant) -> String {
    at.0.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn state(step: &StepStatus, somebody_works: bool) -> &'static str {
    match step {
        StepStatus { done: true, .. } => "done",
        StepStatus { indexing: true, .. } => "indexing",
        StepStatus { chunks_claimed: 1.., .. } if somebody_works => "under way",
        StepStatus { chunks_claimed: 1.., .. } => "interrupted",
        StepStatus { chunks_done: 1.., chunks_free: 0, .. } => "to be finished",
        StepStatus { chunks_done: 1.., .. } => "begun",
        StepStatus { .. } => "planned",
    }
}

fn steps(steps: &[StepStatus], somebody_works: bool) -> String {
    let heads = ["step", "rows", "done", "migrated", "merged", "skipped", "quarantined", "repairs", "state"];
    let mut table = table(&heads);
    for step in steps {
        let counts = &step.counts;
        let numbers = [counts.migrated, counts.merged, counts.skipped, counts.quarantined, counts.repairs];
        let mut cells = vec![step.step.clone(), grouped(step.rows), percent(counts.read, step.rows)];
        cells.extend(numbers.map(grouped));
        cells.push(state(step, somebody_works).to_owned());
        table.add_row(cells);
    }
    let failures = steps
        .iter()
        .filter_map(|step| Some(format!("\nLast failure of {}: {}", step.step, step.last_failure.as_ref()?)));
    let failures: String = failures.collect();
    format!("{}{failures}", render(table, 1..8))
}

fn runs_table(runs: &[RunStatus]) -> String {
    let mut table = table(&["run", "environment", "began", "ended", "state", "reason"]);
    for run in runs {
        table.add_row([
            run.id.clone(),
            run.environment.clone(),
            second(&run.started_at),
            run.ended_at.as_ref().map_or_else(|| "-".to_owned(), second),
            run.state.clone(),
            run.reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    render(table, 0..0)
}
