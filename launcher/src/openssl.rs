//! Whether the bundled libpq can be built with OpenSSL: `openssl-sys` finds it, with what is needed to build, and it is not
//! too old for libpq.

use std::env;

use crate::pkg_config;

/// Whether OpenSSL is installed, or named by the variable of `openssl-sys`.
pub(crate) fn is_installed() -> bool {
    env::var_os("OPENSSL_DIR").is_some() || pkg_config::version("openssl").is_some_and(|version| is_known(&version))
}

/// Whether libpq takes a version: 1.1.1 or later.
fn is_known(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    version.starts_with("1.1.1") || major.is_some_and(|major| major >= 3)
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn versions_that_libpq_takes_are_known() {
        for version in ["1.1.1w", "3.0.19", "3.5.9", "10.0"] {
            assert!(is_known(version), "{version}");
        }
        for version in ["1.1.0l", "1.0.2u", "", "unknown"] {
            assert!(!is_known(version), "{version}");
        }
    }
}
