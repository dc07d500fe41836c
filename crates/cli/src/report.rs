//! The account of a run: what became of the rows and of the money, and where to look next.

use replant_core::constraints::Dropped;
use replant_core::db::Db;
use replant_core::ledger::history;
use replant_core::ledger::quarantine::{self, QuarantineFilter};
use replant_core::ledger::status::CodeCount;
use replant_core::{Counts, Report, ledger};
use serde::Serialize;

use crate::commands::{missing, warning};
use crate::context::Context;
use crate::error::Error;
use crate::money::{self, Exponents, MoneyLine};
use crate::output::{grouped, rate, render, table};
use crate::progress::Progress;
use crate::typed::typed;

/// How many codes are shown.
pub(crate) const FREQUENT: usize = 12;

/// The account of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    pub(crate) environment: String,
    pub(crate) dry_run: bool,
    /// Whether nothing is left to do of what was asked for.
    pub(crate) complete: bool,
    /// Whether the part of the last step that was asked for is done, while the rest of that step is open.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) part: bool,
    /// Whether earlier runs had done it all, so that this one wrote nothing.
    pub(crate) nothing_to_do: bool,
    pub(crate) steps: Vec<StepLine>,
    pub(crate) codes: Option<Vec<CodeCount>>,
    /// In exact minor units.
    pub(crate) money: Option<Vec<MoneyLine>>,
    #[serde(skip)]
    exponents: Exponents,
    /// Sessions of others that were seen on an offline target while it had no foreign keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) intruders: Vec<String>,
    /// What offline loads dropped and that is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<Dropped>,
    /// Commands.
    pub(crate) next: Vec<String>,
}

/// A step, over all runs.
#[derive(Debug, Serialize)]
pub(crate) struct StepLine {
    step: String,
    #[serde(flatten)]
    counts: Counts,
    /// Of this run, while rows moved; none where it had nothing to do.
    rows_per_second: Option<u64>,
}

impl Account {
    /// The account of a run from the ledger, with the speed of this run. `report` is none where nothing had to be run.
    pub(crate) fn of(
        cx: &Context,
        db: &mut Db,
        environment: &str,
        report: Option<&Report>,
        progress: Option<&Progress>,
    ) -> Result<Self, Error> {
        let speed = |step: &str| progress?.pace_of(step);
        let steps = if ledger::exists(db)? { ledger::status::steps(db)? } else { Vec::new() };
        let steps = steps.into_iter().map(|step| StepLine {
            rows_per_second: speed(&step.step),
            step: step.step,
            counts: step.counts,
        });
        let steps: Vec<StepLine> = steps.collect();
        let codes = if steps.is_empty() { Vec::new() } else { ledger::status::codes(db)? };
        let money = if steps.is_empty() { Vec::new() } else { money::of_all(db)? };
        let complete = report.is_none_or(|report| report.complete);
        Ok(Self {
            environment: environment.to_owned(),
            dry_run: false,
            complete,
            part: report.is_some_and(|report| report.part),
            nothing_to_do: report
                .is_none_or(|report| report.complete && report.steps.iter().all(|step| step.already_done)),
            next: next(environment, complete, &steps, example(db)?.as_deref().unwrap_or("TABLE ID")),
            steps,
            codes: Some(codes),
            exponents: if money.is_empty() { Exponents::default() } else { cx.exponents(db)? },
            money: Some(money),
            intruders: report.map(|report| report.intruders.clone()).unwrap_or_default(),
            missing: if ledger::exists(db)? { missing(db)? } else { Vec::new() },
        })
    }

    /// The account of a dry run, which leaves no ledger behind: the run itself has looked into it.
    pub(crate) fn of_dry_run(environment: &str, report: &Report, exponents: Exponents) -> Self {
        let rehearsed = report.rehearsed.as_ref();
        let step = |done: &replant_core::StepReport| StepLine {
            step: done.step.to_owned(),
            counts: done.counts,
            rows_per_second: rate(done.counts.read, done.elapsed),
        };
        Self {
            environment: environment.to_owned(),
            dry_run: true,
            complete: report.complete,
            part: report.part,
            nothing_to_do: report.complete && report.steps.iter().all(|step| step.already_done),
            steps: report.steps.iter().map(step).collect(),
            codes: rehearsed.map(|found| found.codes.clone()),
            money: rehearsed.map(|found| money::of_totals(&found.money)),
            exponents,
            intruders: Vec::new(),
            missing: Vec::new(),
            next: vec![typed("migrate", environment)],
        }
    }

    /// The account as people read it.
    pub(crate) fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.nothing_to_do {
            parts.push("All is done already: nothing was written.".to_owned());
        }
        if self.part {
            parts.push("What was asked for is done, and the rest is open: without --limit and --keys the same command does it.".to_owned());
        } else if !self.complete {
            parts.push("Stopped on request: not all is done. The same command goes on.".to_owned());
        }
        if !self.intruders.is_empty() {
            parts.push(format!(
                "ATTENTION: the environment says that the target is not live, but while it had no foreign keys others were \
                 connected who may write to it: {}. Foreign keys hold for what they wrote, but rules may have been decided \
                 without it.",
                self.intruders.join(", ")
            ));
        }
        if !self.missing.is_empty() {
            parts.push(warning(&self.missing, &self.environment));
        }
        parts.push(steps_table(&self.steps));
        if self.dry_run {
            parts.push(
                "A dry run, on copies of the target's tables: nothing was committed. Triggers of the target were not asked."
                    .to_owned(),
            );
        }
        if let Some(codes) = &self.codes {
            parts.push(codes_table(codes, FREQUENT, &self.environment));
        }
        if let Some(money) = &self.money {
            parts.push(money::table_of(money, &self.exponents));
        }
        let next: Vec<String> = self.next.iter().map(|command| format!("  {command}")).collect();
        parts.push(format!("Next:\n{}", next.join("\n")));
        parts.join("\n\n")
    }
}

/// A row that is worth a trace: the first that is quarantined.
fn example(db: &mut Db) -> Result<Option<String>, Error> {
    if !ledger::exists(db)? {
        return Ok(None);
    }
    let one = QuarantineFilter { limit: Some(1), ..QuarantineFilter::default() };
    let Some(row) = quarantine::list(db, &one)?.pop() else { return Ok(None) };
    let step = history::known_steps(db)?.into_iter().find(|step| step.name == row.step);
    Ok(step.map(|step| format!("{} {}", step.legacy_table, row.legacy_key)))
}

fn next(environment: &str, complete: bool, steps: &[StepLine], row: &str) -> Vec<String> {
    let typed = |command: &str| typed(command, environment);
    let mut next = Vec::new();
    if !complete {
        next.push(typed("migrate"));
    }
    next.push(typed("status"));
    if steps.iter().any(|step| step.counts.quarantined > 0) {
        next.push(typed("quarantine list"));
    }
    next.push(typed(&format!("trace {row}")));
    next.push(typed("lineage --out lineage.csv"));
    next
}

fn steps_table(steps: &[StepLine]) -> String {
    let mut table = table(&["step", "read", "migrated", "merged", "skipped", "quarantined", "repairs", "rows/s"]);
    let mut total = Counts::default();
    let row = |name: &str, counts: &Counts, speed: String| {
        let mut cells = vec![name.to_owned()];
        let numbers = [counts.read, counts.migrated, counts.merged, counts.skipped, counts.quarantined, counts.repairs];
        cells.extend(numbers.map(grouped));
        cells.push(speed);
        cells
    };
    for step in steps {
        total += step.counts;
        table.add_row(row(&step.step, &step.counts, step.rows_per_second.map_or_else(|| "-".to_owned(), grouped)));
    }
    if steps.len() > 1 {
        table.add_row(row("all", &total, String::new()));
    }
    render(table, 1..8)
}

/// The most frequent codes, at most `limit`.
pub(crate) fn codes_table(codes: &[CodeCount], limit: usize, environment: &str) -> String {
    if codes.is_empty() {
        return "No row was repaired, merged, skipped or quarantined.".to_owned();
    }
    let mut table = table(&["code", "step", "rows were", "times"]);
    for code in codes.iter().take(limit) {
        table.add_row([code.code.clone(), code.step.clone(), code.what.clone(), grouped(code.count)]);
    }
    let more = codes.len().saturating_sub(limit);
    let rest = match more {
        0 => String::new(),
        _ => format!("\n… and {more} more: {}", typed("status --codes", environment)),
    };
    format!("{}{rest}", render(table, 3..4))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use replant_core::StepReport;

    use super::*;

    fn report(already_done: bool) -> Report {
        let counts = Counts { read: 10, migrated: 9, skipped: 1, ..Counts::default() };
        let counts = if already_done { Counts::default() } else { counts };
        let step = StepReport { step: "readers.readers", already_done, counts, elapsed: Duration::from_secs(2) };
        Report { complete: true, part: false, steps: vec![step], intruders: Vec::new(), rehearsed: None }
    }

    #[test]
    fn a_dry_run_says_what_it_is() {
        let text = Account::of_dry_run("uat", &report(false), Exponents::default()).text();
        assert!(text.contains("nothing was committed") && text.contains("replant migrate --env uat"), "{text}");
        let line = text.lines().find(|line| line.contains("readers.readers")).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells, ["readers.readers", "10", "9", "0", "1", "0", "0", "5"]);
    }

    #[test]
    fn a_run_that_found_all_done_says_so() {
        let text = Account::of_dry_run("local", &report(true), Exponents::default()).text();
        assert!(text.starts_with("All is done already: nothing was written."), "{text}");
    }
}
