//! The rules of `cross_charge` and nothing else: what `cargo xtask try cross_charge` builds.

use std::process::ExitCode;

use replant_cli::App;
use replant_core::Registry;

fn main() -> ExitCode {
    let registry = || Registry::default().domain(cross_charges::domain());
    replant_cli::main(App { config: "xtask/config", ..App::new("cargo xtask", registry, reference::snapshot) })
}
