//! The layers of the engine: imports run one way, between its layers, its groups and its files, and none of its crates knows a
//! domain.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "layers/imports.rs"]
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

use imports::Imports;

/// The layers of core, lowest first: those of docs/ARCHITECTURE.md.
const LAYERS: [&str; 5] = ["words", "storage", "policy", "contract", "engine"];

/// The crates that any migration uses, lowest first: each may know those before it.
const ENGINE: [&str; 4] = ["clean", "core", "testkit", "cli"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn core() -> Imports {
    Imports::of(&root().join("crates/core/src"))
}

#[test]
fn no_import_runs_upward() {
    let height = |module: &[String]| LAYERS.iter().position(|layer| Some(*layer) == module.first().map(String::as_str));
    let imports = core();
    let upward: Vec<String> = imports
        .iter()
        .filter(|(from, to)| height(from).zip(height(to)).is_some_and(|(from, to)| to > from))
        .map(|(from, to)| format!("{} imports from {}", from.join("::"), to.join("::")))
        .collect();
    assert_eq!(upward, [""; 0]);
    assert!(imports.iter().count() > 300, "the imports are found");
}

#[test]
fn no_imports_run_in_a_circle() {
    let imports = core();
    // Files, groups of files, layers.
    for depth in [usize::MAX, 2, 1] {
        assert_eq!(imports.circles(depth), Vec::<Vec<String>>::new(), "at depth {depth}");
    }
}

#[test]
fn the_layers_are_those_of_the_architecture() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, table) = text.split_once("| layer | holds |").expect("there is a table of the layers");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let named: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(named, LAYERS);
}

#[test]
fn the_crates_of_the_engine_know_no_domain() {
    for (place, name) in ENGINE.iter().enumerate() {
        let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let names = |section: &str| {
            let section = manifest.get(section).and_then(toml::Value::as_table);
            section.map(|section| section.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let of_workspace = |dependency: &String| {
            root().join("crates").join(dependency.trim_start_matches("replant-")).is_dir() || dependency == "xtask"
        };
        let below: Vec<String> = ENGINE[..place].iter().map(|name| format!("replant-{name}")).collect();
        let known: Vec<String> = names("dependencies").into_iter().filter(of_workspace).collect();
        assert!(known.iter().all(|known| below.contains(known)), "{name} depends on {known:?}");
        // Tests of a crate may use what is built on it.
        let tests: Vec<String> = names("dev-dependencies").into_iter().filter(of_workspace).collect();
        assert!(tests.iter().all(|known| known == "replant-testkit"), "the tests of {name} depend on {tests:?}");
    }
}
