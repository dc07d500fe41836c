//! `verify`: every row held against the source, the ledger and the target.

mod expected;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use replant_core::db::{Db, Role};
use replant_core::{Against, Difference, MoneyVerified, RowName, Stop, Tally, Verdict, Verified};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use serde::Serialize;
use serde_json::Value as Json;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

use crate::app::App;
use crate::arguments::{Form, On};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::files::{self, Files};
use crate::money::Exponents;
use crate::output::{grouped, json, print, render, table};
use crate::progress::Progress;
use crate::signals;
use crate::typed::typed;

/// Hold every row against what the rules make of the source, what the ledger says was written, and what stands in the target
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    on: On,
    /// Only these steps or domains; may be given several times
    #[arg(long, value_name = "STEP")]
    step: Vec<String>,
    /// Do not read the legacy database: hold the target against the ledger alone
    #[arg(long)]
    without_legacy: bool,
    /// Hold the target against this file instead, whoever worked it out: a CSV file with the columns table, id, column, value, where
    /// `\N` is NULL
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["step", "without_legacy"])]
    against: Option<PathBuf>,
    /// Write into this folder: differences.csv, money.csv, summary.json
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// With the values of columns that differ, and of keys that are texts
    #[arg(long, requires = "out")]
    values: bool,
    #[command(flatten)]
    form: Form,
}

impl Command for Verify {
    const NAME: &'static str = "verify";

    fn help(_: &App) -> Option<String> {
        Some(format!(
            "\
Customers and runs may go on meanwhile. A row that does not stand as it should is looked at twice, and gets
one of these verdicts:
  changed_since      somebody on the platform has changed it
  removed_since      somebody on the platform has removed it
  added_since        somebody on the platform has added it to a row of ours
  stale              the rules, or the source, say something else by now: a replay or a catch-up is due
  stale_and_changed  the same, of a row that somebody has changed
  unexpected         it differs in a column that the site never changes
  unexplained        it has one of our ids, and nothing in the ledger names it
  defect             what was written is not there, and nobody has touched the row since

{}",
            Exit::help()
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        if let Some(file) = &self.against {
            let how = expected::How { file, out: self.out.as_deref(), values: self.values, json: self.form.json };
            return expected::verify(&mut Db::open(&environment.target()?, Role::Target)?, &how);
        }
        let registry = cx.registry();
        let stop = signals::stop()?;
        let target = environment.target()?;
        // Where it is not read it need not be there any more.
        let legacy = if self.without_legacy { target.clone() } else { environment.legacy()? };
        tracing::info!("verifies {}", target.place());
        let settings = environment.settings(self.step.clone(), false, None);
        let mut db = Db::open(&target, Role::Target)?;
        let migration = cx.migration(&registry, legacy, target, settings);
        let against = if self.without_legacy { Against::Ledger } else { Against::Source };
        let listed = Listed::new(self.out.as_deref(), self.values)?;
        let progress = Progress::of_replay(typed(Self::NAME, &self.on.env));
        let verified = migration.verify(against, &|difference| listed.add(difference, &stop), &stop, &progress)?;
        drop(progress);
        let (worst, file) = listed.end()?;
        let account = Account::new(&self.on.env, against, &verified, worst);
        if let Some((folder, file)) = self.out.as_ref().zip(file) {
            write(folder, file, &account)?;
        }
        match self.form.json {
            true => json(&account),
            false => print(account.text(&cx.exponents(&mut db)?)),
        }
        Ok(account.exit())
    }
}

/// How many of the worst rows are shown.
const SHOWN: usize = 20;

/// Rows that do not stand as they should, on their way into a file.
struct Listed {
    values: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    file: Option<csv::Writer<BufWriter<NamedTempFile>>>,
    failed: Option<io::Error>,
    worst: Vec<Line>,
}

/// A row that does not stand as it should, and one of its columns.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    verdict: &'static str,
    step: &'static str,
    legacy_key: Option<i64>,
    table: String,
    /// Its id, or the columns of its key.
    row: String,
    column: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

impl Listed {
    fn new(folder: Option<&Path>, values: bool) -> Result<Self, Error> {
        let file = folder.map(|folder| {
            std::fs::create_dir_all(folder)?;
            let file = tempfile::Builder::new().prefix(".replant-").suffix(".part").tempfile_in(folder)?;
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
            let heads = ["verdict", "step", "legacy_key", "table", "row", "column", "expected", "found"];
            writer.write_record(&heads[..if values { 8 } else { 6 }])?;
            Ok::<_, io::Error>(writer)
        });
        let file = file.transpose().map_err(Error::io("write the list of differences"))?;
        Ok(Self { values, inner: Mutex::new(Inner { file, failed: None, worst: Vec::new() }) })
    }

    /// Adds a row; one that cannot be written ends the verification.
    fn add(&self, difference: &Difference, stop: &Stop) {
        let lines = self.lines(difference);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if let (Some(file), None) = (&mut inner.file, &inner.failed)
            && let Err(error) = lines.iter().try_for_each(|line| file.serialize(line))
        {
            inner.failed = Some(error.into());
            stop.request();
        }
        if difference.verdict.is_alarm() || difference.verdict.is_stale() {
            let columns = if difference.columns.is_empty() { "-".to_owned() } else { difference.columns.join(", ") };
            let whole = Line { column: columns, expected: None, found: None, ..lines[0].clone() };
            let rank = |line: &Line| Verdict::ALL.iter().position(|verdict| verdict.as_str() == line.verdict);
            let place = inner.worst.partition_point(|known| (rank(known), known) <= (rank(&whole), &whole));
            inner.worst.insert(place, whole);
            inner.worst.truncate(SHOWN);
        }
    }

    fn lines(&self, difference: &Difference) -> Vec<Line> {
        let line = Line {
            verdict: difference.verdict.as_str(),
            step: difference.step,
            legacy_key: difference.legacy_key,
            table: difference.table.clone(),
            row: difference.row.as_ref().map(|row| named(row, self.values)).unwrap_or_default(),
            ..Line::default()
        };
        let value = |of: Option<&Json>| self.values.then(|| of.map_or_else(String::new, shown));
        // Where a side has no row, its columns are those of the other one.
        let all = difference.expected.keys().chain(difference.found.keys());
        let columns: Vec<&String> = match difference.columns.is_empty() && self.values {
            true => all.collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
            false => difference.columns.iter().collect(),
        };
        if columns.is_empty() {
            return vec![Line { expected: value(None), found: value(None), ..line }];
        }
        let of_column = |column: &&String| Line {
            column: (*column).clone(),
            expected: value(difference.expected.get(*column)),
            found: value(difference.found.get(*column)),
            ..line.clone()
        };
        columns.iter().map(of_column).collect()
    }

    fn end(self) -> Result<(Vec<Line>, Option<NamedTempFile>), Error> {
        let Inner { file, failed, worst } = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let end = || {
            if let Some(failed) = failed {
                return Err(failed);
            }
            let Some(file) = file else { return Ok(None) };
            let mut file = file.into_inner().map_err(|error| error.into_error())?;
            file.flush()?;
            file.into_inner().map(Some).map_err(io::IntoInnerError::into_error)
        };
        Ok((worst, end().map_err(Error::io("write the list of differences"))?))
    }
}

/// A row by its key: of texts, which may be anybody's address, a hash unless values are asked for.
pub(super) fn named(row: &RowName, values: bool) -> String {
    let RowName::Key(key) = row else {
        return if let RowName::Id(id) = row { id.to_string() } else { String::new() };
    };
    match serde_json::from_str::<serde_json::Map<String, Json>>(key) {
        Ok(columns) if !values => {
            let column = |(name, value): (String, Json)| match value {
                Json::String(text) => format!("{name}=#{:016x}", xxh3_64(text.as_bytes())),
                other => format!("{name}={other}"),
            };
            columns.into_iter().map(column).collect::<Vec<_>>().join(" ")
        }
        Ok(columns) => {
            columns.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
        }
        Err(_) => String::new(),
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

/// The account of a verification.
#[derive(Debug, Serialize)]
struct Account<'a> {
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

fn write(folder: &Path, differences: NamedTempFile, account: &Account<'_>) -> Result<(), Error> {
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
    fn new(environment: &'a str, against: Against, verified: &'a Verified, worst: Vec<Line>) -> Self {
        Self { environment, against: against.as_str(), all: verified.tally(), verified, worst }
    }

    fn exit(&self) -> Exit {
        match self.verified {
            Verified { complete: false, .. } => Exit::Stopped,
            verified if verified.has_alarms() => Exit::Defects,
            verified if verified.is_stale() || verified.steps.iter().any(|step| !step.done) => Exit::Stale,
            _ => Exit::Done,
        }
    }

    fn text(&self, exponents: &Exponents) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_key_is_hashed_unless_values_are_asked_for() {
        let row = RowName::Key("{\"email\":\"joe@web.de\",\"n\":7}".to_owned());
        let hidden = named(&row, false);
        assert!(!hidden.contains("joe") && hidden.contains("n=7"), "{hidden}");
        assert_eq!(named(&row, true), "email=joe@web.de n=7");
        assert_eq!(named(&RowName::Id(5), false), "5");
    }
}
