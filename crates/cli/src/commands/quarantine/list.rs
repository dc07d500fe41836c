//! `quarantine list`: quarantined rows, summed up or one by one.

use clap::{Args, ValueEnum};
use replant_core::db::Db;
use replant_core::ledger::quarantine::{self, QuarantineFilter};

use super::{Line, line, roots, step_of};
use crate::arguments::{Form, On};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{json, print, render, table};
use crate::typed::typed;

/// Sum up quarantined rows by code, and list those that hold back the most, or all; shows no values
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    on: On,
    /// Of this step or legacy table
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// With this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// `root`: rows together by what they wait for, those that hold back the most first; `row`: each [default: a summary by
    /// code, then by root]
    #[arg(long, value_name = "WHAT", value_enum)]
    by: Option<By>,
    /// Of roots: what ranks. Of money, amounts in minor units are added as they are, whatever their currency
    #[arg(long, value_enum, default_value_t = Order::Rows)]
    order: Order,
    /// At most so many [default: 20 below the summary, else 50]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(1..))]
    limit: Option<i64>,
    #[command(flatten)]
    form: Form,
}

/// How quarantined rows are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// By the row that they wait for
    Root,
    /// Row by row
    Row,
}

/// What ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    Rows,
    Money,
}

impl List {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut db = cx.ledger(&self.on.env)?;
        let step = self.step.map(|asked| step_of(&mut db, &asked)).transpose()?;
        let limit = self.limit.unwrap_or(if self.by.is_none() { 20 } else { 50 });
        match self.by {
            Some(By::Row) => {
                let filter = QuarantineFilter { step, code: self.code, limit: Some(limit) };
                rows(cx, &mut db, &filter, &self.on.env, self.form)
            }
            by => {
                let wanted = roots::Wanted { step, code: self.code, order: self.order, limit };
                roots::run(cx, &mut db, &wanted, by.is_none(), &self.on.env, self.form)
            }
        }
    }
}

fn rows(cx: &Context, db: &mut Db, filter: &QuarantineFilter, env: &str, form: Form) -> Result<Exit, Error> {
    let lines: Result<Vec<Line>, Error> = quarantine::list(db, filter)?.into_iter().map(line).collect();
    let lines = lines?;
    if form.json {
        json(&lines);
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        print("No such row is quarantined.");
        return Ok(Exit::Done);
    }
    let exponents = cx.exponents(db)?;
    let mut table = table(&["step", "key", "code", "money", "reason", "waits for"]);
    for line in &lines {
        let own = line.root_step == line.step && line.root_key == line.legacy_key;
        table.add_row([
            line.step.clone(),
            line.legacy_key.to_string(),
            line.code.clone(),
            exponents.all(&line.money),
            line.reason.clone(),
            if own { "-".to_owned() } else { format!("{} {}", line.root_step, line.root_key) },
        ]);
    }
    print(render(table, 1..2));
    if filter.limit == i64::try_from(lines.len()).ok() {
        print(format!("\nThe first {}; --limit shows more, --step and --code fewer.", lines.len()));
    }
    print(format!("\nA whole row: {}", typed("quarantine show TABLE KEY", env)));
    Ok(Exit::Done)
}
