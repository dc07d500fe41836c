//! The archive for hosts without Rust: unpacked for another account, which has no cargo, its program runs the demo.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::read::GzDecoder;

/// An account that has nothing.
const NOBODY: u32 = 65_534;

fn unpacked(folder: &Path) -> PathBuf {
    let archive = folder.join("replant.tar.gz");
    let mut dist = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let made = dist.arg("dist").arg("--out").arg(&archive).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    tar::Archive::new(GzDecoder::new(File::open(&archive).unwrap())).unpack(folder).unwrap();
    let inside = |entry: &PathBuf| entry.is_dir();
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(inside).unwrap()
}

/// A call of the unpacked program, by another account where this one may become another.
fn call(program: &Path, args: &[&str]) -> Output {
    let mut call = Command::new(program);
    call.args(args).env_clear().env("PATH", "/nowhere").current_dir(program.parent().unwrap());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        call.uid(NOBODY).gid(NOBODY);
    }
    call.output().unwrap()
}

#[test]
fn another_account_without_cargo_runs_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let root = unpacked(folder.path());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        chown(&root, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for file in ["config/default.toml", "docs/ARCHITECTURE.md", "LICENSE-MIT", "LICENSE-APACHE", "LICENSES-THIRD-PARTY"]
    {
        assert!(root.join(file).is_file(), "{file}");
    }
    assert!(fs::read_to_string(root.join("LICENSES-THIRD-PARTY")).unwrap().contains("\ndiesel "));
    let program = root.join("replant");
    let demo = call(&program, &["demo", "--json"]);
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let account: serde_json::Value = serde_json::from_slice(&demo.stdout).unwrap();
    assert_eq!(account["complete"], true);
    assert!(account["next"][0].as_str().unwrap().starts_with("replant status"), "{account}");
    assert!(root.join("work/local/platform.db").is_file());
    let status = call(&program, &["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).starts_with("local: all "), "{status:?}");
}
