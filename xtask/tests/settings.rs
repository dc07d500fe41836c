//! The environments that are shipped.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The files of `xtask/config` by their names.
fn shipped() -> BTreeMap<String, toml::Table> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .map(|file| {
            (file.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(file).unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
fn prod_alone_is_protected() {
    let shipped = shipped();
    let names: Vec<&str> = shipped.keys().map(String::as_str).collect();
    assert_eq!(names, ["default", "dev", "local", "prod", "uat"]);
    let protected =
        shipped.iter().filter(|(_, file)| file.get("confirm").is_some_and(|confirm| confirm.as_bool() != Some(false)));
    assert_eq!(protected.map(|(name, _)| name).collect::<Vec<_>>(), ["prod"]);
}

#[test]
fn no_file_but_local_holds_an_address() {
    for (name, file) in shipped() {
        let has_address =
            |side: &str| file.get(side).is_some_and(|side| side.get("url").or(side.get("url_file")).is_some());
        assert_eq!(has_address("legacy") || has_address("target"), name == "local", "{name}");
    }
}
