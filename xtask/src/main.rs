//! `cargo xtask`: the migration of More Trees on the command line of Replant.

mod commands;
mod registry;

use std::process::ExitCode;

use replant_cli::{App, Sample, Side};

// The client libraries of the databases take their memory from it too: its feature takes the place of `malloc`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    replant_cli::main(App {
        config: "xtask/config",
        exponents: reference::exponents,
        rows_there: |platform| Ok(reference::rows_there(platform)?.to_vec()),
        sample: Some(SAMPLE),
        commands: commands::commands(),
        examples: commands::EXAMPLES,
        ..App::new(program(), registry::registry, reference::snapshot)
    })
}

const SAMPLE: Sample = Sample {
    legacy: Side {
        file: "legacy.db",
        ddl: include_str!("../../schemas/legacy/sqlite/up.sql"),
        rows: "fixtures/sample/legacy",
    },
    target: Side {
        file: "platform.db",
        ddl: include_str!("../../schemas/platform/sqlite/up.sql"),
        rows: "fixtures/sample/platform",
    },
};

/// As people type it: cargo says so where it runs the program.
fn program() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo xtask" } else { "replant" }
}
