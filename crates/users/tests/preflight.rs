//! What is known of the platform's accounts before anything is written: further pointers, the index to come, accounts that
//! share an address.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::{Backend, Db, DbUrl, Role};
use replant_core::{Finding, Migration, PointerRule, Registry, RunError, Settings, Silent, Stop, diesel};
use replant_testkit::{postgres, sqlite};

/// A legacy database of one user, and a platform on which that person has two accounts.
struct World {
    _folder: tempfile::TempDir,
    _server: Option<replant_testkit::Database>,
    registry: Registry,
    legacy: DbUrl,
    target: DbUrl,
}

const LEGACY: &str = "
INSERT INTO meta (name, value) VALUES ('snapshot_at', '2024-03-20T23:40:00Z');
INSERT INTO user (id, email, first_name, created_when) VALUES (1, 'ann@shop.org', 'Ann', '2020-05-06 07:08:09');";

const PLATFORM: &str = "
INSERT INTO accounts (id, kind, email, display_name, marketing_consent, status, created_at, updated_at) VALUES
  (11, 'person', 'ann@shop.org', 'Ann', false, 'active', '2024-02-01 00:00:00.000000', '2024-02-01 00:00:00.000000'),
  (12, 'person', 'Ann@Shop.org', 'Ann', false, 'active', '2024-02-02 00:00:00.000000', '2024-02-02 00:00:00.000000');";

impl World {
    fn new(target: DbUrl, folder: tempfile::TempDir, server: Option<replant_testkit::Database>) -> Self {
        let mut legacy = sqlite::create(&folder.path().join("legacy.db"));
        fixtures::LEGACY.create(&mut legacy).unwrap();
        legacy.batch_execute(LEGACY).unwrap();
        let mut platform = Db::open(&target, Role::Target).unwrap();
        fixtures::PLATFORM.create(&mut platform).unwrap();
        platform.batch_execute(PLATFORM).unwrap();
        if let Db::Pg(pg) = &mut platform {
            pg.batch_execute("SELECT setval('accounts_id_seq', 12)").unwrap();
        }
        let legacy = DbUrl::sqlite(&folder.path().join("legacy.db"));
        let registry = Registry::default().domain(users::domain());
        Self { _folder: folder, _server: server, registry, legacy, target }
    }

    fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("platform.db");
        drop(sqlite::create(&path));
        Self::new(DbUrl::sqlite(&path), folder, None)
    }

    fn on_postgres() -> Option<Self> {
        let server = postgres::database()?;
        Some(Self::new(server.url(), tempfile::tempdir().unwrap(), Some(server)))
    }

    fn on_both() -> impl Iterator<Item = Self> {
        [Some(Self::on_sqlite()), Self::on_postgres()].into_iter().flatten()
    }

    fn open(&self) -> Db {
        Db::open(&self.target, Role::Target).unwrap()
    }

    fn site(&self, sql: &str) {
        self.open().batch_execute(sql).unwrap();
    }

    fn migration(&self, pointers: &[(&str, PointerRule)]) -> Migration<'_> {
        let pointers = pointers.iter().map(|(name, rule)| ((*name).to_owned(), *rule)).collect();
        Migration {
            registry: &self.registry,
            snapshot: reference::snapshot,
            legacy: self.legacy.clone(),
            target: self.target.clone(),
            settings: Settings { pointers, ..Settings::default() },
        }
    }

    fn findings(&self, pointers: &[(&str, PointerRule)]) -> Vec<Finding> {
        match self.migration(pointers).plan() {
            Ok(plan) => plan.findings,
            Err(RunError::Preflight { findings }) => findings,
            Err(error) => panic!("{error}"),
        }
    }

    fn run(&self, pointers: &[(&str, PointerRule)]) {
        let report = self.migration(pointers).run(&Stop::default(), &Silent);
        assert!(report.unwrap_or_else(|error| panic!("{error}")).complete);
    }

    fn count(&self, of: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let sql = format!("SELECT count(*) AS count FROM {of}");
        diesel::sql_query(sql).get_result::<Count>(&mut self.open()).unwrap().count
    }
}

const WISHLISTS: &str = "
CREATE TABLE wishlists (account_id BIGINT NOT NULL UNIQUE REFERENCES accounts, name TEXT NOT NULL);
INSERT INTO wishlists VALUES (12, 'oaks');";

const FOLLOW: &[(&str, PointerRule)] = &[("wishlists.account_id", PointerRule::Follow)];
const LEAVE: &[(&str, PointerRule)] = &[("wishlists.account_id", PointerRule::Leave)];

#[test]
fn a_further_pointer_waits_for_a_decision() {
    for world in World::on_both() {
        world.site(WISHLISTS);
        let found = world.findings(&[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].refuses() && found[0].what.contains("the column `wishlists.account_id` points to `accounts`"));
        assert!(found[0].mend.as_ref().unwrap().contains("\"wishlists.account_id\" = \"follow\""), "{found:?}");
        assert_eq!((world.findings(FOLLOW), world.findings(LEAVE)), (vec![], vec![]));
    }
}

#[test]
fn a_wish_list_follows_the_account_that_is_merged() {
    for world in World::on_both() {
        world.site(WISHLISTS);
        world.run(FOLLOW);
        assert_eq!(world.count("accounts WHERE id = 12 AND merged_into = 11"), 1);
        assert_eq!(world.count("wishlists WHERE account_id = 11"), 1);
    }
}

#[test]
fn a_wish_list_stays_where_the_settings_say_so() {
    for world in World::on_both() {
        world.site(WISHLISTS);
        world.run(LEAVE);
        assert_eq!(world.count("accounts WHERE id = 12 AND merged_into = 11"), 1);
        assert_eq!(world.count("wishlists WHERE account_id = 12"), 1);
    }
}

#[test]
fn what_follows_and_has_an_id_is_noted_row_by_row() {
    for world in World::on_both() {
        let id =
            if world.target.backend() == Backend::Sqlite { "INTEGER PRIMARY KEY" } else { "BIGSERIAL PRIMARY KEY" };
        world.site(&format!(
            "CREATE TABLE likes (id {id}, \"who Liked\" BIGINT REFERENCES accounts); INSERT INTO likes VALUES (70, 12), (71, 11);"
        ));
        world.run(&[("likes.who Liked", PointerRule::Follow)]);
        assert_eq!(world.count("likes WHERE \"who Liked\" = 11"), 2);
        let noted = "replant_changes WHERE target_table = 'likes' AND target_id = 70 \
                     AND value_before = '{\"who Liked\":12}' AND value_after = '{\"who Liked\":11}'";
        assert_eq!(world.count(noted), 1);
    }
}

#[test]
fn two_wish_lists_that_may_not_be_one_keep_their_person_out() {
    for world in World::on_both() {
        world.site(WISHLISTS);
        // One person by a further address: where both stay, the index that comes last finds nothing to refuse.
        world.site(
            "INSERT INTO wishlists VALUES (11, 'limes'); UPDATE accounts SET email = 'anne@shop.org' WHERE id = 12;
             INSERT INTO account_emails VALUES ('ann@shop.org', 12)",
        );
        world.run(FOLLOW);
        assert_eq!(world.count("replant_quarantine WHERE step = 'users.accounts' AND legacy_key = 1"), 1);
        assert_eq!(world.count("accounts WHERE merged_into IS NULL"), 2);
        assert_eq!(world.count("wishlists WHERE account_id IN (11, 12)"), 2);
    }
}

#[test]
fn a_key_of_several_columns_cannot_follow() {
    let Some(world) = World::on_postgres() else { return };
    world.site(
        "ALTER TABLE accounts ADD UNIQUE (id, kind);
         CREATE TABLE badges (account_id bigint, kind text, FOREIGN KEY (account_id, kind) REFERENCES accounts (id, kind));",
    );
    assert_eq!(world.findings(&[]).len(), 2, "a decision for each column");
    let follow = [("badges.account_id", PointerRule::Follow), ("badges.kind", PointerRule::Leave)];
    assert!(world.findings(&follow)[0].what.contains("its foreign key has other columns beside it"));
    let leave = [("badges.account_id", PointerRule::Leave), ("badges.kind", PointerRule::Leave)];
    assert_eq!(world.findings(&leave), []);
}

#[test]
fn a_pointer_of_another_schema_is_named_with_it() {
    let Some(world) = World::on_postgres() else { return };
    world.site(
        "CREATE SCHEMA shop; CREATE TABLE shop.carts (account_id bigint REFERENCES accounts); INSERT INTO shop.carts VALUES (12);",
    );
    assert!(world.findings(&[])[0].what.contains("`shop.carts.account_id`"));
    world.run(&[("shop.carts.account_id", PointerRule::Follow)]);
    assert_eq!(world.count("shop.carts WHERE account_id = 11"), 1);
}

const ONE_PER_EMAIL: &str = "accounts_one_per_email";

#[test]
fn an_index_of_that_name_must_be_the_one_that_is_meant() {
    for world in World::on_both() {
        for (other, why) in [
            ("INDEX accounts_one_per_email ON accounts (lower(email)) WHERE merged_into IS NULL", "unique"),
            ("UNIQUE INDEX accounts_one_per_email ON accounts (email) WHERE merged_into IS NULL", ""),
            ("UNIQUE INDEX accounts_one_per_email ON accounts (lower(email)) WHERE id > 11", ""),
            ("UNIQUE INDEX accounts_one_per_email ON account_emails (lower(email))", ""),
        ] {
            world.site(&format!("CREATE {other}"));
            let found = world.findings(&[]);
            assert_eq!(found.len(), 1, "{other}: {found:?}");
            assert!(found[0].refuses() && found[0].what.contains(ONE_PER_EMAIL) && found[0].what.contains(why));
            world.site(found[0].mend.as_deref().unwrap());
            assert_eq!(world.findings(&[]), [], "{other}");
        }
        // Written in another way.
        world.site("UPDATE accounts SET email = 'ben@shop.org' WHERE id = 12");
        world.site(
            "CREATE UNIQUE INDEX accounts_one_per_email ON accounts (LOWER( email )) WHERE (merged_into IS NULL)",
        );
        assert_eq!(world.findings(&[]), []);
    }
}

#[test]
fn an_index_that_could_not_be_built_is_told() {
    let Some(world) = World::on_postgres() else { return };
    let sql =
        "CREATE UNIQUE INDEX CONCURRENTLY accounts_one_per_email ON accounts (lower(email)) WHERE merged_into IS NULL";
    assert!(world.open().batch_execute(sql).is_err(), "two accounts share an address");
    let found = world.findings(&[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].refuses() && found[0].what.contains("is not valid"), "{found:?}");
}

#[test]
fn accounts_that_share_an_address_which_is_none_are_named_by_their_ids() {
    for world in World::on_both() {
        world.site(
            "INSERT INTO accounts (id, kind, email, display_name, marketing_consent, status, created_at, updated_at)
             SELECT id + 100, kind, CASE id WHEN 11 THEN 'front.desk@intranet' ELSE 'Front.Desk@intranet' END, display_name,
                    marketing_consent, status, created_at, updated_at FROM accounts",
        );
        if world.target.backend() == Backend::Postgres {
            world.site("SELECT setval('accounts_id_seq', 112)");
        }
        let found = world.findings(&[]);
        assert_eq!(found.len(), 1, "11 and 12 share a valid one, which the rules merge: {found:?}");
        assert!(found[0].refuses() && found[0].what.ends_with("(111, 112)"), "{found:?}");
        assert!(!found[0].what.contains("intranet"), "no address is shown");
        world.site("UPDATE accounts SET email = 'desk@intranet' WHERE id = 112");
        assert_eq!(world.findings(&[]), []);
    }
}
