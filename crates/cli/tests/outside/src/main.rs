//! The migration of Bookshed, a lending library: its card index becomes a catalogue.

mod card;
mod loans;
mod readers;
mod snapshot;

use std::process::ExitCode;

use replant_cli::{App, Sample, Side, command};
use replant_core::Registry;

fn main() -> ExitCode {
    replant_cli::main(App {
        about: "Moves the card index of Bookshed into its catalogue",
        sample: Some(Sample {
            legacy: Side { file: "cards.db", ddl: include_str!("../schema/cards.sql"), rows: "sample/cards" },
            target: Side {
                file: "catalogue.db",
                ddl: include_str!("../schema/catalogue.sql"),
                rows: "sample/catalogue",
            },
        }),
        commands: vec![command::<card::Card>()],
        ..App::new("bookshed", registry, snapshot::snapshot)
    })
}

fn registry() -> Registry {
    Registry::default().domain(readers::domain()).domain(loans::domain())
}
