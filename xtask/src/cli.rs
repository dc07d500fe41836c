//! The commands and their arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                          migrate the sample into SQLite files, here and now
  cargo xtask plan --env uat                check everything and show what would be done
  cargo xtask migrate --env uat --dry-run   do everything but commit
  cargo xtask migrate --env prod            asks for the name of the environment before it writes
  cargo xtask trace user 4711               what became of a row
  cargo xtask test                          run every test

Environments are the files of xtask/config. They hold no addresses of databases; set
  REPLANT__LEGACY__URL   mysql://user:password@host/database, or sqlite:///path/to/file.db
  REPLANT__TARGET__URL   postgres://user:password@host/database, or sqlite:///path/to/file.db
or ..._URL_FILE to the path of a file that holds the address. So can any other setting be set:
  REPLANT__RUN__CHUNK_ROWS=2000

Results go to standard output, logs and progress to standard error.
RUST_LOG=debug shows every chunk.";

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

    /// Show how far the migration is, from the ledger in the target
    Status(Status),

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

    /// Run every test; suites that need a server which is not installed are named at the end
    #[command(after_help = "\
Examples:
  cargo xtask test                              everything that this machine can run
  cargo xtask test --require postgres,mariadb   fail rather than skip
  cargo xtask test -- a_test_name               arguments for `cargo test`")]
    Test(Test),

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

--dry-run does everything but commit. It works in one transaction that holds the locks of all
that it wrote until it ends: on a live target choose a quiet time, or one domain (--only).

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
    /// Do everything but commit; needs no confirmation
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The name of the environment, for scripts: where it is protected, as `prod` is, it is asked for otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) confirm: Option<String>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) on: On,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// List quarantined rows with their causes; shows no values
    List(QuarantineList),
    /// Show a quarantined row whole, with its cause
    Show(QuarantineShow),
}

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
    /// At most so many
    #[arg(long, value_name = "ROWS", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) limit: i64,
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
