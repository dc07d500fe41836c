//! Logs and bars on standard error, and logs in a file.

mod lines;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use clap::ValueEnum;
use tracing_indicatif::IndicatifLayer;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;

use crate::error::Error;
use lines::JsonLines;

/// The target of the spans that are shown as bars.
pub(crate) const BAR: &str = "replant_bar";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// An object a line, with the fields `run`, `step` and `chunk` where they are known
    Json,
}

/// The run of this process, once it has one.
static RUN: OnceLock<String> = OnceLock::new();

/// From now on, lines name the run.
pub(crate) fn set_run(run: &str) {
    // A process has one run; a second one would be a defect, and no reason to stop.
    let _ = RUN.set(run.to_owned());
}

/// The form of the lines on standard error, once it is known.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Whether bars are shown: where somebody looks at a terminal, and no program reads the lines.
pub(crate) fn shows_bars() -> bool {
    FORMAT.get() != Some(&LogFormat::Json)
        && io::stderr().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Sends log lines to standard error, filtered by `RUST_LOG`, above the bars if there are any. With a file they go there in
/// the format that was asked for, behind what it holds, and to standard error as text.
pub(crate) fn init(format: LogFormat, file: Option<&Path>) -> Result<(), Error> {
    let filter = || EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let file = file.map(open).transpose()?;
    let on_screen = if file.is_some() { LogFormat::Text } else { format };
    let _ = FORMAT.set(on_screen);
    let (as_text, as_json) = match format {
        LogFormat::Text => (file, None),
        LogFormat::Json => (None, file),
    };
    let text_file = as_text.map(|file| {
        let lines = tracing_subscriber::fmt::layer().compact().with_target(false).with_ansi(false);
        lines.with_writer(Mutex::new(file)).with_filter(filter())
    });
    let json_file = as_json.map(|file| JsonLines::into(file).with_filter(filter()));
    let registry = tracing_subscriber::registry().with(text_file).with(json_file);
    let lines = tracing_subscriber::fmt::layer().compact().with_target(false);
    match on_screen {
        LogFormat::Json => registry.with(JsonLines::into(io::stderr()).with_filter(filter())).init(),
        LogFormat::Text if shows_bars() => {
            let bars = IndicatifLayer::new();
            let lines = lines.with_writer(bars.get_stderr_writer()).with_filter(filter());
            registry.with(lines).with(bars.with_filter(filter_fn(|meta| meta.target() == BAR))).init();
        }
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
            registry.with(lines.with_filter(filter())).init();
        }
    }
    Ok(())
}

fn open(file: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.map_err(Error::io(format!("write the log into {}", file.display())))
}

/// A panic is logged by its place alone: its text may hold a value of a row.
pub(crate) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!("a defect of Replant: a thread panicked at {place}");
    }));
}
