//! `simulate`: a made-up legacy database and platform.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use replant_core::db::DbUrl;
use serde::Serialize;
use simulate::{Rates, SimulateError, Simulated, Simulation};
use tracing::info;

use crate::cli::Simulate;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{self, grouped};
use crate::progress::rate;

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Simulate) -> Result<Exit, Error> {
    let Some(into) = &args.into else {
        let what = "nothing says where the rows should go".to_owned();
        return Err(Error::Refused { what, hint: "name a database or a folder: --into URL|FOLDER".to_owned() });
    };
    let simulation = Simulation { rows: args.rows, seed: args.seed, rates: rates(args)? };
    let watch = Watch::new(args.rows);
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
            return Err(Error::Refused {
                what,
                hint: "leave --platform away, or name a database with --into".to_owned(),
            });
        }
    };
    show(&made.map_err(failed)?, began.elapsed(), args.form.json);
    Ok(Exit::Done)
}

fn rates(args: &Simulate) -> Result<Rates, Error> {
    let Some(file) = &args.rates else { return Ok(Rates::default()) };
    let text = fs::read_to_string(file).map_err(Error::io(format!("read {}", file.display())))?;
    Rates::parse(&text).map_err(|error| Error::Refused {
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
    wanted: u64,
    done: Mutex<(u64, Instant)>,
}

impl Watch {
    fn new(wanted: u64) -> Self {
        Self { wanted, done: Mutex::new((0, Instant::now())) }
    }

    fn advance(&self, table: &'static str, rows: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.0 += rows;
        if done.1.elapsed() >= EVERY {
            done.1 = Instant::now();
            info!(table, "{} rows so far, of about {}", grouped(done.0), grouped(self.wanted + self.wanted / 10));
        }
    }
}
