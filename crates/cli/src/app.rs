//! What a company says of its migration.

use std::collections::BTreeMap;

use replant_core::db::Db;
use replant_core::diesel::QueryResult;
use replant_core::{ReadSnapshot, Registry};

use crate::command::AnyCommand;

/// Reads from the target how many decimals its currencies have, by code.
pub type ReadExponents = fn(&mut Db) -> QueryResult<BTreeMap<String, u32>>;

/// Reads from the target how many rows some of its tables have.
pub type ReadRows = fn(&mut Db) -> QueryResult<Vec<(&'static str, u64)>>;

/// A company's migration. What [`App::new`] does not ask for may be left as it is:
///
/// ```no_run
/// # use replant_core::{Registry, db::Db};
/// # fn registry() -> Registry { Registry::default() }
/// # fn snapshot(_: &mut Db) -> Result<jiff::Timestamp, String> { Ok(jiff::Timestamp::UNIX_EPOCH) }
/// fn main() -> std::process::ExitCode {
///     replant_cli::main(replant_cli::App {
///         about: "Moves the library into its new catalogue",
///         ..replant_cli::App::new("library", registry, snapshot)
///     })
/// }
/// ```
#[derive(Clone)]
pub struct App {
    /// The program's name as people type it: it stands in help, in hints and among what is to be done next.
    pub program: &'static str,
    /// What it does, in a line: the first one of `--help`.
    pub about: &'static str,
    /// The domains.
    pub registry: fn() -> Registry,
    /// Reads from the legacy database when it was frozen.
    pub snapshot: ReadSnapshot,
    /// The folder of the environments' files, from the root of the workspace; a folder of its last name beside the program
    /// serves as well. `config` unless said otherwise.
    pub config: &'static str,
    /// The decimals of the target's currencies. Those that it does not name have two.
    pub exponents: ReadExponents,
    /// What who is about to write into the target knows it by. No tables unless said otherwise.
    pub rows_there: ReadRows,
    /// What `demo` migrates. Without it there is no such command.
    pub sample: Option<Sample>,
    /// The company's own commands, in the order of `--help`.
    pub commands: Vec<AnyCommand>,
    /// Further examples of `--help`: what is typed behind the program's name, and what it does.
    pub examples: &'static [(&'static str, &'static str)],
}

/// A small legacy database and the target beside it, for `demo`.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The legacy database.
    pub legacy: Side,
    /// The target, with the rows that it has before the migration.
    pub target: Side,
}

/// One of the databases of a [`Sample`].
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// The SQLite file in `local` of the work folder, as the environment `local` names it: `legacy.db`.
    pub file: &'static str,
    /// The statements that make its tables, as SQLite has them.
    pub ddl: &'static str,
    /// The folder of its rows, a `TABLE.csv` or `TABLE.csv.gz` each, from the root of the workspace or beside the program.
    pub rows: &'static str,
}

impl App {
    /// A migration with what every one has; the rest is as the fields say.
    pub fn new(program: &'static str, registry: fn() -> Registry, snapshot: ReadSnapshot) -> Self {
        Self {
            program,
            about: "Migrates a legacy database into a strict platform, restartable at any point, and accounts for every row",
            registry,
            snapshot,
            config: "config",
            exponents: |_| Ok(BTreeMap::new()),
            rows_there: |_| Ok(Vec::new()),
            sample: None,
            commands: Vec::new(),
            examples: &[],
        }
    }

    /// The name of the program's file, which is the last word of what people type.
    pub(crate) fn name(&self) -> &'static str {
        self.program.rsplit(' ').next().unwrap_or(self.program)
    }
}
