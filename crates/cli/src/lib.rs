#![doc = include_str!("../README.md")]

mod app;
mod arguments;
mod command;
mod commands;
mod config;
mod context;
mod error;
mod exit;
pub mod files;
mod money;
pub mod output;
mod places;
mod progress;
mod report;
pub mod signals;
mod telemetry;
mod typed;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

pub use app::{App, ReadExponents, ReadRows, Sample, Side};
pub use arguments::{Form, On};
pub use command::{AnyCommand, Command, command};
pub use config::{Environment, SettingsError};
pub use context::Context;
pub use error::Error;
pub use exit::Exit;
pub use typed::typed;

/// The whole program: reads the call, does what it says and tells how it went.
pub fn main(app: App) -> ExitCode {
    typed::set_program(app.program);
    let call = arguments::read(app);
    if let Err(error) = telemetry::init(call.log_format, call.log_file.as_deref()) {
        return ended(Err(error));
    }
    telemetry::hide_panics();
    ended(catch_unwind(AssertUnwindSafe(|| call.run())).unwrap_or_else(|_| {
        let what = "a defect of Replant, whose place is logged above".to_owned();
        Err(Error::Failed { what, hint: "what was committed stays; please report it".to_owned() })
    }))
}

fn ended(end: Result<Exit, Error>) -> ExitCode {
    let exit = end.unwrap_or_else(|error| {
        let exit = error.exit();
        output::error(error);
        exit
    });
    exit.into()
}
