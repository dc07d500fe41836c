//! The built program, driven in a world of its own.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A password that no output may show.
const SECRET: &str = "hunter2";

/// The program, in a world of its own.
pub(crate) struct Program {
    pub(crate) folder: TempDir,
    pub(crate) vars: Vec<(&'static str, String)>,
}

pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), vars: Vec::new() }
    }

    /// With the sample in the files of `local`, not migrated.
    pub(crate) fn with_sample() -> Self {
        let program = Self::new();
        let local = program.path("local");
        fs::create_dir(&local).unwrap();
        fixtures::LEGACY.in_sqlite(&local);
        fixtures::PLATFORM.in_sqlite(&local);
        program
    }

    /// With the sample in the files of `local`, migrated.
    pub(crate) fn migrated() -> Self {
        let program = Self::with_sample();
        program.run(&["migrate"]).done();
        program
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.vars.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REPLANT") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .arg("--config-dir")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
            .arg("--work-dir")
            .arg(self.folder.path())
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> End {
        self.end(self.command(args).output().unwrap())
    }

    pub(crate) fn end(&self, output: Output) -> End {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let end = End { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!end.all().contains(SECRET), "{}", end.all());
        end
    }
}

impl End {
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n{}\n{}", self.code, self.out, self.err)
    }

    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.all());
        assert!(self.err.contains(words), "{}", self.all());
    }

    #[track_caller]
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.all());
        &self.out
    }
}

pub(crate) fn sqlite(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}
