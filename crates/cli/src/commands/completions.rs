//! `completions`: a script that completes arguments in a shell.

use clap::Args;
use clap_complete::Shell;

use crate::arguments;
use crate::command::Command;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output;

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Command for Completions {
    const NAME: &'static str = "completions";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let name = cx.app().name();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut arguments::menu(cx.app()).bin_name(name), name, &mut script);
        output::print_raw(&script);
        Ok(Exit::Done)
    }
}
