//! How the program ends: every exit code, once.

use std::process::ExitCode;

use replant_core::Kind;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked for is done.
    Done = 0,
    /// Something failed, or what was asked for is not there.
    Failed = 1,
    /// The call or the settings are wrong.
    Usage = 2,
    /// A check, or nobody has confirmed: nothing was written.
    Refused = 3,
    /// A database cannot be reached or has no room.
    Unavailable = 4,
    /// Another run holds the target.
    Held = 5,
    /// Stopped on request.
    Stopped = 6,
    /// A verification has found what nothing explains.
    Defects = 7,
    /// A verification has found rows that a replay or a catch-up would write anew.
    Stale = 8,
}

impl Exit {
    const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Unavailable,
        Self::Held,
        Self::Stopped,
        Self::Defects,
        Self::Stale,
    ];

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    fn about(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "a step or a test failed, or what was asked for is not there",
            Self::Usage => "the call or the settings are wrong",
            Self::Refused => "refused before anything was written: a check, or no confirmation",
            Self::Unavailable => "a database cannot be reached or has no room: the same command goes on later",
            Self::Held => "another run holds the target",
            Self::Stopped => "stopped on request: the same command goes on",
            Self::Defects => "verified: something is not as it was written, and nothing explains it",
            Self::Stale => "verified: a replay or a catch-up is due, or steps are not done; nothing else is wrong",
        }
    }

    /// The table of codes, for `--help`.
    pub(crate) fn help() -> String {
        let codes: Vec<String> = Self::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.about())).collect();
        format!(
            "Exit codes:\n{}\n  130 or 143  ended at once by a second Ctrl-C or SIGTERM: nothing is lost either",
            codes.join("\n")
        )
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::Refused => Self::Refused,
            Kind::Unavailable => Self::Unavailable,
            Kind::Held => Self::Held,
            Kind::Failed => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_scripts_rely_on() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        for (kind, code) in
            [(Kind::Failed, 1), (Kind::Usage, 2), (Kind::Refused, 3), (Kind::Unavailable, 4), (Kind::Held, 5)]
        {
            assert_eq!(Exit::from(kind).code(), code);
        }
    }

    #[test]
    fn help_names_every_code() {
        let help = Exit::help();
        for exit in Exit::ALL {
            assert!(help.contains(&format!("  {}  {}", exit.code(), exit.about())));
        }
    }
}
