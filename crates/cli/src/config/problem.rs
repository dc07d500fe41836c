//! What is wrong with the settings, in words that hold no value of a setting.

use std::io;
use std::path::PathBuf;

use config::ConfigError;
use replant_core::db::UrlError;

use crate::typed::program;

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says what it is")]
pub enum SettingsError {
    #[error("the folder of the environments' files was not found")]
    NoFolder,
    #[error("`{}` is no folder of environments: it has no default.toml", .0.display())]
    NotAFolder(PathBuf),
    #[error("there is no environment `{asked}`: there are {}", .known.join(", "))]
    UnknownEnvironment { asked: String, known: Vec<String> },
    #[error("the variable {0} would have no effect: two `_` stand behind REPLANT, and between a section and its key")]
    Misspelt(String),
    #[error("the settings: {0}")]
    Unknown(String),
    #[error("the setting `{key}`{origin} should be {expected}")]
    Type { key: String, origin: String, expected: String },
    #[error("{0} cannot be read as TOML")]
    Toml(String),
    #[error("the settings cannot be read: a section, a key or a value is not as it must be")]
    Other,
    #[error("the environment `{environment}` does not say where the {} database is: set REPLANT__{side}__URL", .side.to_lowercase())]
    NoAddress { side: &'static str, environment: String },
    #[error("the {} database has two addresses: a url and a url_file", .0.to_lowercase())]
    TwoAddresses(&'static str),
    #[error("the address of the {} database is refused: {source}", .side.to_lowercase())]
    Address { side: &'static str, source: UrlError },
    #[error("the file that holds the address of the {} database cannot be read: {source}", .side.to_lowercase())]
    AddressFile { side: &'static str, source: io::Error },
}

impl SettingsError {
    /// What of an error of `config` can be shown: its own texts repeat values and lines of files.
    pub(super) fn of(error: &ConfigError) -> Self {
        match error {
            ConfigError::At { error, .. } => Self::of(error),
            ConfigError::FileParse { uri, .. } => Self::Toml(uri.clone().unwrap_or_else(|| "a file".to_owned())),
            ConfigError::Type { key, expected, origin, .. } => Self::Type {
                key: key.clone().unwrap_or_else(|| "?".to_owned()),
                origin: origin.as_ref().map(|origin| format!(" of {origin}")).unwrap_or_default(),
                expected: (*expected).to_owned(),
            },
            // Names of keys alone.
            ConfigError::Message(text) if text.starts_with("unknown field") || text.starts_with("missing field") => {
                Self::Unknown(text.clone())
            }
            ConfigError::NotFound(key) => Self::Unknown(format!("`{key}` is missing")),
            _ => Self::Other,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoFolder => {
                let program = program();
                return Some(format!(
                    "name it with --config-dir or REPLANT_CONFIG_DIR, or run `{program}` in the workspace that it was built in"
                ));
            }
            Self::NotAFolder(_) => "name another one with --config-dir or REPLANT_CONFIG_DIR",
            Self::UnknownEnvironment { .. } => "an environment is a file of the configuration folder",
            Self::Misspelt(_) => return Some(format!("see `{} --help` for the names", program())),
            Self::Unknown(_) | Self::Type { .. } | Self::Toml(_) | Self::Other => {
                "default.toml of the configuration folder holds every setting; REPLANT__RUN__READERS is `readers` of `[run]`"
            }
            Self::NoAddress { side, .. } => {
                return Some(format!("or set REPLANT__{side}__URL_FILE to the path of a file that holds the address"));
            }
            Self::TwoAddresses(_) => "take one of them away",
            Self::Address { side, .. } | Self::AddressFile { side, .. } => {
                return Some(format!(
                    "look at REPLANT__{side}__URL, REPLANT__{side}__URL_FILE and the environment's file"
                ));
            }
        };
        Some(text.to_owned())
    }
}
