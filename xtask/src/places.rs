//! Where the program finds its settings and keeps its files.

use std::env;
use std::path::{Path, PathBuf};

use crate::config::SettingsError;

/// Where the program finds its settings and keeps its files.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The folder of the environments' files.
    pub(crate) config: PathBuf,
    /// The folder of the files of `local`.
    pub(crate) work: PathBuf,
}

impl Places {
    /// What the call says, else what lies around the program.
    pub(crate) fn find(config: Option<PathBuf>, work: Option<PathBuf>) -> Result<Self, SettingsError> {
        let package = package();
        let config = match config {
            Some(folder) => folder,
            None => package
                .iter()
                .map(|package| package.join("config"))
                .chain(around_the_program())
                .find(|folder| is_config(folder))
                .ok_or(SettingsError::NoFolder)?,
        };
        if !is_config(&config) {
            return Err(SettingsError::NotAFolder(config));
        }
        let work = work.unwrap_or_else(|| workspace().unwrap_or_default().join("work"));
        Ok(Self { config, work: std::path::absolute(&work).unwrap_or(work) })
    }
}

fn is_config(folder: &Path) -> bool {
    folder.join("default.toml").is_file()
}

/// The folder of this package, where cargo runs the program.
fn package() -> Option<PathBuf> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    is_config(&package.join("config")).then_some(package)
}

/// The workspace, where cargo runs the program or has built it.
pub(crate) fn workspace() -> Option<PathBuf> {
    let above = || {
        Some(env::current_exe().ok()?.ancestors().find(|folder| is_config(&folder.join("xtask/config")))?.to_owned())
    };
    package().and_then(|package| package.parent().map(Path::to_owned)).or_else(above)
}

/// Beside the program, where it was installed; in the workspace above it, where it was built.
fn around_the_program() -> Vec<PathBuf> {
    let program = env::current_exe().unwrap_or_default();
    let beside = program.parent().map(|folder| folder.join("config"));
    let above = program.ancestors().skip(1).map(|folder| folder.join("xtask/config"));
    beside.into_iter().chain(above).collect()
}
