//! Keys at both ends of what their columns hold: such rows come over as any other. A reference of 0 names nobody (rules).

use replant_core::diesel::connection::SimpleConnection;

use crate::{copy_of_legacy, number, program_from, restricted, words};

/// The last id of INT UNSIGNED, and the last that fits the new schema.
const LAST_USER: i64 = 4_294_967_295;
const LAST_PLANTING: i64 = i64::MAX;

#[test]
fn nought_and_the_last() {
    let Some((target, _)) = restricted() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, mut legacy) = copy_of_legacy(folder.path());
    let user = |id: i64, name: &str| {
        format!(
            "INSERT INTO user (id, email, first_name, last_name, type, deleted, created_when, updated_when) VALUES \
             ({id}, '{name}@example.org', '{name}', 'Example', 'user', 0, '2020-03-01 10:00:00', '2020-03-01 10:00:00');"
        )
    };
    let planting = |id: i64, user: i64| {
        format!(
            "INSERT INTO plantation (id, user_id, project_id, trees, source, cost, currency, status, planted_when, \
             created_when) VALUES ({id}, {user}, 14, 4321, 'order', 2592.6, 'GBP', 'done', '2021-03-01 10:00:00', \
             '2021-03-01 10:00:00');"
        )
    };
    let rows = [
        user(0, "nought"),
        user(LAST_USER, "last"),
        "INSERT INTO project (id, name, country, species, lat, lng, active)
         VALUES (0, 'Nought Wood', 'Kenya', 'Moringa oleifera', '-1.5', '37.2', '1');"
            .to_owned(),
        planting(0, LAST_USER),
        planting(LAST_PLANTING, 0),
    ];
    legacy.batch_execute(&rows.concat()).unwrap();
    drop(legacy);
    let run = |args: &[&str]| {
        let end = program_from(&file, &[args, &["--env", "local"]].concat(), &target).output().unwrap();
        assert!(end.status.success(), "{args:?}: {}", words(&end));
        words(&end)
    };
    run(&["plan"]);
    run(&["migrate"]);
    let mut db = target.open();
    let mut count = |what: &str| number(&mut db, &format!("SELECT count(*) AS number FROM {what}"));
    for (user, name) in [(0, "nought"), (LAST_USER, "last")] {
        assert_eq!(count(&format!("accounts WHERE email = '{name}@example.org'")), Some(1), "{name}");
        let plantings = format!(
            "plantings p JOIN accounts a ON a.id = p.account_id WHERE a.email = '{name}@example.org' AND p.trees = 4321"
        );
        assert_eq!(count(&plantings), Some(i64::from(user == LAST_USER)), "{name}");
    }
    assert_eq!(count("projects WHERE name = 'Nought Wood'"), Some(1));
    for (what, becomes) in [
        ("user 0", "migrated"),
        ("project 0", "migrated"),
        ("plantation 0", "migrated"),
        (&format!("plantation {LAST_PLANTING}"), "account_missing"),
    ] {
        let (table, key) = what.split_once(' ').unwrap();
        let traced = run(&["trace", table, key]);
        assert!(traced.contains(becomes), "{traced}");
    }
}
