//! `completions`: a script that completes arguments in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

pub(crate) fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name("xtask");
    clap_complete::generate(shell, &mut command, "xtask", &mut script);
    output::print_raw(&script);
    Exit::Done
}
