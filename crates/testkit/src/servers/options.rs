//! In what a throwaway server differs from an ordinary one.

use std::path::PathBuf;

/// What is asked of a server. Unless more is said, it is the newest on this machine, is fast, and forgets all when the
/// machine fails: what tests want.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    pub(crate) programs: Option<PathBuf>,
    pub(crate) initdb: Vec<String>,
    pub(crate) settings: Vec<String>,
    pub(crate) files: Vec<(&'static str, String)>,
    pub(crate) durable: bool,
}

impl ServerOptions {
    /// An ordinary server.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that syncs to disk as a real one does, and has after a crash all that it had said was written.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// The PostgreSQL in this folder, which holds `bin`, `lib` and `share`.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// An argument for the program that makes the data folder (`initdb`, `mariadb-install-db`). It stands behind ours and
    /// so comes before them: `--encoding=LATIN1`, `--locale=de_DE.UTF-8`.
    #[must_use]
    pub fn initdb(mut self, argument: impl Into<String>) -> Self {
        self.initdb.push(argument.into());
        self
    }

    /// A setting in the server's own words, which comes before ours: `shared_buffers=1GB`, `innodb-buffer-pool-size=1G`.
    #[must_use]
    pub fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Several of them.
    #[must_use]
    pub fn settings(self, settings: &[&str]) -> Self {
        settings.iter().fold(self, |options, setting| options.setting(*setting))
    }

    /// A file that is the server's own, for a setting to name: a key. It lies above the data folder: `../server.key`.
    #[must_use]
    pub fn file(mut self, name: &'static str, content: impl Into<String>) -> Self {
        self.files.push((name, content.into()));
        self
    }
}
