//! Logs and bars on standard error.

use std::io::{self, IsTerminal};

use tracing_indicatif::IndicatifLayer;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;

/// The target of the spans that are shown as bars.
pub(crate) const BAR: &str = "replant_bar";

/// Whether bars are shown: where somebody looks at a terminal.
pub(crate) fn shows_bars() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Sends log lines to standard error, filtered by `RUST_LOG`, above the bars if there are any.
pub(crate) fn init() {
    let filter = || EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let lines = tracing_subscriber::fmt::layer().compact().with_target(false);
    let registry = tracing_subscriber::registry();
    if shows_bars() {
        let bars = IndicatifLayer::new();
        let lines = lines.with_writer(bars.get_stderr_writer()).with_filter(filter());
        registry.with(lines).with(bars.with_filter(filter_fn(|meta| meta.target() == BAR))).init();
    } else {
        let lines = lines.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
        registry.with(lines.with_filter(filter())).init();
    }
}

/// A panic is logged by its place alone: its text may hold a value of a row.
pub(crate) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!("a defect of Replant: a thread panicked at {place}");
    }));
}
