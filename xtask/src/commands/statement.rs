//! `statement`: a customer's whole history, for a complaint. The address is in the call and in the answer, nowhere else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use reconciliation::Sources;
use reconciliation::statement::{self, AccountView, Balance, Line, NotMoved, Source, What, statement};
use replant_cli::files::{Files, csv};
use replant_cli::output::{grouped, json, print, render, table};
use replant_cli::{Command, Context, Error, Exit, Form, On};
use replant_core::Instant;
use serde::Serialize;

use super::reconcile::{failed, warn_if_incomplete};

/// Show a customer's whole history, with the legacy row behind each line
#[derive(Args)]
#[command(after_help = "\
Both databases are only read. The address is not logged.

Examples:
  cargo xtask statement amelia@example.org --env prod
  cargo xtask statement amelia@example.org --out amelia.csv")]
pub(crate) struct Statement {
    /// The customer's e-mail address, in any spelling
    #[arg(value_name = "EMAIL")]
    email: String,
    #[command(flatten)]
    on: On,
    /// Write all lines into this CSV file instead; it appears when it is complete
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

/// How many characters of what a line is about a table shows.
const LONGEST: usize = 90;

impl Command for Statement {
    const NAME: &'static str = "statement";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let mut target = cx.ledger(&self.on.env)?;
        let mut legacy = cx.legacy(&self.on.env)?;
        let sources = Sources { legacy: &mut legacy, target: &mut target };
        let found = statement(sources, &self.email).map_err(|error| failed(error, &self.on.env))?;
        if let Some(out) = &self.out {
            let mut files = Files::default();
            let rows = rows(&found);
            files.add(out.clone(), &csv(&rows))?;
            files.appear()?;
            if !self.form.json {
                print(format!("{} lines in {}", grouped(rows.len() as u64), out.display()));
            }
        }
        match (self.form.json, &self.out) {
            (true, _) => json(&found),
            (false, None) => print(text(&found)),
            (false, Some(_)) => {}
        }
        warn_if_incomplete(found.complete, &self.on.env);
        Ok(Exit::Done)
    }
}

/// A line of the CSV file: an account, something that happened, or a legacy row that was not moved.
#[derive(Default, Serialize)]
struct Row {
    at: Option<String>,
    what: &'static str,
    table: String,
    id: i64,
    account_id: Option<i64>,
    status: Option<String>,
    trees: Option<i64>,
    amount_minor: Option<i64>,
    currency: Option<String>,
    amount: Option<String>,
    balance_minor: Option<i64>,
    about: String,
    /// `native`, the legacy rows joined by `; `, or the rule that made it.
    from: String,
    repairs: String,
    outcome: Option<String>,
    code: Option<String>,
    reason: Option<String>,
    waits_for: Option<String>,
    into: Option<String>,
}

fn rows(found: &statement::Statement) -> Vec<Row> {
    let accounts = found.accounts.iter().map(|account| Row {
        at: Some(moment(account.created_at)),
        what: "account",
        table: "accounts".to_owned(),
        id: account.id,
        account_id: Some(account.id),
        status: Some(account.status.clone()),
        about: fields(account)
            .into_iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join(", "),
        from: from(&account.source),
        repairs: repairs(&account.source),
        ..Row::default()
    });
    let lines = found.lines.iter().map(|line| Row {
        at: Some(line.at.to_string()),
        what: line.what.into(),
        table: line.table.to_owned(),
        id: line.id,
        account_id: Some(line.account_id),
        status: line.status.clone(),
        trees: line.trees,
        amount_minor: line.amount_minor,
        currency: line.currency.clone(),
        amount: line.amount.clone(),
        balance_minor: line.balance_minor,
        about: line.about.clone(),
        from: from(&line.source),
        repairs: repairs(&line.source),
        ..Row::default()
    });
    let not_moved = found.not_moved.iter().map(|row| Row {
        at: row.at.clone(),
        what: "not_moved",
        table: row.legacy_table.clone(),
        id: row.legacy_id,
        trees: row.trees,
        about: row.about.clone(),
        from: format!("{} {}", row.legacy_table, row.legacy_id),
        outcome: Some(row.outcome.clone()),
        code: row.code.clone(),
        reason: row.reason.clone(),
        waits_for: row.waits_for.clone(),
        into: row.into.clone(),
        ..Row::default()
    });
    accounts.chain(lines).chain(not_moved).collect()
}

fn from(source: &Source) -> String {
    match source {
        Source::Native => "native".to_owned(),
        Source::Rule { code } => (*code).to_owned(),
        Source::Legacy { rows } => {
            let rows: Vec<String> =
                rows.iter().map(|origin| format!("{} {}", origin.legacy_table, origin.legacy_id)).collect();
            rows.join("; ")
        }
    }
}

fn repairs(source: &Source) -> String {
    let Source::Legacy { rows } = source else { return String::new() };
    let mut codes: Vec<&str> = rows.iter().flat_map(|origin| &origin.repairs).map(String::as_str).collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join(";")
}

fn moment(at: Instant) -> String {
    at.0.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The fields of an account that have a value.
fn fields(account: &AccountView) -> Vec<(&'static str, String)> {
    let opened: &str = account.opened.into();
    let text = |value: &Option<String>| value.clone();
    let fields = [
        ("kind", Some(account.kind.clone())),
        ("opened", Some(opened.replace('_', " "))),
        ("went into", account.merged_into.map(|id| format!("account {id}"))),
        ("e-mail", Some(account.email.clone())),
        ("also", Some(account.other_emails.join(", ")).filter(|emails| !emails.is_empty())),
        ("name", Some(account.display_name.clone())),
        ("given name", text(&account.given_name)),
        ("family name", text(&account.family_name)),
        ("phone", text(&account.phone)),
        ("country", text(&account.country_code)),
        ("locale", text(&account.locale)),
        ("password", Some(if account.has_password { "kept" } else { "none: to be reset" }.to_owned())),
        ("marketing", Some(if account.marketing_consent { "consents" } else { "no consent" }.to_owned())),
        ("created", Some(moment(account.created_at))),
        ("last seen", account.last_seen_at.map(moment)),
        ("changed", Some(moment(account.updated_at))),
        ("brands", Some(account.brands.join(", ")).filter(|brands| !brands.is_empty())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn text(found: &statement::Statement) -> String {
    let mut parts: Vec<String> = found.accounts.iter().map(account).collect();
    if found.accounts.is_empty() {
        parts.push("There is no account by that address.".to_owned());
    }
    parts.push(history(&found.lines));
    parts.push(trees(found));
    if !found.balances.is_empty() {
        let balance =
            |balance: &Balance| format!("{} {} (account {})", balance.balance, balance.currency, balance.account_id);
        parts.push(format!("Credit: {}", found.balances.iter().map(balance).collect::<Vec<_>>().join(", ")));
    }
    parts.push(not_moved(&found.not_moved));
    parts.join("\n\n")
}

fn account(account: &AccountView) -> String {
    let mut text = format!("Account {} ({})\n", account.id, account.status);
    for (name, value) in fields(account) {
        let _ = writeln!(text, "  {name:<12}{value}");
    }
    let _ = write!(text, "  {:<12}{}", "from", from(&account.source));
    let repairs = repairs(&account.source);
    if !repairs.is_empty() {
        let _ = write!(text, " (repaired: {repairs})");
    }
    text
}

fn history(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "Nothing happened.".to_owned();
    }
    let mut table = table(&["when", "what", "id", "status", "trees", "amount", "about", "from"]);
    for line in lines {
        let what: &str = line.what.into();
        let money = match (&line.amount, &line.currency) {
            (Some(amount), Some(currency)) => format!("{amount} {currency}"),
            _ => String::new(),
        };
        table.add_row([
            line.at.to_string(),
            what.replace('_', " "),
            line.id.to_string(),
            line.status.clone().unwrap_or_default(),
            line.trees.map(|trees| trees.to_string()).unwrap_or_default(),
            money,
            shortened(&line.about),
            from(&line.source),
        ]);
    }
    render(table, 4..6)
}

/// Words that fit into a table: a gift's message may be long.
fn shortened(about: &str) -> String {
    match about.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &about[..end]),
        None => about.to_owned(),
    }
}

/// The answer to "my trees are missing", in a line.
fn trees(found: &statement::Statement) -> String {
    let of =
        |what: What| -> i64 { found.lines.iter().filter(|line| line.what == what).filter_map(|line| line.trees).sum() };
    let mut not_moved: BTreeMap<(&str, &str), (usize, i64)> = BTreeMap::new();
    for row in found.not_moved.iter().filter(|row| row.legacy_table == "plantation") {
        let why = (row.outcome.as_str(), row.code.as_deref().unwrap_or("no step has come to it"));
        let sums = not_moved.entry(why).or_default();
        *sums = (sums.0 + 1, sums.1 + row.trees.unwrap_or(0));
    }
    let mut text = format!("Trees: {} planted, {} received as gifts", of(What::Planting), of(What::GiftReceived));
    for ((outcome, why), (rows, trees)) in not_moved {
        let _ = write!(text, "; {trees} in {rows} legacy row(s) {outcome} ({why})");
    }
    text
}

fn not_moved(rows: &[NotMoved]) -> String {
    if rows.is_empty() {
        return "Every legacy row of this person has its own row on the platform.".to_owned();
    }
    let mut table = table(&["legacy row", "when", "what it says", "outcome", "why"]);
    for row in rows {
        let mut why = row.code.clone().unwrap_or_default();
        if let Some(reason) = &row.reason {
            let _ = write!(why, ": {reason}");
        }
        if let Some(root) = &row.waits_for {
            let _ = write!(why, "; waits for {root}");
        }
        if let Some(into) = &row.into {
            let _ = write!(why, ", into {into}");
        }
        table.add_row([
            format!("{} {}", row.legacy_table, row.legacy_id),
            row.at.clone().unwrap_or_default(),
            row.about.clone(),
            row.outcome.clone(),
            why,
        ]);
    }
    format!("Legacy rows of this person without a row of their own on the platform\n\n{}", render(table, 0..0))
}
