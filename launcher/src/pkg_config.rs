//! What pkg-config knows of the libraries on this machine, asked as the build scripts ask it.

use std::env;
use std::process::{Command, Stdio};

/// The version of a library that pkg-config knows, with all that it needs.
pub(crate) fn version(library: &str) -> Option<String> {
    let switched_off = format!("{}_NO_PKG_CONFIG", library.to_uppercase());
    if env::var_os(switched_off).is_some() {
        return None;
    }
    let ask = |what: &[&str]| {
        let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
        said(Command::new(program).args(what).arg(library))
    };
    ask(&["--libs", "--cflags"])?;
    ask(&["--modversion"])
}

/// What a program says, if it is there and content.
pub(crate) fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
