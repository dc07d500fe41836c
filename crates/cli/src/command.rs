//! Commands: a type with arguments and what it does, and commands of any type in one list.

use clap::ArgMatches;

use crate::app::App;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;

/// A command. Its fields are its arguments, and its doc comment is what `--help` says of it:
///
/// ```
/// use replant_cli::{Command, Context, Error, Exit, On, output};
///
/// /// Say where the legacy database is
/// #[derive(clap::Args)]
/// struct Place {
///     #[command(flatten)]
///     on: On,
/// }
///
/// impl Command for Place {
///     const NAME: &'static str = "place";
///
///     fn run(self, cx: &Context) -> Result<Exit, Error> {
///         output::print(cx.environment(&self.on.env)?.legacy()?.place());
///         Ok(Exit::Done)
///     }
/// }
/// ```
pub trait Command: clap::Args {
    /// Its name, as it is typed.
    const NAME: &'static str;

    /// What its `--help` says below the arguments, where that depends on the program; a text that does not stands in
    /// `#[command(after_help = ...)]`.
    fn help(_: &App) -> Option<String> {
        None
    }

    /// Does it. What it returns is how the program ends.
    ///
    /// # Errors
    /// It fails, or is refused: shown once, with its hint.
    fn run(self, cx: &Context) -> Result<Exit, Error>;
}

/// A command of any type.
#[derive(Debug, Clone, Copy)]
pub struct AnyCommand {
    name: &'static str,
    arguments: fn(&App) -> clap::Command,
    run: fn(&ArgMatches, &Context) -> Result<Exit, Error>,
}

/// A command for the list of [`App::commands`].
pub fn command<C: Command>() -> AnyCommand {
    AnyCommand { name: C::NAME, arguments: arguments::<C>, run: run::<C> }
}

impl AnyCommand {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its arguments with their help.
    pub(crate) fn arguments(&self, app: &App) -> clap::Command {
        (self.arguments)(app)
    }

    pub(crate) fn run(&self, matches: &ArgMatches, cx: &Context) -> Result<Exit, Error> {
        (self.run)(matches, cx)
    }
}

fn arguments<C: Command>(app: &App) -> clap::Command {
    let arguments = C::augment_args(clap::Command::new(C::NAME));
    match C::help(app) {
        Some(help) => arguments.after_help(help),
        None => arguments,
    }
}

fn run<C: Command>(matches: &ArgMatches, cx: &Context) -> Result<Exit, Error> {
    let command = C::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
    command.run(cx)
}
