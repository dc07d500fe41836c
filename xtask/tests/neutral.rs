//! The engine's crates know nothing of More Trees: none of its tables, domains and habits stands in them.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The crates that another company builds on.
const ENGINE: [&str; 4] = ["clean", "core", "testkit", "cli"];

/// What is More Trees' and neither a table nor a domain.
const PHRASES: [&str; 5] = ["More Trees", "moretrees", "London", "2015", "cargo xtask"];

/// Tables whose names are words of the engine's own: PostgreSQL calls the source of a setting so.
const ORDINARY: [&str; 1] = ["user"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first group of each match.
fn all(pattern: &str, text: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn tables() -> BTreeSet<String> {
    let scripts = ["legacy/mariadb", "legacy/sqlite", "platform/postgres", "platform/sqlite"];
    let script = |folder: &str| read(&workspace().join("schemas").join(folder).join("up.sql"));
    scripts.iter().flat_map(|folder| all(r"(?m)^CREATE TABLE (\w+)", &script(folder))).collect()
}

fn domains() -> BTreeSet<String> {
    all(r"\.domain\((\w+)::domain\(\)\)", &read(&workspace().join("xtask/src/registry.rs")))
}

/// What names a table or a domain. Many of their names are plain English, which may stand in a sentence: they count where code
/// or SQL has them.
fn pattern() -> Regex {
    let (tables, domains) = (tables(), domains());
    assert!(tables.len() > 20 && domains.len() > 9, "{tables:?} {domains:?}");
    let (long, short): (Vec<String>, Vec<String>) =
        tables.into_iter().filter(|table| !ORDINARY.contains(&&**table)).partition(|table| table.contains('_'));
    let domains: Vec<String> = domains.into_iter().collect();
    let (long, domains, phrases) = (long.join("|"), domains.join("|"), PHRASES.join("|"));
    let short = format!("{}|{domains}", short.join("|"));
    Regex::new(&format!(
        r#"\b(?:{long})\b|["`](?:{short})["`]|\b(?:{short})::|\b(?:{domains})\.[a-z_]+(?:[^a-z_(]|$)|\b(?:FROM|INTO|UPDATE|TABLE|JOIN|REFERENCES|ON) +"?(?:{short})\b|{phrases}"#
    ))
    .unwrap()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|kind| ["rs", "sql", "md", "toml"].iter().any(|known| kind == *known)) {
            found.push(path);
        }
    }
}

/// Without its tests, which may try anything.
fn told(path: &Path) -> String {
    let text = read(path);
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

#[test]
fn the_engine_s_crates_know_nothing_of_more_trees() {
    let pattern = pattern();
    let mut found = Vec::new();
    for folder in ENGINE.map(|name| workspace().join("crates").join(name)).iter().filter(|folder| folder.is_dir()) {
        let tests = folder.join("tests");
        let mut of_crate = Vec::new();
        files(folder, &mut of_crate);
        assert!(of_crate.len() > 2, "{}", folder.display());
        for file in of_crate.iter().filter(|file| !file.starts_with(&tests)) {
            let text = told(file);
            let lines = text.lines().enumerate().filter_map(|(n, line)| Some((n, pattern.find(line)?.as_str(), line)));
            found.extend(lines.map(|(n, what, line)| format!("{}:{}: {what}: {}", file.display(), n + 1, line.trim())));
        }
    }
    assert!(found.is_empty(), "an engine's crate names what is More Trees':\n{}", found.join("\n"));
}

/// A package holds the files of its folder alone.
#[test]
fn the_engine_s_crates_read_no_file_outside_of_their_own() {
    for folder in ENGINE.map(|name| workspace().join("crates").join(name)).iter().filter(|folder| folder.is_dir()) {
        let mut of_crate = Vec::new();
        files(&folder.join("src"), &mut of_crate);
        for file in &of_crate {
            // `include_str!` begins at the file, `embed_migrations!` at the crate.
            for (pattern, from) in
                [(r#"include\w*!\("([^"]+)"#, file.parent().unwrap()), (r#"embed_\w+!\("([^"]+)"#, folder)]
            {
                for path in all(pattern, &read(file)) {
                    let named = from.join(&path).canonicalize().unwrap_or_else(|error| panic!("{path}: {error}"));
                    assert!(named.starts_with(folder), "{} reads {path}", file.display());
                }
            }
        }
    }
}

#[test]
fn what_is_more_trees_is_told_from_plain_english() {
    let pattern = pattern();
    for line in [
        "sql_query(\"SELECT id FROM accounts\")",
        "use users::Accounts;",
        "const TARGET: &str = \"plantings\";",
        "/// As `bank_transfers.transfers` has it.",
        "the table finance_transaction",
        "run `cargo xtask plan`",
        "/// The text rule of More Trees.",
    ] {
        assert!(pattern.is_match(line), "{line}");
    }
    for line in [
        "projects that users have",
        "from users' rows on",
        "the user of the database",
        "match users.lines() { }",
        "#[meta]",
    ] {
        assert!(!pattern.is_match(line), "{line}");
    }
}
