//! `undo`: what was written is taken back, but for what customers have made theirs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use replant_core::{Extent, Kept, Undone, Why};
use serde::Serialize;

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::commands::migrate;
use crate::commands::verify::named;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::files::{self, Files};
use crate::output::{grouped, json, print, render, table};
use crate::progress::Progress;
use crate::signals;
use crate::typed::typed;

/// Take back what was written; what customers have changed since, or point to, stays
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("extent").required(true))]
pub(crate) struct Undo {
    #[command(flatten)]
    on: On,
    /// A step; may be given several times
    #[arg(long, value_name = "STEP", group = "extent")]
    step: Vec<String>,
    /// A domain; may be given several times
    #[arg(long, value_name = "DOMAIN", group = "extent")]
    domain: Vec<String>,
    /// A chunk, by its number in the ledger
    #[arg(long, value_name = "CHUNK", group = "extent")]
    chunk: Option<i64>,
    /// What a run has done, by its name in the ledger (see `status`)
    #[arg(long, value_name = "RUN", group = "extent")]
    run: Option<String>,
    /// What was done to bring the target to the last state of the legacy database, by its number (see `status`)
    #[arg(long, value_name = "N", group = "extent")]
    state: Option<i64>,
    /// Everything
    #[arg(long, group = "extent")]
    all: bool,
    /// Steps that build on these go as well
    #[arg(long)]
    with_dependants: bool,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", required_unless_present = "plan")]
    why: Option<String>,
    /// Show what would be taken back, and what would stay; write nothing
    #[arg(long)]
    plan: bool,
    /// Write the rows that stay into this file, with the reason
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    form: Form,
}

impl Command for Undo {
    const NAME: &'static str = "undo";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
What it would take back, and what would stay and why, is shown first; `--plan` ends there. Rows that were
inserted are deleted, and rows that were there before get their columns back, where they still hold what was
written. A row stays, with all that was written for the same legacy row, if somebody has changed it
(changed_since) or removed it (removed_since: it does not come back), if somebody else's row points to it
(pointed_to), or one of ours that stays (needed).

The chunks are free again, with the ids that they had: `migrate` moves them anew, and takes what stayed by the
way of a replay. Stop it at any time with Ctrl-C or SIGTERM; the same command goes on.

{}",
            Exit::help()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        drop(cx.ledger(&self.on.env)?);
        let registry = cx.registry();
        let stop = signals::stop()?;
        let undo = self.undo();
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        tracing::info!("out of {}", target.place());
        let migration = cx.migration(&registry, legacy, target, environment.settings(Vec::new(), false, None));
        let progress = Progress::of_replay(typed("undo", &self.on.env));
        let would = migration.would_undo(&undo, &stop, &progress)?;
        if self.plan {
            drop(progress);
            return self.told(&Account::new(&self.on.env, true, &would), &would);
        }
        if !self.form.json {
            print(Account::new(&self.on.env, true, &would).table());
        }
        migrate::confirm(cx, &environment, self.confirm.as_deref(), false)?;
        let undone = migration.undo(&undo, &stop, &progress)?;
        drop(progress);
        self.told(&Account::new(&self.on.env, false, &undone), &undone)
    }
}

impl Undo {
    fn undo(&self) -> replant_core::Undo {
        let extent = match (self.chunk, &self.run, self.state) {
            (Some(chunk), ..) => Extent::Chunk(chunk),
            (None, Some(run), _) => Extent::Run(run.clone()),
            (None, None, Some(state)) => Extent::State(state),
            (None, None, None) => Extent::Whole([&self.step[..], &self.domain[..]].concat()),
        };
        let why = self.why.clone().unwrap_or_default();
        replant_core::Undo { extent, with_dependants: self.with_dependants, why }
    }

    fn told(&self, account: &Account<'_>, undone: &Undone) -> Result<Exit, Error> {
        if let Some(out) = &self.out {
            write(out, undone)?;
        }
        match self.form.json {
            true => json(account),
            false => print(account.text()),
        }
        Ok(match undone.complete {
            true => Exit::Done,
            false => Exit::Stopped,
        })
    }
}

/// A row that stays.
#[derive(Debug, Default, Serialize)]
struct Line {
    why: &'static str,
    step: &'static str,
    legacy_key: Option<i64>,
    table: String,
    row: String,
}

fn write(out: &Path, undone: &Undone) -> Result<(), Error> {
    let lines: Vec<Line> = undone.steps.iter().flat_map(|step| &step.kept).map(line).collect();
    let mut files = Files::default();
    files.add(out.to_owned(), &files::csv(&lines))?;
    files.appear()
}

fn line(kept: &Kept) -> Line {
    Line {
        why: kept.why.as_str(),
        step: kept.step,
        legacy_key: kept.legacy_key,
        table: kept.table.clone(),
        row: kept.row.as_ref().map(|row| named(row, false)).unwrap_or_default(),
    }
}

/// The account of an undo, or of what it would be.
#[derive(Debug, Serialize)]
struct Account<'a> {
    environment: &'a str,
    /// Whether nothing was written.
    plan: bool,
    #[serde(flatten)]
    undone: &'a Undone,
    /// Legacy rows of which something stays, by why.
    kept: BTreeMap<&'static str, u64>,
    /// Some of the rows that stay.
    some: Vec<Line>,
}

/// How many rows that stay are shown.
const SHOWN: usize = 20;

impl<'a> Account<'a> {
    fn new(environment: &'a str, plan: bool, undone: &'a Undone) -> Self {
        let mut kept = BTreeMap::new();
        let all = || undone.steps.iter().flat_map(|step| &step.kept);
        all().for_each(|one| *kept.entry(one.why.as_str()).or_default() += 1);
        Self { environment, plan, undone, kept, some: all().take(SHOWN).map(line).collect() }
    }

    fn table(&self) -> String {
        let goes = if self.plan { "would go" } else { "gone" };
        let heads: Vec<&str> = ["step", "chunks", "legacy rows", goes, "put back"]
            .into_iter()
            .chain(Why::ALL.iter().map(|why| why.as_str()))
            .collect();
        let mut table = table(&heads);
        for step in &self.undone.steps {
            let of = |why: &Why| step.kept.iter().filter(|kept| kept.why == *why).count() as u64;
            let numbers = [step.chunks, step.legacy, step.rows, step.restored];
            let cells = numbers.into_iter().chain(Why::ALL.iter().map(of)).map(grouped);
            table.add_row(std::iter::once(step.step.to_owned()).chain(cells));
        }
        render(table, 1..heads.len())
    }

    fn text(&self) -> String {
        let mut parts = vec![self.table()];
        if !self.some.is_empty() {
            let mut table = table(&["stays", "step", "legacy key", "table", "row"]);
            for line in &self.some {
                let key = line.legacy_key.map_or_else(|| "-".to_owned(), |key| key.to_string());
                table.add_row([line.why, line.step, &key, &line.table, &line.row]);
            }
            parts.push(render(table, 0..0));
        }
        let rows: u64 = self.undone.steps.iter().map(|step| step.rows).sum();
        let kept: u64 = self.kept.values().sum();
        parts.push(match (self.plan, self.undone.complete) {
            (_, false) => format!("Stopped; to go on: {}", typed("undo ...", self.environment)),
            (true, true) => {
                format!("{} rows would go, of {} legacy rows something would stay.", grouped(rows), grouped(kept))
            }
            (false, true) => format!(
                "{} rows are gone, of {} legacy rows something stays. `{}` moves them anew.",
                grouped(rows),
                grouped(kept),
                typed("migrate", self.environment)
            ),
        });
        parts.join("\n\n")
    }
}
