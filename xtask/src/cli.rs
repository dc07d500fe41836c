//! The commands and their arguments.

mod bench;
mod simulate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::constraints::Constraints;
use crate::exit::Exit;
use crate::telemetry::LogFormat;
pub(crate) use bench::{Bench, Measured};
pub(crate) use simulate::Simulate;

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                          migrate the sample into SQLite files, here and now
  cargo xtask plan --env uat                check everything and show what would be done
  cargo xtask migrate --env uat --dry-run   do everything on copies of the tables, and commit nothing
  cargo xtask migrate --env prod            asks for the name of the environment before it writes
  cargo xtask trace user 4711               what became of a row
  cargo xtask test                          run every test

Environments are the files of xtask/config. They hold no addresses of databases; set
  REPLANT__LEGACY__URL   mysql://user:password@host/database, or sqlite:///path/to/file.db
  REPLANT__TARGET__URL   postgres://user:password@host/database, or sqlite:///path/to/file.db
or ..._URL_FILE to the path of a file that holds the address. Behind an address may stand
  ?password_file=/path                            the password, where the address has none
  ?sslmode=verify-full&sslrootcert=/path/ca.pem   PostgreSQL: encrypted and verified
  ?ssl_mode=VERIFY_IDENTITY&ssl_ca=/path/ca.pem   MariaDB: the same; docs/tls.md says more
So can any other setting be set:
  REPLANT__RUN__CHUNK_ROWS=2000

Results go to standard output, logs and progress to standard error.
RUST_LOG=debug shows every chunk; --log-format json and --log-file FILE are for programs that watch.";

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}", Exit::help())
}

/// Migrates a legacy database into a strict platform, restartable at any point, and accounts for every row.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version, after_help = after_help(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// The folder of the environments' files [default: xtask/config, or config beside the program]
    #[arg(long, global = true, value_name = "FOLDER", env = "REPLANT_CONFIG_DIR", hide_env = true)]
    pub(crate) config_dir: Option<PathBuf>,

    /// The folder for the SQLite files of the environment `local` [default: work, in the workspace]
    #[arg(long, global = true, value_name = "FOLDER", env = "REPLANT_WORK_DIR", hide = true)]
    pub(crate) work_dir: Option<PathBuf>,

    /// The form of log lines
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, hide_default_value = true)]
    pub(crate) log_format: LogFormat,

    /// A file for log lines, in the form of --log-format; they go to standard error as text as well
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Migrate the sample into SQLite files: nothing to install, done in seconds
    #[command(after_help = "\
The files are work/local/legacy.db and work/local/platform.db: the environment `local`.
They are made from fixtures/sample when they are not there. A second demo finds all done and
writes nothing.")]
    Demo(Demo),

    /// Check both databases and show the steps with their rows; writes nothing
    Plan(Plan),

    /// Run the migration, or go on where an earlier run stopped
    #[command(after_help = migrate_help())]
    Migrate(Migrate),

    /// Join the run that is under way, on this machine or another one
    #[command(after_help = work_help())]
    Work(Work),

    /// Show how far the migration is, from the ledger in the target
    Status(Status),

    /// Show and bring back what offline loads dropped
    #[command(subcommand)]
    Constraints(Constraints),

    /// Show the rows that no rule can make right
    #[command(subcommand)]
    Quarantine(Quarantine),

    /// Show what became of a legacy row, and where a target row came from
    #[command(after_help = "\
A table of that name may exist on both sides: then both answers are shown.

Examples:
  cargo xtask trace user 4711             by the legacy table
  cargo xtask trace accounts 90210        by the target table")]
    Trace(Trace),

    /// Write what became of every legacy row into a CSV file
    #[command(after_help = "\
Columns: legacy_table,legacy_id,outcome,code,targets,repairs
  targets   table:id, the primary one first, joined by `;`
  code      of a row that was merged, skipped or quarantined
  repairs   codes, sorted, joined by `;`")]
    Lineage(Lineage),

    /// Write where both sides differ, for finance and support: one CSV and one JSON file a section
    #[command(after_help = "\
Sections: cross_charges, brands, credits, transfers; docs/reconciliation.md tells how to read them.
Both databases are only read.

Examples:
  cargo xtask reconcile --env prod --out reconciliation
  cargo xtask reconcile --brand 13 --out acorn           by the legacy id
  cargo xtask reconcile --brand 'acorn coffee' --out acorn")]
    Reconcile(Reconcile),

    /// Show a customer's whole history, with the legacy row behind each line
    #[command(after_help = "\
Both databases are only read. The address is not logged.

Examples:
  cargo xtask statement amelia@example.org --env prod
  cargo xtask statement amelia@example.org --out amelia.csv")]
    Statement(Statement),

    /// Make up a legacy database and a platform of any size, as dirty as the sample or as a database that it learns from
    #[command(after_help = simulate::HELP)]
    Simulate(Simulate),

    /// Run every test; suites that need a server which is not installed are named at the end
    #[command(after_help = "\
Examples:
  cargo xtask test                              everything that this machine can run
  cargo xtask test --require postgres,mariadb   fail rather than skip
  cargo xtask test -- a_test_name               arguments for `cargo test`")]
    Test(Test),

    /// Measure Replant beside the plain ways of moving the same rows, and beside the limit of the server
    #[command(after_help = bench::HELP)]
    Bench(Bench),

    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn migrate_help() -> String {
    format!(
        "\
Stop it at any time with Ctrl-C or SIGTERM: the chunks under way are finished, and the same
command goes on. Killed in any other way it goes on as well: rows and the record of them commit
together.

--dry-run does everything but commit, on copies of the target's tables that never are: nobody who
uses the target waits for it, and none of its ids is taken. It needs room for the copies for as long
as it runs. Triggers of the target are not asked.

{}",
        Exit::help()
    )
}

fn work_help() -> String {
    format!(
        "\
A worker takes chunks as the run itself does, until every step is done. It can be killed, stopped
or cut off from the network at any time: its chunks are done again by others, once. It stops with
the run if that is asked to stop, and goes on without it if that is killed. docs/scale.md tells how
to start many.

Examples:
  cargo xtask work --env uat
  cargo xtask work --env uat --workers 4 --wait 600

{}",
        Exit::help()
    )
}

/// Which databases.
#[derive(Debug, Args)]
pub(crate) struct On {
    /// The environment: a file of the configuration folder
    #[arg(long, value_name = "ENV", default_value = "local")]
    pub(crate) env: String,
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Form {
    /// Print JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Make the files anew and begin again
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) on: On,
    /// A domain or a step, with all that it waits for; may be repeated [default: all]
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    pub(crate) on: On,
    /// A domain or a step, with all that it waits for; may be repeated [default: all]
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) only: Vec<String>,
    /// Do everything but commit, on copies of the target's tables
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Threads that read, and as many that write [default: run.readers and run.writers of the environment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) workers: Option<u8>,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: Option<String>,
    /// Join the run that is under way, which doubles what the databases have to bear; where the environment is protected, it
    /// is refused otherwise
    #[arg(long)]
    pub(crate) join: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    pub(crate) on: On,
    /// A domain or a step, with all that it waits for; may be repeated [default: all]
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) only: Vec<String>,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: Option<String>,
    /// Threads that read, and as many that write [default: run.readers and run.writers of the environment]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) workers: Option<u8>,
    /// Seconds to wait for a run to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) on: On,
    /// Where the money went, by table and currency, and the largest single quarantined row of each
    #[arg(long)]
    pub(crate) money: bool,
    /// All codes, not only the most frequent ones
    #[arg(long)]
    pub(crate) codes: bool,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// Sum up quarantined rows by code, and list those that hold back the most, or all; shows no values
    List(QuarantineList),
    /// Show a quarantined row whole, with its cause
    Show(QuarantineShow),
    /// Write quarantined rows into CSV files that a person can mend in a spreadsheet
    #[command(after_help = EXPORT_HELP)]
    Export(QuarantineExport),
    /// Judge all rows again, mended ones in the place of the legacy ones, and let in what can come in now
    #[command(after_help = REPLAY_HELP)]
    Replay(QuarantineReplay),
}

const EXPORT_HELP: &str = "\
One file a legacy table, FOLDER/TABLE.csv: the row's columns as they are stored, before them why it
is quarantined. \\N is NULL. Change cells, leave `id` and the header as they are; rows and columns
that need no mending may be deleted. What a spreadsheet would take for a formula has a ' before it.
A file that is there and says something else is not written over, for it may hold mends.
The files hold personal data.";

const REPLAY_HELP: &str = "\
With --from, cells that differ from the quarantined row are mended: the ledger keeps the mended rows,
the legacy database stays as it is. Without it, only what was mended before, a mended source or a
mended rule changes anything. Rows that waited for a mended one come in after it.
A file with a mistake is refused as a whole, by line, and nothing is changed. Dates, numbers and flags
that a spreadsheet wrote in a form of its own say the same as before: they are no mends.

Examples:
  cargo xtask quarantine export --out mend
  cargo xtask quarantine replay --from mend";

#[derive(Debug, Args)]
pub(crate) struct QuarantineList {
    #[command(flatten)]
    pub(crate) on: On,
    /// Of this step or legacy table
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// With this code
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// `root`: rows together by what they wait for, those that hold back the most first; `row`: each [default: a summary by
    /// code, then by root]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) by: Option<By>,
    /// Of roots: what ranks. Of money, amounts in minor units are added as they are, whatever their currency
    #[arg(long, value_enum, default_value_t = Order::Rows)]
    pub(crate) order: Order,
    /// At most so many [default: 20 below the summary, else 50]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) limit: Option<i64>,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// How quarantined rows are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// By the row that they wait for
    Root,
    /// Row by row
    Row,
}

/// What ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    Rows,
    Money,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineExport {
    #[command(flatten)]
    pub(crate) on: On,
    /// The folder; it is made where it is not there
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Of this step or legacy table
    #[arg(long, value_name = "STEP")]
    pub(crate) step: Option<String>,
    /// With this code
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// The rows that only wait for others too
    #[arg(long)]
    pub(crate) all: bool,
    /// Write over files that are there and may hold mends
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineReplay {
    #[command(flatten)]
    pub(crate) on: On,
    /// The folder of mended files, as `quarantine export` writes them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: Option<PathBuf>,
    /// Take cells as mends that say the same in another form, too: `01/04/2019 00:00` for `2019-04-01 00:00:00`
    #[arg(long, requires = "from")]
    pub(crate) exact: bool,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: Option<String>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineShow {
    /// The legacy table
    pub(crate) table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    pub(crate) id: i64,
    #[command(flatten)]
    pub(crate) on: On,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A legacy table or a target table
    pub(crate) table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    pub(crate) id: i64,
    #[command(flatten)]
    pub(crate) on: On,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Lineage {
    /// The file; it appears when it is complete
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) on: On,
}

#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    #[command(flatten)]
    pub(crate) on: On,
    /// One brand, with its account: a legacy id or a name, in any case [default: all]
    #[arg(long, value_name = "BRAND")]
    pub(crate) brand: Option<String>,
    /// The folder; it is made where it is not there, and files of these names are replaced
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Statement {
    /// The customer's e-mail address, in any spelling
    #[arg(value_name = "EMAIL")]
    pub(crate) email: String,
    #[command(flatten)]
    pub(crate) on: On,
    /// Write all lines into this CSV file instead; it appears when it is complete
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Without the address: what is debugged may be logged.
impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement").field("on", &self.on).field("out", &self.out).finish_non_exhaustive()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Servers whose suites must run
    #[arg(long, value_name = "SERVERS", value_enum, value_delimiter = ',')]
    pub(crate) require: Vec<Server>,
    /// Arguments for `cargo test`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<std::ffi::OsString>,
}

/// A server that tests start for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    Postgres,
    Mariadb,
}

impl Server {
    /// The word that the testkit knows it by.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_teaches_the_exit_codes() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("another run holds the target"), "{help}");
        assert!(help.contains("REPLANT__TARGET__URL"), "{help}");
    }
}
