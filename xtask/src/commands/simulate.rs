//! `simulate`: a made-up legacy database and platform.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use clap::Args;
use replant_cli::output::{self, grouped, rate};
use replant_cli::{Command, Context, Error, Exit, Form};
use replant_core::db::DbUrl;
use serde::Serialize;
use simulate::{Rates, SimulateError, Simulated, Simulation};
use tracing::info;

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(5);

/// Make up a legacy database and a platform of any size, as dirty as the sample or as a database that it learns from
#[derive(Args)]
#[command(after_help = "\
The same rows, seed and rates make the same databases, byte for byte. Databases must be empty; their
tables are made where there are none. A folder gets legacy/TABLE.csv and platform/TABLE.csv.
Rates are shares from 0 to 1. A file of rates names those that it changes; --rates-out writes all.
Without --into the rates are all that is made: they are printed, or written by --rates-out.

Examples:
  cargo xtask simulate --rows 100k --into work/simulated
  cargo xtask simulate --rows 7m --seed 3 --into mysql://user:password@host/legacy \\
      --platform postgres://user:password@host/platform
  cargo xtask simulate --into sqlite:///tmp/legacy.db --platform sqlite:///tmp/platform.db
  cargo xtask simulate --like mysql://user:password@host/legacy --rates-out rates.toml
  cargo xtask simulate --rates rates.toml --into work/simulated")]
pub(crate) struct Simulate {
    /// Rows of the legacy database, all tables together: 250000, 100k, 7m
    #[arg(long, value_name = "ROWS", default_value = "100k", value_parser = rows)]
    rows: u64,
    /// Where all chance comes from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// The address of the legacy database, or a folder for both as CSV
    #[arg(long, value_name = "URL|FOLDER")]
    into: Option<String>,
    /// The address of the platform
    #[arg(long, value_name = "URL", requires = "into")]
    platform: Option<String>,
    /// A legacy database to learn the rates from; it is only read, and none of its values is copied
    #[arg(long, value_name = "URL")]
    like: Option<String>,
    /// A file of rates, which stand before those that are learnt
    #[arg(long, value_name = "FILE.toml")]
    rates: Option<PathBuf>,
    /// Write the rates that are used into a file
    #[arg(long, value_name = "FILE.toml")]
    rates_out: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

impl Command for Simulate {
    const NAME: &'static str = "simulate";

    fn run(self, _: &Context) -> Result<Exit, Error> {
        let args = &self;
        let rates = rates(args)?;
        if let Some(file) = &args.rates_out {
            fs::write(file, rates.to_toml()).map_err(Error::io(format!("write {}", file.display())))?;
        }
        match &args.into {
            Some(into) => make(args, into, rates)?,
            None if args.rates_out.is_some() => {}
            None if args.like.is_some() => output::print(rates.to_toml().trim_end()),
            None => {
                let what = "nothing says where the rows should go".to_owned();
                return Err(Error::Refused { what, hint: "name a database or a folder: --into URL|FOLDER".to_owned() });
            }
        }
        Ok(Exit::Done)
    }
}

fn make(args: &Simulate, into: &str, rates: Rates) -> Result<(), Error> {
    let simulation = Simulation { rows: args.rows, seed: args.seed, rates };
    let watch = Watch::new(Some(args.rows));
    let began = Instant::now();
    let progress = |table, rows| watch.advance(table, rows);
    let made = match (into.contains("://"), &args.platform) {
        (true, platform) => {
            let legacy = url(into, "--into")?;
            let platform = platform.as_deref().map(|platform| url(platform, "--platform")).transpose()?;
            simulation.into_databases_with(Some(&legacy), platform.as_ref(), &progress)
        }
        (false, None) => simulation.into_folder_with(Path::new(into), &progress),
        (false, Some(_)) => {
            let what = "a folder gets the platform as well: --platform is for databases".to_owned();
            let hint = "leave --platform away, or name a database with --into".to_owned();
            return Err(Error::Refused { what, hint });
        }
    };
    show(&made.map_err(failed)?, began.elapsed(), args.form.json);
    Ok(())
}

/// Those that are learnt, or the defaults, but for those that a file names.
fn rates(args: &Simulate) -> Result<Rates, Error> {
    let rates = match &args.like {
        Some(like) => {
            let watch = Watch::new(None);
            Rates::learnt_from(&url(like, "--like")?, &|table, rows| watch.advance(table, rows)).map_err(failed)?
        }
        None => Rates::default(),
    };
    let Some(file) = &args.rates else { return Ok(rates) };
    let text = fs::read_to_string(file).map_err(Error::io(format!("read {}", file.display())))?;
    rates.overridden(&text).map_err(|error| Error::Refused {
        what: format!("{}: {error}", file.display()),
        hint: "mend the file, then run the same command again".to_owned(),
    })
}

fn url(text: &str, argument: &str) -> Result<DbUrl, Error> {
    text.parse().map_err(|error| Error::Refused {
        what: format!("{argument}: {error}"),
        hint: "a folder is written without ://".to_owned(),
    })
}

fn failed(error: SimulateError) -> Error {
    let hint = match &error {
        SimulateError::Open(open) if !open.transient => "look at what the address says",
        SimulateError::Open(_) => "run the same command again once the server answers",
        SimulateError::NotEmpty { .. } | SimulateError::FolderNotEmpty { .. } => "nothing was written",
        SimulateError::TooFew => "name more: --rows 100k",
        _ => "what was written so far stays: empty the databases before the next attempt",
    };
    // What is written is made up, so the whole chain may be shown.
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let what = causes.fold(error.to_string(), |what, cause| format!("{what}: {cause}"));
    Error::Failed { what, hint: hint.to_owned() }
}

#[derive(Serialize)]
struct Line<'a> {
    table: &'a str,
    rows: u64,
}

fn show(made: &Simulated, took: Duration, json: bool) {
    let lines: Vec<Line<'_>> = made.tables.iter().map(|(table, rows)| Line { table, rows: *rows }).collect();
    if json {
        return output::json(&lines);
    }
    for Line { table, rows } in &lines {
        output::print(format!("{table:<20} {:>14}", grouped(*rows)));
    }
    let all = lines.iter().map(|line| line.rows).sum();
    let speed = rate(all, took).map(|rows| format!(", {} rows/s", grouped(rows))).unwrap_or_default();
    output::print(format!("{:<20} {:>14} in {:.1} s{speed}", "all", grouped(all), took.as_secs_f32()));
}

/// Tells how far it is, now and then.
struct Watch {
    /// Rows of the legacy database, where it is known.
    wanted: Option<u64>,
    done: Mutex<(u64, Instant)>,
}

impl Watch {
    fn new(wanted: Option<u64>) -> Self {
        Self { wanted, done: Mutex::new((0, Instant::now())) }
    }

    fn advance(&self, table: &'static str, rows: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.0 += rows;
        if done.1.elapsed() < EVERY {
            return;
        }
        done.1 = Instant::now();
        match self.wanted {
            // The platform's rows come to a tenth.
            Some(wanted) => info!(table, "{} rows so far, of about {}", grouped(done.0), grouped(wanted + wanted / 10)),
            None => info!(table, "{} rows read so far", grouped(done.0)),
        }
    }
}

/// A number of rows, in thousands or millions where it says so.
pub(super) fn rows(text: &str) -> Result<u64, String> {
    let (digits, times) = match text.to_ascii_lowercase().strip_suffix(['k', 'm']) {
        Some(digits) if text.ends_with(['k', 'K']) => (digits.to_owned(), 1_000),
        Some(digits) => (digits.to_owned(), 1_000_000),
        None => (text.to_owned(), 1),
    };
    let rows = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(times));
    rows.ok_or_else(|| "rows look like 250000, 100k or 7m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_be_thousands_or_millions() {
        assert_eq!((rows("250000"), rows("100k"), rows("7M")), (Ok(250_000), Ok(100_000), Ok(7_000_000)));
        assert!(rows("7g").is_err() && rows("k").is_err() && rows("99999999999999999m").is_err());
    }
}
