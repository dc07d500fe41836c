//! What a verification comes to, for a terminal and as files.

use std::collections::BTreeMap;
use std::path::Path;

use replant_core::{Against, MoneyVerified, Tally, Verdict, Verified};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::Verify;
use super::listed::Line;
use crate::command::Command;
use crate::error::Error;
use crate::exit::Exit;
use crate::files::{self, Files};
use crate::money::Exponents;
use crate::output::{grouped, render, table};
use crate::typed::typed;

/// The account of a verification.
#[derive(Debug, Serialize)]
pub(super) struct Account<'a> {
    environment: &'a str,
    /// `source` or `ledger`.
    against: &'static str,
    #[serde(flatten)]
    verified: &'a Verified,
    all: Tally,
    /// Some of the rows that need somebody to look at them, the worst first.
    worst: Vec<Line>,
}

/// Money of an owner that does not stand as it was written.
#[derive(Debug, Default, Serialize)]
struct MoneyLine {
    table: String,
    currency: String,
    /// None: the whole table.
    owner: Option<i64>,
    written_minor: i128,
    stands_minor: i128,
}

pub(super) fn write(folder: &Path, differences: NamedTempFile, account: &Account<'_>) -> Result<(), Error> {
    let mut money = Vec::new();
    for MoneyVerified { table, currency, written, stands, owners } in &account.verified.money {
        let line = |owner, written_minor, stands_minor| MoneyLine {
            table: table.clone(),
            currency: currency.clone(),
            owner,
            written_minor,
            stands_minor,
        };
        money.push(line(None, *written, *stands));
        money.extend(owners.iter().map(|(owner, (written, stands))| line(Some(*owner), *written, *stands)));
    }
    let mut files = Files::default();
    files.add(folder.join("money.csv"), &files::csv(&money))?;
    let summary = serde_json::to_vec_pretty(account).expect("an account has a JSON form");
    files.add(folder.join("summary.json"), &summary)?;
    files.appear()?;
    let out = folder.join("differences.csv");
    differences.persist(&out).map_err(|error| Error::io(format!("write {}", out.display()))(error.error))?;
    Ok(())
}

impl<'a> Account<'a> {
    pub(super) fn new(environment: &'a str, against: Against, verified: &'a Verified, worst: Vec<Line>) -> Self {
        Self { environment, against: against.as_str(), all: verified.tally(), verified, worst }
    }

    pub(super) fn exit(&self) -> Exit {
        match self.verified {
            Verified { complete: false, .. } => Exit::Stopped,
            verified if verified.has_alarms() => Exit::Defects,
            verified if verified.is_stale() || verified.steps.iter().any(|step| !step.done) => Exit::Stale,
            _ => Exit::Done,
        }
    }

    pub(super) fn text(&self, exponents: &Exponents) -> String {
        if !self.verified.complete {
            return format!("Stopped before its end; again: {}", typed(Verify::NAME, self.environment));
        }
        let mut parts = vec![self.steps(), self.money(exponents)];
        if !self.worst.is_empty() {
            parts.push(self.worst());
        }
        parts.extend(self.verified.findings.iter().map(ToString::to_string));
        parts.extend(self.behind());
        parts.push(self.end());
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    }

    fn steps(&self) -> String {
        let heads =
            ["step", "rows", "equal", "changed", "removed", "added", "stale", "unexpected", "unexplained", "defects"];
        let mut table = table(&heads);
        for step in &self.verified.steps {
            let of = |verdict| step.tally.of(verdict);
            let numbers = [
                step.rows,
                step.equal,
                of(Verdict::Changed),
                of(Verdict::Removed),
                of(Verdict::Added),
                step.tally.those(Verdict::is_stale),
                of(Verdict::Unexpected),
                of(Verdict::Unexplained),
                of(Verdict::Defect),
            ];
            let name = if step.done { step.step.to_owned() } else { format!("{} (not done)", step.step) };
            table.add_row(std::iter::once(name).chain(numbers.map(grouped)));
        }
        render(table, 1..10)
    }

    fn money(&self, exponents: &Exponents) -> String {
        let mut sums: BTreeMap<&str, (i128, i128, usize)> = BTreeMap::new();
        for money in &self.verified.money {
            let sum = sums.entry(&money.currency).or_default();
            *sum = (sum.0 + money.written, sum.1 + money.stands, sum.2 + money.owners.len());
        }
        if sums.is_empty() {
            return String::new();
        }
        let amount = |currency: &str, minor: i128| {
            Decimal::from_i128(minor).map_or_else(|| minor.to_string(), |minor| exponents.major(currency, minor))
        };
        let mut table = table(&["money", "written", "stands", "apart", "accounts apart"]);
        for (currency, (written, stands, owners)) in sums {
            let cells = [written, stands, stands - written].map(|minor| amount(currency, minor));
            table.add_row(std::iter::once(currency.to_owned()).chain(cells).chain([grouped(owners as u64)]));
        }
        render(table, 1..5)
    }

    fn worst(&self) -> String {
        let mut table = table(&["verdict", "step", "legacy key", "table", "row", "columns"]);
        for line in &self.worst {
            let key = line.legacy_key.map_or_else(|| "-".to_owned(), |key| key.to_string());
            table.add_row([line.verdict, line.step, &key, &line.table, &line.row, &line.column]);
        }
        render(table, 0..0)
    }

    /// What the legacy database has that the target has not been brought to.
    fn behind(&self) -> Option<String> {
        let behind = self.verified.steps.iter().filter(|step| step.behind != (0, 0));
        let said = behind.map(|step| format!("{}: {} new, {} gone", step.step, step.behind.0, step.behind.1));
        let said: Vec<String> = said.collect();
        let again = typed("catch-up", self.environment);
        (!said.is_empty())
            .then(|| format!("Legacy rows since the last state: {}. `{again}` brings them.", said.join("; ")))
    }

    /// What it comes to, and what to do about it.
    fn end(&self) -> String {
        let rows: u64 = self.verified.steps.iter().map(|step| step.rows).sum();
        let (alarms, stale) = (self.all.those(Verdict::is_alarm), self.all.those(Verdict::is_stale));
        let theirs = self.all.those(|verdict| !verdict.is_alarm() && !verdict.is_stale());
        let structure = self.verified.findings.iter().filter(|finding| finding.refuses()).count() as u64;
        let mut said = vec![format!("{} rows verified; customers have changed {}.", grouped(rows), grouped(theirs))];
        let waiting: u64 = self.verified.steps.iter().map(|step| step.waiting).sum();
        if waiting > 0 {
            said.push(format!("{} rows that the target has refused wait in the quarantine.", grouped(waiting)));
        }
        if alarms + structure > 0 {
            said.push(format!(
                "{} rows and {} constraints, indexes or sequences are not as they should be, and nothing explains it: `{}` shows a \
                 row.",
                grouped(alarms),
                grouped(structure),
                typed("trace TABLE ID", self.environment)
            ));
        }
        if stale > 0 {
            let (replay, catch_up) =
                (typed("quarantine replay", self.environment), typed("catch-up", self.environment));
            said.push(format!(
                "{} rows come out otherwise by now: `{replay}` where rules have changed, `{catch_up}` where the source has.",
                grouped(stale)
            ));
        }
        let open: Vec<&str> = self.verified.steps.iter().filter(|step| !step.done).map(|step| step.step).collect();
        if !open.is_empty() {
            let migrate = typed("migrate", self.environment);
            said.push(format!("Not done yet, so not judged again: {}. `{migrate}` goes on.", open.join(", ")));
        }
        if alarms + structure + stale == 0
            && open.is_empty()
            && self.verified.steps.iter().all(|step| step.behind == (0, 0))
        {
            said.push("All else is as it should be.".to_owned());
        }
        said.join("\n")
    }
}
