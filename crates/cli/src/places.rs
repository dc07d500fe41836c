//! Where the program finds its settings and its sample, and keeps its files.

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
    /// What the call says, else what lies around the program. `usual`: the folder of the environments' files in the workspace.
    pub(crate) fn find(usual: &str, config: Option<PathBuf>, work: Option<PathBuf>) -> Result<Self, SettingsError> {
        let config = match config {
            Some(folder) => folder,
            None => around(usual).find(|folder| is_config(folder)).ok_or(SettingsError::NoFolder)?,
        };
        if !is_config(&config) {
            return Err(SettingsError::NotAFolder(config));
        }
        let work = work.unwrap_or_else(|| workspace(usual).unwrap_or_default().join("work"));
        Ok(Self { config, work: std::path::absolute(&work).unwrap_or(work) })
    }
}

fn is_config(folder: &Path) -> bool {
    folder.join("default.toml").is_file()
}

/// The workspace, where cargo runs the program or has built it: it has the folder of the environments' files.
pub(crate) fn workspace(config: &str) -> Option<PathBuf> {
    above_package().chain(above_program()).find(|folder| is_config(&folder.join(config)))
}

/// Where a folder of the workspace may be: in the workspace whose package cargo runs, beside the program, where it was
/// installed, or in the workspace above it, where it was built.
pub(crate) fn around(folder: &str) -> impl Iterator<Item = PathBuf> {
    let name = Path::new(folder).file_name().unwrap_or_default();
    let beside = above_program().next().map(|beside| beside.join(name));
    let in_workspace = move |place: PathBuf| place.join(folder);
    above_package().map(in_workspace).chain(beside).chain(above_program().map(in_workspace))
}

fn above_package() -> impl Iterator<Item = PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    folders(package)
}

fn above_program() -> impl Iterator<Item = PathBuf> {
    folders(env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned())))
}

/// A folder, and all in which it is.
fn folders(innermost: Option<PathBuf>) -> impl Iterator<Item = PathBuf> {
    std::iter::successors(innermost, |folder| folder.parent().map(Path::to_owned))
}
