//! The rules of `credit_entry` and nothing else: what `cargo xtask try credit_entry` builds.

use std::process::ExitCode;

use replant_cli::App;
use replant_core::Registry;

fn main() -> ExitCode {
    let registry = || Registry::default().domain(credits::domain());
    replant_cli::main(App { config: "xtask/config", ..App::new("cargo xtask", registry, reference::snapshot) })
}
