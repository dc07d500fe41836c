//! The rules of `subscription` and nothing else: what `cargo xtask try subscription` builds.

use std::process::ExitCode;

use replant_cli::App;
use replant_core::Registry;

fn main() -> ExitCode {
    let registry = || Registry::default().domain(subscriptions::domain());
    replant_cli::main(App { config: "xtask/config", ..App::new("cargo xtask", registry, reference::snapshot) })
}
