//! `cargo xtask`: the command line of Replant.

mod cli;
mod commands;
mod config;
mod error;
mod exit;
mod money;
mod output;
mod places;
mod progress;
mod registry;
mod report;
mod signals;
mod telemetry;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit::Exit;

// The client libraries of the databases take their memory from it too: its feature takes the place of `malloc`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = telemetry::init(cli.log_format, cli.log_file.as_deref()) {
        let exit = error.exit();
        output::error(error);
        return exit.into();
    }
    telemetry::hide_panics();
    let end = catch_unwind(AssertUnwindSafe(|| commands::run(cli))).unwrap_or_else(|_| {
        let what = "a defect of Replant, whose place is logged above".to_owned();
        Err(Error::Failed { what, hint: "what was committed stays; please report it".to_owned() })
    });
    let exit = end.unwrap_or_else(|error| {
        let exit: Exit = error.exit();
        output::error(error);
        exit
    });
    exit.into()
}
