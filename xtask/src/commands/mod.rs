//! More Trees' own commands.

mod bench;
mod reconcile;
mod simulate;
mod statement;
mod test;

use replant_cli::{AnyCommand, command};

/// In the order of `--help`.
pub(crate) fn commands() -> Vec<AnyCommand> {
    vec![
        command::<reconcile::Reconcile>(),
        command::<statement::Statement>(),
        command::<simulate::Simulate>(),
        command::<test::Test>(),
        command::<bench::Bench>(),
    ]
}
