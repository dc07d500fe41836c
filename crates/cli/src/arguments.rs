//! What every call may say, and the menu of the commands.

use std::path::PathBuf;

use clap::{Args, FromArgMatches};
use replant_core::{Key, KeyRange};

use crate::app::App;
use crate::command::AnyCommand;
use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::telemetry::LogFormat;

/// Which databases.
#[derive(Debug, Args)]
pub struct On {
    /// The environment: a file of the configuration folder
    #[arg(long, value_name = "ENV", default_value = "local")]
    pub env: String,
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// A key, or a range of them.
pub(crate) fn key_range(text: &str) -> Result<KeyRange, String> {
    let key = |text: &str| text.trim().parse::<Key>().map_err(|_| format!("`{text}` is no key"));
    let (lo, hi) = text.split_once("..").unwrap_or((text, text));
    let (lo, hi) = (key(lo)?, key(hi)?);
    if lo <= hi { Ok(KeyRange { lo, hi }) } else { Err(format!("`{text}` ends before it begins")) }
}

/// What is said of every command.
#[derive(Debug, Args)]
struct Everywhere {
    /// The folder of the environments' files
    #[arg(long, global = true, value_name = "FOLDER", env = "REPLANT_CONFIG_DIR", hide_env = true)]
    config_dir: Option<PathBuf>,

    /// The folder for the SQLite files of the environment `local` [default: work, in the workspace]
    #[arg(long, global = true, value_name = "FOLDER", env = "REPLANT_WORK_DIR", hide = true)]
    work_dir: Option<PathBuf>,

    /// The form of log lines
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, hide_default_value = true)]
    log_format: LogFormat,

    /// A file for log lines, in the form of --log-format; they go to standard error as text as well
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

/// A call of the program.
pub(crate) struct Call {
    pub(crate) log_format: LogFormat,
    pub(crate) log_file: Option<PathBuf>,
    command: AnyCommand,
    arguments: clap::ArgMatches,
    cx: Context,
}

impl Call {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        self.command.run(&self.arguments, &self.cx)
    }
}

/// Reads the call of this process. One that is wrong, or that asks for help, ends it.
pub(crate) fn read(app: App) -> Call {
    let mut matches = menu(&app).get_matches();
    let Everywhere { config_dir, work_dir, log_format, log_file } =
        Everywhere::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (name, arguments) = matches.remove_subcommand().expect("a call without a command is refused");
    let command = commands::of(&app).into_iter().find(|command| command.name() == name);
    let command = command.expect("the menu has no other commands");
    Call { log_format, log_file, command, arguments, cx: Context::new(app, config_dir, work_dir) }
}

/// All commands with their arguments.
pub(crate) fn menu(app: &App) -> clap::Command {
    let menu = clap::Command::new(app.name()).bin_name(app.program).version(env!("CARGO_PKG_VERSION"));
    // First, so that what is global stands behind a command's own arguments.
    let menu = menu.subcommands(commands::of(app).iter().map(|command| command.arguments(app)));
    // What is global says its doc comment: the line of the program comes after it.
    let menu = Everywhere::augment_args(menu).about(app.about).after_help(after_help(app));
    let config =
        format!("The folder of the environments' files [default: {}, or config beside the program]", app.config);
    // In its place, unlike `mut_arg`, which puts it behind the others.
    let menu = menu.mut_args(|argument| match argument.get_id().as_str() {
        "config_dir" => argument.help(config.clone()),
        _ => argument,
    });
    menu.max_term_width(100).subcommand_required(true).arg_required_else_help(true)
}

fn after_help(app: &App) -> String {
    let mut examples = vec![
        ("plan --env uat".to_owned(), "check everything and show what would be done"),
        ("migrate --env uat --dry-run".to_owned(), "do everything on copies of the tables, and commit nothing"),
        ("migrate --env prod".to_owned(), "asks for the name of the environment before it writes"),
    ];
    if app.sample.is_some() {
        examples.insert(0, ("demo".to_owned(), "migrate the sample into SQLite files, here and now"));
    }
    if let Some(step) = (app.registry)().steps().next() {
        examples.push((format!("trace {} 4711", step.legacy_table()), "what became of a row"));
    }
    examples.extend(app.examples.iter().map(|(typed, what)| ((*typed).to_owned(), *what)));
    let examples = examples.iter().map(|(typed, what)| format!("  {} {typed:<28}  {what}", app.program));
    format!(
        "\
Examples:
{}

Environments are the files of {}. They hold no addresses of databases; set
  REPLANT__LEGACY__URL   mysql://user:password@host/database, or sqlite:///path/to/file.db
  REPLANT__TARGET__URL   postgres://user:password@host/database, or sqlite:///path/to/file.db
or ..._URL_FILE to the path of a file that holds the address. Behind an address may stand
  ?password_file=/path                            the password, where the address has none
  ?sslmode=verify-full&sslrootcert=/path/ca.pem   PostgreSQL: encrypted and verified
  ?ssl_mode=VERIFY_IDENTITY&ssl_ca=/path/ca.pem   MariaDB: the same
So can any other setting be set:
  REPLANT__RUN__CHUNK_ROWS=2000

Results go to standard output, logs and progress to standard error.
RUST_LOG=debug shows every chunk; --log-format json and --log-file FILE are for programs that watch.

{}",
        examples.collect::<Vec<_>>().join("\n"),
        app.config,
        Exit::help()
    )
}

#[cfg(test)]
mod tests {
    use replant_core::Registry;

    use super::*;

    fn app() -> App {
        App::new("cargo library", Registry::default, |_| Err("there is no database".to_owned()))
    }

    #[test]
    fn the_definition_is_sound() {
        menu(&app()).debug_assert();
    }

    #[test]
    fn keys_are_ones_and_ranges() {
        assert_eq!(key_range("5"), Ok(KeyRange { lo: 5, hi: 5 }));
        assert_eq!(key_range("7..9"), Ok(KeyRange { lo: 7, hi: 9 }));
        for text in ["", "a", "9..7", "1..", "5-7"] {
            assert!(key_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn help_teaches_the_exit_codes() {
        let help = menu(&app()).render_long_help().to_string();
        assert!(help.contains("another run holds the target"), "{help}");
        assert!(help.contains("REPLANT__TARGET__URL"), "{help}");
        assert!(help.contains("  cargo library migrate --env prod "), "{help}");
    }
}
