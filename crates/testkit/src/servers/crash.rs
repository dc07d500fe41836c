//! A server that crashes, and is started again in the same folder and on the same port.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

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
        let head = self.pid().ok_or_else(|| failed("find the server that is to crash", "it is not running"))?;
        // Stopped, it starts no further process.
        signal("STOP", &[head])?;
        let mut processes = children(head)?;
        processes.push(head);
        signal("KILL", &processes)?;
        let begun = Instant::now();
        while processes.iter().any(|process| is_running(*process)) {
            if begun.elapsed() > GONE_WITHIN {
                return Err(failed("end a server", "its processes do not end"));
            }
            thread::sleep(ASK_AGAIN);
        }
        Ok(())
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
            fs::remove_file(&file).map_err(super::supervisor::io(format!("remove {}", file.display())))?;
        }
        self.process.start_again()
    }
}

fn failed(attempt: &str, why: &str) -> ServerError {
    ServerError::Io { attempt: attempt.to_owned(), source: io::Error::other(why.to_owned()) }
}

/// By the shell's `kill`: it is there wherever the shell is.
fn signal(name: &str, processes: &[u32]) -> Result<(), ServerError> {
    let mut shell = Command::new("/bin/sh");
    // A process that has just ended by itself is no failure.
    shell.args(["-c", "kill -s \"$@\" 2>/dev/null || true", "kill", name]).args(processes.iter().map(u32::to_string));
    shell.status().map(drop).map_err(super::supervisor::io(format!("send {name} to a server")))
}

fn children(head: u32) -> Result<Vec<u32>, ServerError> {
    let file = format!("/proc/{head}/task/{head}/children");
    let children = fs::read_to_string(&file).map_err(super::supervisor::io(format!("read {file}")))?;
    Ok(children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// What has ended may wait for process 1 to take note, and in a container that may never be.
fn is_running(process: u32) -> bool {
    fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"))
        .is_ok_and(|stat| !stat.contains(") Z "))
}
