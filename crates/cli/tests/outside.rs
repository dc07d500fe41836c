//! A company of its own builds a program on Replant, without a change of Replant and without a word of another company's.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use replant_core::db::{Db, DbUrl, Role};
use replant_core::diesel::connection::SimpleConnection;
use replant_testkit::load::load_dir;
use serde_json::Value;
use tempfile::TempDir;

/// What no output of another company's program says.
const FOREIGN: [&str; 16] = [
    "more trees",
    "moretrees",
    "xtask",
    "users",
    "accounts",
    "brands",
    "projects",
    "invoices",
    "subscriptions",
    "payments",
    "bank-transfers",
    "bank_transfer",
    "plantation",
    "cross-charges",
    "cross_charges",
    "credits",
];

/// So many loans that a run can be stopped between two chunks.
const LOANS: usize = 4_000;

/// The workspace of Bookshed, which is none of Replant's.
struct Bookshed {
    folder: TempDir,
}

struct End {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Bookshed {
    /// Copies the workspace and builds it: what Replant has built of its dependencies is taken from there.
    fn build() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        copy(&here.join("tests/outside"), folder.path());
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let manifest = manifest
            .replace("path = \"../..\"", &format!("path = {:?}", here))
            .replace("path = \"../../../core\"", &format!("path = {:?}", here.with_file_name("core")));
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        fs::copy(here.join("../../Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();

        // This test is target/PROFILE/deps/outside-HASH.
        let program = env::current_exe().unwrap();
        let of_profile = program.parent().and_then(Path::parent).unwrap();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--offline", "--quiet"]).current_dir(folder.path());
        cargo.env("CARGO_TARGET_DIR", of_profile.parent().unwrap());
        let profile = of_profile.file_name().and_then(|name| name.to_str()).unwrap();
        cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
        if cfg!(feature = "mysql") {
            cargo.args(["--features", "mysql"]);
        }
        let built = cargo.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        // Installed beside its settings, as on a host without cargo.
        fs::copy(of_profile.join("bookshed"), folder.path().join("bookshed")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(self.path("bookshed"));
        let ours = |name: &str| name.starts_with("REPLANT") || name.starts_with("CARGO") || name == "RUST_LOG";
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
            command.env_remove(name);
        }
        command.args(args.split(' ')).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, args: &str) -> End {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        End::of(output.status.code(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn done(&self, args: &str) -> String {
        let End { code, out, err } = self.run(args);
        assert_eq!(code, Some(0), "{args}\n{out}\n{err}");
        out
    }

    #[track_caller]
    fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.done(&format!("{args} --json"))).unwrap()
    }
}

impl End {
    #[track_caller]
    fn of(code: Option<i32>, out: String, err: String) -> Self {
        let said = format!("{out}\n{err}").to_lowercase();
        for foreign in FOREIGN {
            assert!(!said.contains(foreign), "`{foreign}` is said:\n{out}\n{err}");
        }
        Self { code, out, err }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_company_of_its_own_migrates_without_forking_replant() {
    let bookshed = Bookshed::build();
    helps(&bookshed);
    demonstrates(&bookshed);
    migrates_in_parts(&bookshed);
    explains(&bookshed);
    mends(&bookshed);
}

/// Outputs are tried below; what this one does not come across stands in the sources.
#[test]
fn the_sources_speak_of_no_company() {
    fn look(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap().to_lowercase();
            for company in ["xtask", "more trees", "moretrees"] {
                assert!(!text.contains(company), "{} says `{company}`", path.display());
            }
        }
    }
    look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}

/// Every help is in its own words.
fn helps(bookshed: &Bookshed) {
    let help = bookshed.done("--help");
    assert!(help.starts_with("Moves the card index of Bookshed into its catalogue"), "{help}");
    assert!(help.contains("Usage: bookshed [OPTIONS] <COMMAND>"), "{help}");
    assert!(help.contains("  bookshed trace card 4711 "), "{help}");
    let listed: Vec<&str> =
        help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' ')).collect();
    for name in
        ["demo", "plan", "migrate", "work", "status", "constraints", "quarantine", "trace", "lineage", "try", "card"]
    {
        assert!(listed.iter().any(|line| line.split(' ').next() == Some(name)), "{name} is missing: {help}");
        bookshed.done(&format!("{name} --help"));
    }
    for name in ["constraints list", "constraints restore", "quarantine list", "quarantine show", "quarantine export"] {
        bookshed.done(&format!("{name} --help"));
    }
    assert!(bookshed.done("quarantine replay --help").contains("bookshed quarantine replay --from mend"));
    assert!(bookshed.done("completions bash").contains("_bookshed"));
}

/// The sample, in files of its own.
fn demonstrates(bookshed: &Bookshed) {
    let demo = bookshed.json("demo");
    assert_eq!(demo["complete"], true, "{demo}");
    assert!(bookshed.done("demo").starts_with("All is done already: nothing was written."));
    fs::rename(bookshed.path("work"), bookshed.path("demonstrated")).unwrap();
}

/// One domain, then a run that is stopped between two chunks, then what is left.
fn migrates_in_parts(bookshed: &Bookshed) {
    let mut loans = fs::read_to_string(bookshed.path("sample/cards/loan.csv")).unwrap();
    loans.extend((0..LOANS).map(|loan| format!("{},{},Volume {loan},0.25\n", 1_000 + loan, 1 + loan % 3)));
    fs::write(bookshed.path("sample/cards/loan.csv"), loans).unwrap();
    prepare(bookshed);

    let plan = bookshed.json("plan");
    let steps: Vec<(&str, u64)> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["step"].as_str().unwrap(), step["rows"].as_u64().unwrap()))
        .collect();
    assert_eq!(steps, [("readers.readers", 4), ("loans.loans", LOANS as u64 + 6)]);
    assert_eq!(plan["snapshot"], "2026-03-01T06:00:00Z", "{plan}");
    assert!(bookshed.done("plan").contains("To move 4,010 rows: bookshed migrate"));

    let readers = bookshed.json("migrate --only readers");
    assert_eq!(outcomes(&readers, "readers.readers"), [4, 2, 1, 1], "{readers}");

    stop_between_chunks(bookshed);
    let rest = bookshed.json("migrate");
    assert_eq!(outcomes(&rest, "loans.loans"), [4_006, 2_669, 1, 1_336], "{rest}");
    assert!(bookshed.done("migrate").starts_with("All is done already: nothing was written."));
}

/// The databases of `local` with the sample, not migrated.
fn prepare(bookshed: &Bookshed) {
    fs::create_dir_all(bookshed.path("work/local")).unwrap();
    for side in ["cards", "catalogue"] {
        let file = bookshed.path(&format!("work/local/{side}.db"));
        File::create(&file).unwrap();
        let mut db = Db::open(&DbUrl::sqlite(&file), Role::Target).unwrap();
        db.batch_execute(&fs::read_to_string(bookshed.path(&format!("schema/{side}.sql"))).unwrap()).unwrap();
        load_dir(&mut db, &bookshed.path(&format!("sample/{side}"))).unwrap();
    }
}

/// Read, migrated, skipped and quarantined rows of a step, from the account of a run.
fn outcomes(account: &Value, step: &str) -> [u64; 4] {
    let found = account["steps"].as_array().unwrap().iter().find(|found| found["step"] == step).unwrap();
    ["read", "migrated", "skipped", "quarantined"].map(|outcome| found[outcome].as_u64().unwrap())
}

fn stop_between_chunks(bookshed: &Bookshed) {
    let mut command = bookshed.command("migrate");
    command.envs([("REPLANT__RUN__CHUNK_ROWS", "20"), ("REPLANT__RUN__CHUNK_MS", "0")]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(run.stderr.take().unwrap());
    let mut err = String::new();
    while !err.contains(" moves ") {
        assert!(log.read_line(&mut err).unwrap() > 0, "it ended before it began: {err}");
    }
    assert!(Command::new("kill").arg("-TERM").arg(run.id().to_string()).status().unwrap().success());
    log.read_to_string(&mut err).unwrap();
    let mut out = String::new();
    run.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let End { code, out, err } = End::of(run.wait().unwrap().code(), out, err);
    assert_eq!(code, Some(6), "{out}{err}");
    assert!(err.contains("to go on: bookshed migrate"), "{err}");
    assert!(bookshed.done("status").contains("Nobody works on it: `bookshed migrate` goes on where it stopped."));
}

/// What became of a row, of all rows, and of the money.
fn explains(bookshed: &Bookshed) {
    let trace = bookshed.done("trace card 3");
    assert!(trace.contains("quarantined (email_invalid)"), "{trace}");
    assert!(trace.contains("whole    bookshed quarantine show card 3"), "{trace}");
    assert!(bookshed.done("trace loan 12").contains("waits    for readers.readers 3"));
    assert!(
        bookshed.done("trace readers 3").contains("repair   name_trimmed of holder: \"  Ben Okri \" -> \"Ben Okri\"")
    );
    assert!(bookshed.done("quarantine show loan 14").contains("card_missing"));
    assert!(bookshed.done("quarantine list").contains("To mend them: bookshed quarantine export --out FOLDER"));
    bookshed.done("lineage --out lineage.csv");
    let lineage = fs::read_to_string(bookshed.path("lineage.csv")).unwrap();
    assert_eq!(lineage.lines().count(), 1 + 4 + LOANS + 6);
    let money = bookshed.json("status --money");
    let euros = &money["money"][0];
    assert_eq!(
        (&euros["table"], &euros["currency"], &euros["balances"]),
        (&"loan".into(), &"EUR".into(), &true.into())
    );
    assert!(bookshed.done("status --money").contains("1,004.90"), "{}", bookshed.done("status --money"));
    // A command of its own stands among the others.
    assert!(bookshed.done("card ada@example.org").contains("The Salt Road"));
    let End { code, out, err } = bookshed.run("card cleo@example.org");
    assert!(code == Some(1) && err.contains("`bookshed quarantine list` shows who waits"), "{out}{err}");
}

/// A mended card comes in, with all that waited for it.
fn mends(bookshed: &Bookshed) {
    bookshed.done("quarantine export --out mend");
    let file = bookshed.path("mend/card.csv");
    let sheet = fs::read_to_string(&file).unwrap();
    fs::write(&file, sheet.replace("cleo.example.org", "cleo@example.org")).unwrap();
    let replay = bookshed.json("quarantine replay --from mend");
    assert_eq!(replay["mended"]["card"]["email"], 1, "{replay}");
    assert_eq!(replay["steps"]["readers.readers"]["came_in"], 1, "{replay}");
    assert_eq!(replay["steps"]["loans.loans"]["came_in"], 1_335, "{replay}");
    assert_eq!(replay["quarantined"], 1, "{replay}");
    assert!(bookshed.done("trace loan 12").contains("outcome  migrated"));
    assert!(bookshed.done("card cleo@example.org").contains("A Map of Ash"));
    assert!(bookshed.done("migrate").starts_with("All is done already: nothing was written."));
}
