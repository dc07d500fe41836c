//! More Trees' own commands.

#[cfg(feature = "whole")]
mod bench;
#[cfg(feature = "whole")]
mod dist;
#[cfg(feature = "whole")]
mod reconcile;
#[cfg(feature = "whole")]
mod simulate;
#[cfg(feature = "whole")]
mod statement;
mod test;

use replant_cli::{AnyCommand, command};

/// In the order of `--help`.
pub(crate) fn commands() -> Vec<AnyCommand> {
    vec![
        #[cfg(feature = "whole")]
        command::<reconcile::Reconcile>(),
        #[cfg(feature = "whole")]
        command::<statement::Statement>(),
        #[cfg(feature = "whole")]
        command::<simulate::Simulate>(),
        command::<test::Test>(),
        #[cfg(feature = "whole")]
        command::<bench::Bench>(),
        #[cfg(feature = "whole")]
        command::<dist::Dist>(),
    ]
}

/// Further examples of `--help`: what is not here yet is built when it is asked for.
#[cfg(feature = "whole")]
pub(crate) const EXAMPLES: &[(&str, &str)] = &[("test", "run every test")];
#[cfg(not(feature = "whole"))]
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("test", "run every test"),
    ("reconcile --help", "and statement, simulate, bench, dist: they are built when they are asked for"),
];
