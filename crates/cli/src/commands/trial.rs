//! `try`: some rows judged by the rules as they are built now, and shown beside what they would become.

use clap::Args;
use comfy_table::{Attribute, Cell, Color};
use jiff::tz::TimeZone;
use replant_core::{KeyRange, Outcome, Repair, Selection, Silent, Trial};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::app::App;
use crate::arguments::{Form, On, key_range};
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print, render, table};

/// Judge some rows by the rules as they are now, and show what they would become; writes nothing
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// The legacy table, or the step
    #[arg(value_name = "TABLE")]
    table: String,
    /// Keys, and ranges of them: 5,7..9
    #[arg(long, value_name = "KEYS", value_delimiter = ',', value_parser = key_range, group = "rows")]
    keys: Vec<KeyRange>,
    /// Rows that ended with this code, or have a repair with it
    #[arg(long, value_name = "CODE", group = "rows")]
    where_code: Option<String>,
    /// So many rows, spread over the whole table [default: 5]
    #[arg(long, value_name = "N", group = "rows")]
    sample: Option<u64>,
    /// Show what the target has beside what would be written, and leave out rows that come out the same
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    on: On,
    #[command(flatten)]
    form: Form,
}

/// Rows that are tried where nobody says which.
const ROWS: u64 = 5;

impl Command for Try {
    const NAME: &'static str = "try";

    fn help(app: &App) -> Option<String> {
        let (program, registry) = (app.program, (app.registry)());
        let table = registry.steps().next().map_or("TABLE", |step| step.legacy_table());
        Some(format!(
            "\
A row is judged with its whole unit, against an environment whose migration is done: what rules over
several rows ask, and the ids, are those of that migration. A change of a rule shows at once.

Examples:
  {program} try {table}                         a few rows
  {program} try {table} --keys 5,7..9           these rows
  {program} try {table} --sample 1000 --diff    what a changed rule changes"
        ))
    }

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let environment = cx.environment(&self.on.env)?;
        let (legacy, target) = (environment.legacy()?, environment.target()?);
        let registry = cx.registry();
        let migration = cx.migration(&registry, legacy, target, environment.settings(Vec::new(), false, None));
        let selection = match (&self.where_code, self.keys.is_empty()) {
            (Some(code), _) => Selection::Code(code.clone()),
            (None, false) => Selection::Keys(self.keys.clone()),
            (None, true) => Selection::Sample(self.sample.unwrap_or(ROWS)),
        };
        let mut trials = migration.judge(&self.table, &selection, &Silent)?;
        let tried = trials.len();
        if self.diff {
            trials.retain(differs);
        }
        match self.form.json {
            true => json(&trials),
            false => print(shown(&self.table, &trials, tried, self.diff)),
        }
        Ok(Exit::Done)
    }
}

fn shown(table: &str, trials: &[Trial], tried: usize, diff: bool) -> String {
    let mut parts: Vec<String> = trials.iter().map(|trial| unit(table, trial, diff)).collect();
    parts.push(match (diff, trials.len()) {
        (true, 0) => format!("{tried} units were tried: all come out as the target has them."),
        (true, differ) => {
            format!("{tried} units were tried, {differ} differ from what the target has. Nothing was written.")
        }
        (false, 0) => "No row was found.".to_owned(),
        (false, _) => format!("{tried} units were tried. Nothing was written."),
    });
    parts.join("\n\n")
}

/// A unit: each legacy row with its end and its repairs, then what would be written.
fn unit(name: &str, trial: &Trial, diff: bool) -> String {
    let heads: &[&str] = if diff {
        &["", "column", "value", "repaired, or as the target has it"]
    } else {
        &["", "column", "value", "repaired"]
    };
    let mut table = table(heads);
    for row in &trial.rows {
        let end = match (row.outcome, row.target) {
            (Outcome::Migrated | Outcome::Merged, Some(id)) => format!("{} ({id})", row.outcome),
            _ => format!("{} {}", row.outcome, row.code.unwrap_or_default()),
        };
        let end = Cell::new(end).fg(color(row.outcome)).add_attribute(Attribute::Bold);
        table.add_row([Cell::new(format!("{name} {}", row.key)).add_attribute(Attribute::Bold), end]);
        if !row.reason.is_empty() {
            table.add_row(["", "why", row.reason.as_str()].map(Cell::new));
        }
        for (column, value) in row.legacy.as_object().into_iter().flatten() {
            let repairs = trial.repairs.iter().filter(|repair| repair.key == row.key && repair.column == column);
            let repairs: Vec<String> = repairs.map(repaired).collect();
            let repairs = Cell::new(repairs.join("\n")).fg(Color::Yellow);
            table.add_row([Cell::new(""), Cell::new(column), Cell::new(plain(value)), repairs]);
        }
    }
    for (batch, row) in &trial.written {
        table.add_row([Cell::new(format!("→ {batch}")).fg(Color::Cyan).add_attribute(Attribute::Bold)]);
        let stands = standing(trial, batch, row);
        for (column, value) in row.as_object().into_iter().flatten() {
            let there = stands.and_then(|stands| stands.get(column)).filter(|there| diff && !same(there, value));
            let there = there.map(|there| Cell::new(plain(there)).fg(Color::Red)).unwrap_or(Cell::new(""));
            table.add_row([Cell::new(""), Cell::new(column), Cell::new(plain(value)), there]);
        }
    }
    render(table, 0..0)
}

fn repaired(repair: &Repair) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
    format!("{}: {} → {}", repair.code, text(&repair.before), text(&repair.after))
}

fn color(outcome: Outcome) -> Color {
    match outcome {
        Outcome::Migrated => Color::Green,
        Outcome::Merged => Color::Blue,
        Outcome::Skipped => Color::Yellow,
        Outcome::Quarantined => Color::Red,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The row that the target has of what would be written.
fn standing<'a>(trial: &'a Trial, batch: &str, row: &Value) -> Option<&'a Value> {
    let id = row.get("id")?.as_i64()?;
    let (.., stands) = trial.stands.iter().find(|(table, of, _)| table == batch && *of == id)?;
    stands.as_ref()
}

/// Whether a unit comes out otherwise than the target has it.
fn differs(trial: &Trial) -> bool {
    let is_in = |outcome| matches!(outcome, Outcome::Migrated | Outcome::Merged);
    if trial.rows.first().is_some_and(|row| is_in(row.outcome)) == trial.stands.is_empty() {
        return true;
    }
    trial.written.iter().any(|(batch, row)| {
        let stands = standing(trial, batch, row).and_then(Value::as_object);
        let columns = row.as_object().into_iter().flatten();
        stands.is_some_and(|stands| {
            columns.into_iter().any(|(c, value)| stands.get(c).is_some_and(|there| !same(there, value)))
        })
    })
}

/// Whether two databases' words say the same: a time, a number or a flag has several forms.
fn same(a: &Value, b: &Value) -> bool {
    // SQLite writes times without a zone: they are in UTC.
    let time = |value: &Value| {
        let text = value.as_str()?;
        let in_utc = || Some(text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
        text.replacen(' ', "T", 1).parse::<jiff::Timestamp>().ok().or_else(in_utc)
    };
    let number = |value: &Value| match value {
        Value::Bool(flag) => Some(Decimal::from(u8::from(*flag))),
        other => plain(other).parse::<Decimal>().ok(),
    };
    a == b || time(a).zip(time(b)).is_some_and(|(a, b)| a == b) || number(a).zip(number(b)).is_some_and(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_of_one_value_do_not_differ() {
        assert!(same(&json!("2020-01-02T03:04:05Z"), &json!("2020-01-02 03:04:05+00:00")));
        assert!(same(&json!("2020-01-02T03:04:05Z"), &json!("2020-01-02 03:04:05.000000")));
        assert!(same(&json!(1), &json!(true)));
        assert!(same(&json!("1.50"), &json!(1.5)));
        assert!(!same(&json!("a"), &json!(null)));
        assert!(!same(&json!("2020-01-02T03:04:05Z"), &json!("2020-01-02T03:04:06Z")));
    }
}
