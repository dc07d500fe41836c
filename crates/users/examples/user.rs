//! The rules of `user` and nothing else: what `cargo xtask try user` builds.

use std::process::ExitCode;

use replant_cli::App;
use replant_core::Registry;

fn main() -> ExitCode {
    let registry = || Registry::default().domain(users::domain());
    replant_cli::main(App { config: "xtask/config", ..App::new("cargo xtask", registry, reference::snapshot) })
}
