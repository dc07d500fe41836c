//! The arguments of `simulate`.

use std::path::PathBuf;

use clap::Args;

use super::Form;

pub(super) const HELP: &str = "\
The same rows, seed and rates make the same databases, byte for byte. Databases must be empty; their
tables are made where there are none. A folder gets legacy/TABLE.csv and platform/TABLE.csv.
Rates are shares from 0 to 1. A file of rates names those that it changes; --rates-out writes all.
Without --into the rates are all that is made: they are printed, or written by --rates-out.

Examples:
  cargo xtask simulate --rows 100k --into work/simulated
  cargo xtask simulate --rows 7m --seed 3 --into mysql://user:password@host/legacy \\
      --platform postgres://user:password@host/platform
  cargo xtask simulate --into sqlite:///tmp/legacy.db --platform sqlite:///tmp/platform.db
  cargo xtask simulate --like mysql://user:password@host/legacy --rates-out rates.toml
  cargo xtask simulate --rates rates.toml --into work/simulated";

#[derive(Args)]
pub(crate) struct Simulate {
    /// Rows of the legacy database, all tables together: 250000, 100k, 7m
    #[arg(long, value_name = "ROWS", default_value = "100k", value_parser = rows)]
    pub(crate) rows: u64,
    /// Where all chance comes from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The address of the legacy database, or a folder for both as CSV
    #[arg(long, value_name = "URL|FOLDER")]
    pub(crate) into: Option<String>,
    /// The address of the platform
    #[arg(long, value_name = "URL", requires = "into")]
    pub(crate) platform: Option<String>,
    /// A legacy database to learn the rates from; it is only read, and none of its values is copied
    #[arg(long, value_name = "URL")]
    pub(crate) like: Option<String>,
    /// A file of rates, which stand before those that are learnt
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) rates: Option<PathBuf>,
    /// Write the rates that are used into a file
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) rates_out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Without addresses: what is debugged may be logged.
impl std::fmt::Debug for Simulate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulate").field("rows", &self.rows).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// A number of rows, in thousands or millions where it says so.
pub(super) fn rows(text: &str) -> Result<u64, String> {
    let (digits, times) = match text.to_ascii_lowercase().strip_suffix(['k', 'm']) {
        Some(digits) if text.ends_with(['k', 'K']) => (digits.to_owned(), 1_000),
        Some(digits) => (digits.to_owned(), 1_000_000),
        None => (text.to_owned(), 1),
    };
    let rows = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(times));
    rows.ok_or_else(|| "rows look like 250000, 100k or 7m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_be_thousands_or_millions() {
        assert_eq!((rows("250000"), rows("100k"), rows("7M")), (Ok(250_000), Ok(100_000), Ok(7_000_000)));
        assert!(rows("7g").is_err() && rows("k").is_err() && rows("99999999999999999m").is_err());
    }
}
