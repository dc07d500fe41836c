//! Commands as people type them, for hints and for what is to be done next.

use std::sync::OnceLock;

/// The environment that need not be named.
pub(crate) const LOCAL: &str = "local";

static PROGRAM: OnceLock<&'static str> = OnceLock::new();

/// From now on, commands begin with this name.
pub(crate) fn set_program(name: &'static str) {
    // A process is one program.
    let _ = PROGRAM.set(name);
}

/// The program's name as people type it.
pub(crate) fn program() -> &'static str {
    PROGRAM.get().copied().unwrap_or("replant")
}

/// A command of this program on an environment, as it is typed: `library status --env uat`.
pub fn typed(command: &str, environment: &str) -> String {
    format!("{} {command}{}", program(), on(environment))
}

/// The option that names an environment, where it has to be named.
fn on(environment: &str) -> String {
    if environment == LOCAL { String::new() } else { format!(" --env {environment}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_named_where_it_has_to_be() {
        assert_eq!(typed("status", "local"), "replant status");
        assert_eq!(typed("status --codes", "uat"), "replant status --codes --env uat");
    }
}
