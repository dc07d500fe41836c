//! The rules of `bank_transfer` and nothing else: what `cargo xtask try bank_transfer` builds.

use std::process::ExitCode;

use replant_cli::App;
use replant_core::Registry;

fn main() -> ExitCode {
    let registry = || Registry::default().domain(bank_transfers::domain());
    replant_cli::main(App { config: "xtask/config", ..App::new("cargo xtask", registry, reference::snapshot) })
}
