use std::path::Path;

use replant_core::PointerRule;
use replant_core::db::Backend;

use super::*;
use crate::error::Error;

const SECRET: &str = "hunter2";

fn places() -> Places {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/config");
    Places { config, work: PathBuf::from("/tmp/files") }
}

fn vars(pairs: &[(&str, &str)]) -> Vars {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(name: &str, pairs: &[(&str, &str)]) -> Result<Environment, SettingsError> {
    Environment::load(name, &places(), &vars(pairs))
}

/// Everything that anybody could print of an error.
fn shown(error: SettingsError) -> String {
    let plain = format!("{error} {error:?} {}", error.hint().unwrap_or_default());
    let rendered = format!("{:?}", miette::Report::new(Error::from(error)));
    format!("{plain} {rendered}")
}

#[test]
fn later_layers_win() {
    let settings = |name, pairs: &[(&str, &str)]| load(name, pairs).unwrap().settings(Vec::new(), false, None);
    assert_eq!(settings("local", &[]).readers, 2);
    assert_eq!((settings("uat", &[]).readers, settings("uat", &[]).writers), (2, 1));
    let given = settings("uat", &[("REPLANT__RUN__READERS", "7"), ("REPLANT__RUN__RETRY__FIRST_WAIT_MS", "5")]);
    assert_eq!(given.readers, 7);
    assert_eq!(given.retries.first_wait, Duration::from_millis(5));
    assert_eq!((given.legacy_pool, given.target_pool), (9, 10), "pools follow the threads");
    assert_eq!(settings("uat", &[("REPLANT__TARGET__POOL", "40")]).target_pool, 40);
}

#[test]
fn prod_alone_is_protected() {
    let protected: Vec<String> =
        names(&places().config).unwrap().into_iter().filter(|name| load(name, &[]).unwrap().confirm).collect();
    assert_eq!(protected, ["prod"]);
}

#[test]
fn no_file_but_local_holds_an_address() {
    for name in ["uat", "prod"] {
        let environment = load(name, &[]).unwrap();
        for (error, variable) in [
            (environment.legacy().unwrap_err(), "REPLANT__LEGACY__URL"),
            (environment.target().unwrap_err(), "REPLANT__TARGET__URL"),
        ] {
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
}

#[test]
fn local_is_sqlite_in_the_work_folder() {
    let target = load("local", &[]).unwrap().target().unwrap();
    assert_eq!(target.sqlite_path().unwrap(), Path::new("/tmp/files/local/catalogue.db"));
}

#[test]
fn addresses_of_the_variables_override_any_environment() {
    let url = ("REPLANT__TARGET__URL", "postgres://u:hunter2@h/db");
    for name in ["local", "prod"] {
        assert_eq!(load(name, &[url]).unwrap().target().unwrap().backend(), Backend::Postgres);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    fs::write(&file, "postgres://u:hunter2@h/db\n").unwrap();
    let file = ("REPLANT__TARGET__URL_FILE", file.to_str().unwrap());
    assert_eq!(load("local", &[file]).unwrap().target().unwrap().backend(), Backend::Postgres);
    assert!(matches!(load("local", &[url, file]), Err(SettingsError::TwoAddresses("TARGET"))));
}

#[test]
fn unknown_keys_are_refused() {
    for name in
        ["REPLANT__RUN__CHUNKROWS", "REPLANT__RUNS__CHUNK_ROWS", "REPLANT__TARGET__URLS", "REPLANT__RUN__RETRY__TIME"]
    {
        let error = load("local", &[(name, "5")]).unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{name}: {error}");
    }
    assert!(matches!(load("local", &[("REPLANT_TARGET_URL", "x")]), Err(SettingsError::Misspelt(_))));
}

#[test]
fn pointers_of_the_target_are_named_as_they_are_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(places().config.join("default.toml"), folder.path().join("default.toml")).unwrap();
    let load = |text: &str| {
        fs::write(folder.path().join("some.toml"), text).unwrap();
        Environment::load("some", &Places { config: folder.path().to_owned(), ..places() }, &Vars::new())
    };
    let text = "[target]\ndisk_gb = 500\n[target.pointers]\n\"wishlists.account_id\" = \"follow\"\n\"shop.Carts.account_id\" = \"leave\"\n";
    let settings = load(text).unwrap().settings(Vec::new(), false, None);
    let pointers: Vec<(&str, PointerRule)> =
        settings.pointers.iter().map(|(name, rule)| (name.as_str(), *rule)).collect();
    let expected = [("shop.Carts.account_id", PointerRule::Leave), ("wishlists.account_id", PointerRule::Follow)];
    assert_eq!((pointers.as_slice(), settings.disk_gb), (expected.as_slice(), Some(500)));
    assert!(load("[target.pointers]\n\"wishlists.account_id\" = \"drop\"\n").is_err());
    for of_legacy in ["[legacy]\ndisk_gb = 5\n", "[legacy.pointers]\n\"a.b\" = \"leave\"\n"] {
        assert!(load(of_legacy).unwrap_err().to_string().contains("of `[legacy]`"));
    }
}

#[test]
fn an_unknown_environment_is_refused_with_those_that_there_are() {
    for name in ["staging", "default", "../config/uat", ""] {
        let error = load(name, &[]).unwrap_err();
        assert!(error.to_string().contains("there are local, prod, uat"), "{error}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    let mistakes = [
        ("REPLANT__TARGET", "postgres://u:hunter2@h/db"),
        ("REPLANT__TARGET__POOL", "postgres://u:hunter2@h/db"),
        ("REPLANT__RUN__CHUNK_ROWS", "hunter2"),
        ("REPLANT__CONFIRM", "hunter2"),
        ("REPLANT__TARGET__URL__X", "hunter2"),
        ("REPLANT__TARGET__URLS", "postgres://u:hunter2@h/db"),
        ("REPLANT_TARGET_URL", "postgres://u:hunter2@h/db"),
        ("REPLANT__TARGET__URL", "u:hunter2@h/db"),
        ("REPLANT__TARGET__URL", "hunter2://h/db"),
        ("REPLANT__TARGET__URL", "oracle://u:hunter2@h/db"),
        ("REPLANT__TARGET__URL", "postgres://u:hunter2@h:port/db"),
        ("REPLANT__TARGET__URL_FILE", "postgres://u:hunter2@h/db"),
    ];
    for mistake in mistakes {
        let error = load("uat", &[mistake]).and_then(|environment| environment.target()).expect_err(mistake.0);
        let shown = shown(error);
        assert!(!shown.contains(SECRET), "{}: {shown}", mistake.0);
    }
    let sound = load("uat", &[("REPLANT__TARGET__URL", "postgres://u:hunter2@h/db")]).unwrap();
    assert!(!format!("{sound:?}").contains(SECRET));
}

#[test]
fn a_broken_file_is_named_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(places().config.join("default.toml"), folder.path().join("default.toml")).unwrap();
    fs::write(folder.path().join("bad.toml"), "[target]\nurl = postgres://u:hunter2@h/db\n").unwrap();
    let places = Places { config: folder.path().to_owned(), ..places() };
    let shown = shown(Environment::load("bad", &places, &Vars::new()).unwrap_err());
    assert!(shown.contains("bad.toml") && !shown.contains(SECRET), "{shown}");
}
