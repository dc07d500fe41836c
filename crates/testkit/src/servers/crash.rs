//! A server that crashes, and is started again in the same folder and on the same port.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::supervisor::io;
use super::{Kind, Server, ServerError};

const GONE_WITHIN: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(2);

impl Server {
    /// Ends every process of the server at once, so that none of them writes another byte: what was committed and not yet
    /// flushed (`synchronous_commit = off`) is lost, as in a power failure. [`start_again`](Self::start_again) recovers it.
    ///
    /// # Errors
    /// The server is not running, or one of its processes does not end.
    pub fn crash(&self) -> Result<(), ServerError> {
        let data = self.folder().join("data");
        let data = data.canonicalize().map_err(io(format!("find {}", data.display())))?;
        let head = self.pid().ok_or_else(|| failed("find the server that is to crash", "it is not running"))?;
        let begun = Instant::now();
        loop {
            let mut processes = processes_in(&data)?;
            if processes.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > GONE_WITHIN {
                return Err(failed("end a server", "its processes do not end"));
            }
            // The head of them first: it starts no others then, and does not see them end.
            processes.sort_by_key(|process| *process != head);
            kill(&processes)?;
            thread::sleep(ASK_AGAIN);
        }
    }

    /// Starts a server that has crashed again and waits until it takes connections: its databases are there under the
    /// same addresses.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        if self.kind() == Kind::Postgres {
            // It says `ready` of the server that is gone, which we would believe.
            let file = self.folder().join("data/postmaster.pid");
            fs::remove_file(&file).map_err(io(format!("remove {}", file.display())))?;
        }
        self.process.start_again()
    }
}

fn failed(attempt: &str, why: &str) -> ServerError {
    ServerError::Io { attempt: attempt.to_owned(), source: std::io::Error::other(why.to_owned()) }
}

/// By the shell's `kill`: it is there wherever the shell is.
fn kill(processes: &[u32]) -> Result<(), ServerError> {
    let mut shell = Command::new("/bin/sh");
    // A process that has just ended by itself is no failure.
    shell.args(["-c", "kill -s KILL \"$@\" 2>/dev/null || true", "kill"]);
    shell.args(processes.iter().map(u32::to_string)).status().map(drop).map_err(io("end a server".to_owned()))
}

/// The processes that work in a folder: those of a server do so in that of its data. What has ended works nowhere.
fn processes_in(folder: &Path) -> Result<Vec<u32>, ServerError> {
    let all = fs::read_dir("/proc").map_err(io("look for the processes of a server".to_owned()))?;
    let works_there = |pid: &u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at == folder);
    Ok(all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(works_there).collect())
}
