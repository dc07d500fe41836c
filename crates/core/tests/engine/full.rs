//! A disk that is full: the run stops, nothing is lost, and it goes on once there is room.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use replant_core::Kind;
use replant_testkit::conformance::Target;
use replant_testkit::servers::{self, Kind as Server};
use replant_testkit::state::assert_same_state;

use crate::later::{catch_up, told};
use crate::world::{
    World, chunks_of, count, ordinary, postgres, site, sqlite, sqlite_file, state, target_ddl, thing, totals,
};

/// A small file system of one's own; none where this user may not mount one, which is said.
struct Small {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Small {
    fn mount(test: &str, kilobytes: u32) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("replant-small-").tempdir_in("/tmp").unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        if mount(&["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "replant"], &path) {
            return Some(Self { path, _folder: folder });
        }
        #[expect(clippy::print_stderr, reason = "the reader of a test's output must see that it was skipped")]
        {
            eprintln!("skipped: {test} (needs the right to mount a file system)");
        }
        None
    }

    fn grow(&self) {
        assert!(mount(&["-o", "remount,size=64m"], &self.path));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn mount(how: &[&str], path: &Path) -> bool {
    Command::new("mount").args(how).arg(path).output().is_ok_and(|done| done.status.success())
}

fn stops_and_goes_on(small: &Small, target: &Target, fresh: &dyn Fn() -> Target) {
    let world = World::new(&ordinary(2_000));
    let error = world.run(target, chunks_of(100)).expect_err("the disk is full");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.to_string().contains("no disk space left"), "{error}");
    // A second try in vain does no harm either.
    assert_eq!(world.run(target, chunks_of(100)).expect_err("it is still full").kind(), Kind::Unavailable);
    small.grow();
    let things = totals(target, "toy.things").0;
    assert!(things.read < 2_000);
    assert_eq!(u64::try_from(count(target, "items WHERE colour = 'red'")).unwrap(), things.migrated, "no half chunk");
    world.complete(target, chunks_of(100));
    assert_same_state("a full disk", &world.undisturbed(fresh), &state(target));
}

#[test]
fn a_sqlite_target_whose_disk_is_full_goes_on_once_there_is_room() {
    let Some(small) = Small::mount("full::sqlite", 800) else { return };
    let url = sqlite_file(&small.path.join("target.db"), &target_ddl(replant_core::db::Backend::Sqlite));
    let target = Target { url, guard: Box::new(()) };
    stops_and_goes_on(&small, &target, &sqlite);
}

#[test]
fn a_postgres_target_whose_disk_is_full_goes_on_once_there_is_room() {
    let Some(target) = postgres() else { return };
    let Some(small) = Small::mount("full::postgres", 120) else { return };
    let server = servers::available(Server::Postgres).unwrap();
    let owner = std::fs::metadata(server.folder().join("data")).unwrap();
    chown(&small.path, Some(owner.uid()), Some(owner.gid())).unwrap();
    let space = format!("small_{}", std::process::id());
    site(&target.url, &format!("CREATE TABLESPACE {space} LOCATION '{}'", small.path.display()));
    site(&target.url, &format!("ALTER TABLE items SET TABLESPACE {space}; ALTER TABLE labels SET TABLESPACE {space}"));
    stops_and_goes_on(&small, &target, &|| postgres().unwrap());
    drop(target);
    let main = server.url("postgres").parse().unwrap();
    site(&main, &format!("DROP TABLESPACE {space}"));
}

#[test]
fn a_catch_up_whose_disk_is_full_goes_on_once_there_is_room() {
    let Some(small) = Small::mount("full::catch_up", 1_500) else { return };
    let url = sqlite_file(&small.path.join("target.db"), &target_ddl(replant_core::db::Backend::Sqlite));
    let (target, roomy) = (Target { url, guard: Box::new(()) }, sqlite());
    let world = World::new(&ordinary(200));
    for target in [&target, &roomy] {
        world.complete(target, chunks_of(100));
    }
    let added: String = (10_000..13_000).map(|id| thing(id, &format!("thing {id}"), "1", "label:new")).collect();
    world.change(&added);
    for _ in 0..2 {
        let error = catch_up(&world, &target, 100, true).expect_err("the disk is full");
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("no disk space left"), "{error}");
    }
    assert!(count(&target, "items") < count(&roomy, "items") + 3_000);
    small.grow();
    for target in [&target, &roomy] {
        assert!(catch_up(&world, target, 100, true).unwrap().complete);
    }
    assert_eq!(told(&target), told(&roomy));
}
