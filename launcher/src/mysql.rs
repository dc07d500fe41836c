//! Whether `mysqlclient-sys` will find a client library that it knows: the same places in the same order as its build
//! script, so that the build never fails for want of one.

use std::env;
use std::process::Command;

use crate::pkg_config::{self, said};

/// Whether a client library is installed.
pub(crate) fn is_installed() -> bool {
    if let Some(version) = ["mysqlclient", "libmariadb"].into_iter().find_map(pkg_config::version) {
        return is_known(&version);
    }
    if setting("MYSQLCLIENT_LIB_DIR").is_some() {
        return setting("MYSQLCLIENT_VERSION").is_some_and(|version| is_known(&version));
    }
    let config = |variable| said(Command::new("mysql_config").arg(variable));
    config("--libs").is_some() && config("--version").is_some_and(|version| is_known(&version))
}

/// A variable of the build script, which may name the machine that it holds for.
fn setting(name: &str) -> Option<String> {
    let of_machine = || {
        let mut all = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let machine = env::consts::ARCH.to_uppercase();
        all.find(|(found, _)| found.starts_with(&format!("{name}_{machine}"))).map(|(_, value)| value)
    };
    env::var_os(name).or_else(of_machine)?.into_string().ok()
}

/// Whether `mysqlclient-sys` has bindings for a version: of the library (3.3.8, 21.2.41) or of the server (10.11, 8.0.36).
fn is_known(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let major = numbers.next().flatten();
    let minor = numbers.next().flatten();
    match (major, minor) {
        (Some(20..=23 | 11), _) | (Some(24), None | Some(0 | 1)) => true,
        (Some(5), Some(minor)) => minor == 7,
        (Some(8), Some(minor)) => minor <= 4,
        (Some(9), Some(minor)) => minor <= 5,
        (Some(3), Some(minor)) => (1..=4).contains(&minor),
        (Some(10), Some(minor)) => minor >= 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn versions_that_have_bindings_are_known() {
        for version in ["3.3.8", "3.4.4", "21.2.41", "24", "8.0.36", "5.7.44", "10.11.6", "11.4.2"] {
            assert!(is_known(version), "{version}");
        }
        for version in ["3.0.1", "25.0", "5.6.51", "8.5.0", "10.1.48", "", "unknown"] {
            assert!(!is_known(version), "{version}");
        }
    }
}
