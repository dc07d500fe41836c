//! Settings: default.toml, then the environment's file, then variables. No error repeats a value: it may be a password.

mod problem;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment as Variables, File, FileFormat};
use replant_core::db::{DbUrl, UrlError};
use replant_core::{Building, ForeignKeys, Offline, PointerRules, Retries, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::places::Places;
pub use problem::SettingsError;

/// The variables of the process that may be settings.
pub(crate) type Vars = HashMap<String, String>;

/// Gigabytes of the target's disk that are kept free where its size is known.
const RESERVE_GB: u64 = 10;

const DEFAULT: &str = "default";

/// The settings of an environment.
#[derive(Debug)]
pub struct Environment {
    pub(crate) name: String,
    /// Whether its name is asked for before anything is written.
    pub(crate) confirm: bool,
    legacy: Database,
    target: Database,
    run: Run,
    offline: Load,
    work: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layers {
    confirm: bool,
    #[serde(default)]
    legacy: Database,
    #[serde(default)]
    target: Database,
    run: Run,
    offline: Load,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: Option<SecretString>,
    url_file: Option<PathBuf>,
    pool: Option<u32>,
    /// Of the target alone: whether others use it.
    live: Option<bool>,
    /// Of the target alone: what its disk holds.
    disk_gb: Option<u64>,
    /// Of the target alone: how much of it is kept free.
    disk_reserve_gb: Option<u64>,
    /// Of the target alone: what becomes of columns that point to merged rows and that the migration does not know.
    #[serde(default)]
    pointers: PointerRules,
}

/// How a target that is not live is loaded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    least_rows: u64,
    build_memory_mb: u32,
    build_workers: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    chunk_rows: u64,
    chunk_ms: u64,
    chunk_most: u64,
    queue_mb: u64,
    readers: usize,
    writers: usize,
    queue: usize,
    lease_seconds: u64,
    answer_seconds: u64,
    #[serde(default)]
    foreign_keys: ForeignKeys,
    retry: Retry,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    times: usize,
    first_wait_ms: u64,
    longest_wait_ms: u64,
}

impl Environment {
    /// Reads the settings of the environment `name`.
    pub(crate) fn load(name: &str, places: &Places, vars: &Vars) -> Result<Self, SettingsError> {
        let known = names(&places.config)?;
        if !known.iter().any(|known| known == name) {
            return Err(SettingsError::UnknownEnvironment { asked: name.to_owned(), known });
        }
        if let Some(typo) = misspelt(vars) {
            return Err(SettingsError::Misspelt(typo));
        }
        let file = |name: &str| File::from(places.config.join(format!("{name}.toml"))).format(FileFormat::Toml);
        let variables =
            Variables::with_prefix("REPLANT").prefix_separator("__").separator("__").source(Some(vars.clone()));
        let layers = Config::builder()
            .add_source(file(DEFAULT))
            .add_source(file(name))
            .add_source(variables)
            .build()
            .and_then(Config::try_deserialize::<Layers>)
            .map_err(|error| SettingsError::of(&error))?;
        let Layers { confirm, mut legacy, mut target, run, offline } = layers;
        let of_target = [
            ("live", legacy.live.is_some()),
            ("disk_gb", legacy.disk_gb.is_some()),
            ("disk_reserve_gb", legacy.disk_reserve_gb.is_some()),
            ("pointers", !legacy.pointers.is_empty()),
        ];
        if let Some((field, _)) = of_target.iter().find(|(_, given)| *given) {
            return Err(SettingsError::Unknown(format!("unknown field `{field}` of `[legacy]`")));
        }
        legacy.settle("LEGACY", vars)?;
        target.settle("TARGET", vars)?;
        Ok(Self { name: name.to_owned(), confirm, legacy, target, run, offline, work: places.work.clone() })
    }

    /// The address of the legacy database.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub fn legacy(&self) -> Result<DbUrl, SettingsError> {
        self.legacy.address("LEGACY", &self.name, &self.work)
    }

    /// The address of the target.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub fn target(&self) -> Result<DbUrl, SettingsError> {
        self.target.address("TARGET", &self.name, &self.work)
    }

    /// The settings of a run. `workers` threads read and as many write, where they are given.
    pub fn settings(&self, only: Vec<String>, dry_run: bool, workers: Option<usize>) -> Settings {
        let run = &self.run;
        let (readers, writers) = (workers.unwrap_or(run.readers), workers.unwrap_or(run.writers));
        let connections = |threads: usize| u32::try_from(threads.saturating_add(2)).unwrap_or(u32::MAX);
        Settings {
            environment: self.name.clone(),
            chunk_rows: run.chunk_rows,
            chunk_time: Duration::from_millis(run.chunk_ms),
            chunk_most: run.chunk_most,
            queue_bytes: run.queue_mb.saturating_mul(1 << 20),
            readers,
            writers,
            queue: run.queue,
            legacy_patience: Duration::from_secs(run.answer_seconds),
            legacy_pool: self.legacy.pool.unwrap_or_else(|| connections(readers)),
            target_pool: self.target.pool.unwrap_or_else(|| connections(readers.saturating_add(writers))),
            lease: Duration::from_secs(run.lease_seconds),
            retries: Retries {
                times: run.retry.times,
                first_wait: Duration::from_millis(run.retry.first_wait_ms),
                longest_wait: Duration::from_millis(run.retry.longest_wait_ms),
            },
            only,
            subset: None,
            foreign_keys: run.foreign_keys,
            dry_run,
            offline: (!self.is_live()).then_some(Offline { least_rows: self.offline.least_rows }),
            building: self.building(),
            pointers: self.target.pointers.clone(),
            disk_gb: self.target.disk_gb,
            disk_reserve_gb: self.target.disk_reserve_gb.unwrap_or(RESERVE_GB),
        }
    }

    /// Whether others use the target: it then keeps every constraint.
    pub(crate) fn is_live(&self) -> bool {
        self.target.live.unwrap_or(true)
    }

    /// How what a load dropped is built again.
    pub(crate) fn building(&self) -> Building {
        let Load { build_memory_mb: memory_mb, build_workers: workers, .. } = self.offline;
        Building { memory_mb, workers, connections: self.run.writers.max(1) }
    }
}

impl Database {
    /// An address of the variables replaces one of the files, in either form; two in one layer contradict each other.
    fn settle(&mut self, side: &'static str, vars: &Vars) -> Result<(), SettingsError> {
        let given = |key: &str| vars.keys().any(|name| name.eq_ignore_ascii_case(&variable(side, key)));
        match (given("URL"), given("URL_FILE")) {
            (true, false) => self.url_file = None,
            (false, true) => self.url = None,
            (true, true) => return Err(SettingsError::TwoAddresses(side)),
            (false, false) if self.url.is_some() && self.url_file.is_some() => {
                return Err(SettingsError::TwoAddresses(side));
            }
            (false, false) => {}
        }
        Ok(())
    }

    fn address(&self, side: &'static str, environment: &str, work: &Path) -> Result<DbUrl, SettingsError> {
        let text: SecretString = match (&self.url, &self.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => {
                let text = fs::read_to_string(file).map_err(|source| SettingsError::AddressFile { side, source })?;
                text.into()
            }
            (None, None) => return Err(SettingsError::NoAddress { side, environment: environment.to_owned() }),
        };
        let text = text.expose_secret().trim();
        let parsed = match text.strip_prefix("sqlite://{work}/") {
            Some(rest) => Ok(DbUrl::sqlite(&work.join(rest))),
            None => text.parse(),
        };
        parsed.map_err(|error| SettingsError::Address { side, source: presentable(error) })
    }
}

fn variable(side: &str, key: &str) -> String {
    format!("REPLANT__{side}__{key}")
}

/// What stands before `://` is shown where it can be a scheme: it may be anything, the password too.
fn presentable(error: UrlError) -> UrlError {
    match error {
        UrlError::Scheme(scheme) if scheme.len() < 12 && scheme.chars().all(|c| c.is_ascii_lowercase()) => {
            UrlError::Scheme(scheme)
        }
        UrlError::Scheme(_) => UrlError::Shape,
        error => error,
    }
}

/// A variable that is meant as a setting but has one `_` after the prefix would be ignored in silence.
fn misspelt(vars: &Vars) -> Option<String> {
    let meant = |name: &&String| {
        ["REPLANT_LEGACY", "REPLANT_TARGET", "REPLANT_RUN", "REPLANT_OFFLINE"]
            .iter()
            .any(|start| name.to_ascii_uppercase().starts_with(start))
    };
    vars.keys().filter(meant).min().cloned()
}

/// The environments that there are.
fn names(folder: &Path) -> Result<Vec<String>, SettingsError> {
    let entries = fs::read_dir(folder).map_err(|_| SettingsError::NotAFolder(folder.to_owned()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .filter(|name| name != DEFAULT)
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The variables of this process that may be settings.
pub(crate) fn vars() -> Vars {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.to_ascii_uppercase().starts_with("REPLANT_"))
        // A value that is no text is no address either: it is refused as one, in words that do not repeat it.
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
