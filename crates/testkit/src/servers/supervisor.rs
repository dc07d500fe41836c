//! A server process that cannot outlive the process that started it, and the folder that it lives in.
//!
//! A shell stands between: it starts the server as its child and waits on a pipe that only we hold open. However we end,
//! the pipe closes, and the shell stops the server and removes the folder. Should the shell itself be killed, the
//! kernel stops the server (`setpriv --pdeathsig`, which is told when the parent's *thread* ends: the shell has but one).

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fmt, io, thread};

use super::ServerError;

const READY_WITHIN: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(10);
const STALE_AFTER: Duration = Duration::from_secs(60);
const LOG_LINES: usize = 12;

/// `$1` the folder, `$2` the signal that stops the server, then its command line. A server that ends by itself ends the
/// shell as well, which is how we notice; one that is stopped for a while has not ended (`jobs` takes notice of the dead).
const SHELL: &str = r#"
dir=$1 signal=$2 server=; shift 2
trap 'jobs >/dev/null; [ -z "$server" ] || kill -0 "$server" 2>/dev/null || exit 1' CHLD
"$@" </dev/null >>"$dir/log" 2>&1 &
server=$!
kill -0 "$server" 2>/dev/null || exit 1
exec 3<&0
cat <&3 >/dev/null 2>&1 &
ours=$!
while kill -0 "$ours" 2>/dev/null; do wait "$ours"; done
trap - CHLD
kill -s "$signal" "$server"
wait "$server"
rm -rf -- "$dir"
"#;

/// A folder in the system's temp folder that belongs to the user whom the server runs as.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    user: Option<(u32, u32)>,
    service_user: &'static str,
    // Locked as long as we live: an unlocked one is left over.
    _lock: File,
}

impl Home {
    /// Makes the folder. A server refuses to run as root: root's servers run as `service_user`, who comes with `package`.
    pub(crate) fn make(name: &str, service_user: &'static str, package: &'static str) -> Result<Self, ServerError> {
        let base = temp_folder();
        let prefix = format!("replant-{name}-");
        remove_stale(&base, &prefix);
        let path = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&base)
            .map_err(io(format!("make a folder in {}", base.display())))?
            .keep();
        let made = || -> io::Result<(File, bool)> {
            let lock = File::create(path.join("owner.lock"))?;
            lock.lock()?;
            Ok((lock, fs::metadata(&path)?.uid() == 0))
        };
        let (lock, am_root) = made().map_err(io(format!("set up {}", path.display())))?;
        let user = if am_root {
            let user = user_and_group(service_user).ok_or(ServerError::Missing { program: service_user, package })?;
            chown(&path, Some(user.0), Some(user.1))
                .map_err(io(format!("give {} to {service_user}", path.display())))?;
            Some(user)
        } else {
            None
        };
        Ok(Self { path, user, service_user, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses programs that the server's user cannot reach, with the folder that is closed to it.
    pub(crate) fn can_read(&self, programs: &Path) -> Result<(), ServerError> {
        let is_closed = |folder: &&Path| folder.exists() && !is_open(folder);
        match programs.ancestors().filter(|_| self.user.is_some()).find(is_closed) {
            Some(folder) => Err(ServerError::Closed { folder: folder.to_owned(), user: self.service_user }),
            None => Ok(()),
        }
    }

    /// Writes files that the server's user alone may read.
    pub(crate) fn write(&self, files: &[(&'static str, String)]) -> Result<(), ServerError> {
        for (name, content) in files {
            let path = self.path.join(name);
            let write = || -> io::Result<()> {
                fs::write(&path, content)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
                self.user.map_or(Ok(()), |(user, group)| chown(&path, Some(user), Some(group)))
            };
            write().map_err(io(format!("write {}", path.display())))?;
        }
        Ok(())
    }

    /// A command that runs as the server's user, in the folder.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir(&self.path).env("HOME", &self.path).env("TMPDIR", &self.path).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: &Path, args: &[&str]) -> Result<(), ServerError> {
        let done = self.command(program).args(args).output().map_err(io(format!("run {}", program.display())))?;
        if done.status.success() {
            return Ok(());
        }
        let log = [done.stdout, done.stderr].concat();
        Err(ServerError::Failed {
            program: program.display().to_string(),
            what: "failed",
            log: last_lines(&String::from_utf8_lossy(&log)),
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The shell has usually removed it already.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What is run as a server, and how its state is told.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// The name of the signal that ends it fastest.
    pub(crate) stop: &'static str,
    /// Whether a server that lives in this folder, and on this port, takes connections.
    pub(crate) is_ready: fn(&Path, u16) -> bool,
    pub(crate) port: u16,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("program", &self.program).field("args", &self.args).finish_non_exhaustive()
    }
}

impl Launch {
    fn spawn(&self, home: &Home) -> Result<Child, ServerError> {
        let mut command = home.command(Path::new("/bin/sh"));
        command.args(["-c", SHELL, "replant-server"]).arg(&home.path).arg(self.stop);
        if let Some(setpriv) = find_program("setpriv") {
            command.arg(setpriv).args(["--pdeathsig", self.stop]);
        }
        // A process group of its own: Ctrl-C in a terminal is for us alone.
        command
            .arg(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command.spawn().map_err(io(format!("start {}", self.program.display())))
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Supervised {
    shell: Child,
    home: Home,
    launch: Launch,
}

impl Supervised {
    /// Starts a server and waits until it is ready.
    pub(crate) fn start(home: Home, launch: Launch) -> Result<Self, ServerError> {
        let mut server = Self { shell: launch.spawn(&home)?, home, launch };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a server that has ended again, in its folder and on its port, and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> Result<(), ServerError> {
        // `wait` closes the pipe, and a shell whose pipe is closed removes the folder.
        let pipe = self.shell.stdin.take();
        self.shell.wait().map_err(io(format!("wait for {} to end", self.launch.program.display())))?;
        drop(pipe);
        self.shell = self.launch.spawn(&self.home)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<(), ServerError> {
        let program = self.launch.program.display().to_string();
        let begun = Instant::now();
        while !(self.launch.is_ready)(&self.home.path, self.launch.port) {
            let ended = self.shell.try_wait().map_err(io(format!("look after {program}")))?.is_some();
            if ended || begun.elapsed() > READY_WITHIN {
                let log = fs::read(self.home.path.join("log")).unwrap_or_default();
                let what = if ended { "ended while starting" } else { "did not become ready" };
                return Err(ServerError::Failed { program, what, log: last_lines(&String::from_utf8_lossy(&log)) });
            }
            thread::sleep(ASK_AGAIN);
        }
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.home.path
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A port that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16, ServerError> {
    let port = || TcpListener::bind("127.0.0.1:0")?.local_addr().map(|address| address.port());
    port().map_err(io("find a free port".to_owned()))
}

/// The program of this name on the PATH or where servers are kept.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

pub(crate) fn io(attempt: String) -> impl FnOnce(io::Error) -> ServerError {
    move |source| ServerError::Io { attempt, source }
}

/// The system's temp folder, if another user can reach it.
fn temp_folder() -> PathBuf {
    let folder = env::temp_dir();
    if folder.ancestors().all(is_open) { folder } else { PathBuf::from("/tmp") }
}

/// Whether everybody may go through a folder.
fn is_open(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
}

/// Removes what a process left behind that was killed together with its shell.
fn remove_stale(base: &Path, prefix: &str) {
    let is_old = |lock: &File| {
        lock.metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > STALE_AFTER))
    };
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let lock = File::open(entry.path().join("owner.lock"));
            if lock.is_ok_and(|lock| is_old(&lock) && lock.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn user_and_group(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        if *fields.first()? == name { Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)) } else { None }
    })
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn launch(program: &str, args: &[&str], is_ready: fn(&Path, u16) -> bool) -> Result<Supervised, ServerError> {
        let home = Home::make("test", "nobody", "base-passwd").unwrap();
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Supervised::start(home, Launch { program: program.into(), args, stop: "KILL", is_ready, port: 0 })
    }

    fn sleeper() -> Supervised {
        launch("/bin/sleep", &["600"], |home, _| home.join("log").exists()).unwrap()
    }

    /// The sleeper itself, once the shell has started it.
    fn server_of(shell: u32) -> PathBuf {
        let children = format!("/proc/{shell}/task/{shell}/children");
        let pid = wait_for(|| fs::read_to_string(&children).ok()?.split_whitespace().next().map(str::to_owned));
        let process = Path::new("/proc").join(pid);
        wait_for(|| fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "sleep").then_some(()));
        process
    }

    /// What has ended may wait for process 1 to take note, and in a container that may never be.
    fn is_running(process: &Path) -> bool {
        fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            match found() {
                Some(found) => return found,
                None => assert!(begun.elapsed() < Duration::from_secs(10), "it did not come to be"),
            }
            thread::sleep(ASK_AGAIN);
        }
    }

    #[test]
    fn a_dropped_server_is_gone_with_its_folder() {
        let server = sleeper();
        let (process, folder) = (server_of(server.shell.id()), server.folder().to_owned());
        drop(server);
        assert!(!process.exists() && !folder.exists());
    }

    #[test]
    fn a_server_ends_with_its_shell() {
        assert!(find_program("setpriv").is_some(), "part of util-linux, which every Debian has");
        let mut server = sleeper();
        let process = server_of(server.shell.id());
        server.shell.kill().unwrap();
        wait_for(|| (!is_running(&process)).then_some(()));
    }

    #[test]
    fn a_server_that_has_ended_starts_again_in_its_folder() {
        let mut server = sleeper();
        let folder = server.folder().to_owned();
        fs::write(folder.join("data"), "kept").unwrap();
        let process = server_of(server.shell.id());
        let pid = process.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        server.start_again().unwrap();
        assert_ne!(process, server_of(server.shell.id()));
        assert_eq!(fs::read_to_string(folder.join("data")).unwrap(), "kept");
        drop(server);
        assert!(!folder.exists());
    }

    #[test]
    fn a_server_that_gives_up_says_why_at_once() {
        let begun = Instant::now();
        let error = launch("/bin/sh", &["-c", "pwd; echo no memory left; exit 3"], |_, _| false).unwrap_err();
        let ServerError::Failed { what, log, .. } = error else { panic!("{error}") };
        let (folder, words) = log.split_once('\n').unwrap();
        assert_eq!((what, words), ("ended while starting", "no memory left"));
        assert!(begun.elapsed() < READY_WITHIN / 10);
        assert!(!Path::new(folder).exists());
    }

    #[test]
    fn a_folder_that_nobody_holds_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let make = |name: &str, age: Duration| {
            let folder = base.path().join(name);
            fs::create_dir(&folder).unwrap();
            let lock = File::create(folder.join("owner.lock")).unwrap();
            lock.set_modified(SystemTime::now() - age).unwrap();
            (folder, lock)
        };
        let (held, lock) = make("replant-x-held", STALE_AFTER * 2);
        lock.lock().unwrap();
        let (young, _) = make("replant-x-young", Duration::ZERO);
        let (stale, _) = make("replant-x-stale", STALE_AFTER * 2);
        let (other, _) = make("somebody-else", STALE_AFTER * 2);
        remove_stale(base.path(), "replant-x-");
        assert!(held.exists() && young.exists() && other.exists());
        assert!(!stale.exists());
    }
}
