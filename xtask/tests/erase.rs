//! Persons of the sample who ask to be forgotten: what is left of them in the ledger, and what comes back.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod migrated;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl};
use regex::Regex;
use replant_core::db::{Backend, Db};
use replant_core::ledger::{close, history};
use replant_core::{
    Erase, Erased, Extent, LedgerError, MoneyTotals, Outcome, RunError, Silent, Stop, Undo, Verdict, diesel,
};
use replant_testkit::dump;

use migrated::Sample;
use world::{Target, platform, postgres, sqlite};

/// Addresses of persons: each stands in several legacy tables. The first has an account that was there before, the third is of several
/// users, and the last names nobody who has an account.
const PERSONS: [&str; 4] =
    ["sipho_janssens405@gmail.com", "c.brown705@gmail.com", "a.nagy1122@hotmail.com", "k.obrien2706@bäume.de"];

/// What is written into the rows of a person, so that it is known again: nobody else has it.
struct Canary {
    address: String,
    texts: Vec<String>,
}

impl Canary {
    fn new(nth: usize, address: &str) -> Self {
        let words = ["given", "family", "shown", "noted"].map(|word| format!("qz{nth}{word}xv"));
        let mut texts = words.to_vec();
        texts.extend([
            format!("44770090{nth}123"),
            format!("$2b$12${}", format!("{nth}").repeat(53)),
            address.to_owned(),
        ]);
        // As it is normalised: IDNA.
        texts.extend(address.contains('ä').then(|| address.replace("bäume", "xn--bume-loa")));
        Self { address: address.to_owned(), texts }
    }

    /// Writes it into the legacy rows of its person.
    fn written(&self, sample: &Sample, address: &str) {
        let [given, family, shown, noted, phone, password, _] = &self.texts[..7] else { unreachable!("seven texts") };
        sample.legacy(&format!(
            "UPDATE user SET first_name = '{given}', last_name = '{family}', display_name = '{shown}', notes = '{noted}', \
             phone = '+{phone}', password = '{password}', country = 'United Kingdom' WHERE lower(trim(email)) = '{address}'"
        ));
    }

    /// Whether a text holds something of it.
    fn is_in(&self, text: &str) -> bool {
        // Somebody else's address ends in it.
        let text = text.to_lowercase().replace(&format!("jo{}", self.address), "");
        self.texts.iter().any(|known| text.contains(&known.to_lowercase()))
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn lines(db: &mut Db, sql: &str) -> Vec<String> {
    diesel::sql_query(sql).load::<Line>(db).unwrap().into_iter().map(|found| found.line).collect()
}

/// All that the ledger holds, by table: texts as they are, what is packed unpacked.
fn ledger(target: &Target) -> BTreeMap<String, Vec<String>> {
    let db = &mut target.open();
    let tables = match db.backend() {
        Backend::Postgres => "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = 'replant'",
        _ => "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name LIKE 'replant_%'",
    };
    let bytes = Regex::new(r"(?i)(?:\\x|x')([0-9a-f]{2,})").unwrap();
    let mut all = BTreeMap::new();
    for table in lines(db, tables) {
        let rows: Vec<String> = match db.backend() {
            Backend::Postgres => lines(db, &format!("SELECT t::text AS line FROM replant.{table} t")),
            _ => {
                let rows = dump::dump(db, &table).unwrap().rows.into_iter();
                rows.map(|row| row.into_iter().flatten().collect::<Vec<_>>().join("\n")).collect()
            }
        };
        let told = rows.into_iter().map(|row| {
            let packed = bytes.captures_iter(&row).map(|found| unpacked(&found[1])).collect::<Vec<_>>();
            format!("{row}\n{}", packed.join("\n"))
        });
        all.insert(table, told.collect());
    }
    all
}

/// Bytes in hexadecimal as text, with all that is compressed in them.
fn unpacked(hex: &str) -> String {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = hex.as_bytes().chunks_exact(2).map(byte).collect();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for at in (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&MAGIC)) {
        let mut frame = zstd::stream::read::Decoder::new(&bytes[at..]).unwrap().single_frame();
        let mut content = Vec::new();
        if std::io::Read::read_to_end(&mut frame, &mut content).is_ok() {
            text.push_str(&String::from_utf8_lossy(&content));
        }
    }
    text
}

/// The tables of the ledger that hold something of somebody.
fn held_in(target: &Target, canary: &Canary) -> Vec<(String, usize)> {
    let held = |(table, rows): (String, Vec<String>)| {
        let rows = rows.iter().filter(|row| canary.is_in(row)).count();
        (rows > 0).then_some((table, rows))
    };
    ledger(target).into_iter().filter_map(held).collect()
}

/// The rows of the platform that hold something of somebody.
fn on_platform(target: &Target, canary: &Canary) -> Vec<String> {
    let mut found = Vec::new();
    for table in platform(target) {
        let rows = table.rows.iter().map(|row| row.iter().flatten().cloned().collect::<Vec<_>>().join("|"));
        found.extend(rows.filter(|row| canary.is_in(row)).map(|row| format!("{}: {row}", table.name)));
    }
    found
}

type Counted = (BTreeMap<(String, String), usize>, MoneyTotals);

/// What became of all rows, by step, and their money.
fn counted(target: &Target) -> Counted {
    let db = &mut target.open();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for step in history::known_steps(db).unwrap() {
        history::lineage(db, &step, |row| {
            let end = format!("{:?} {:?}", row.outcome, row.code);
            *counts.entry((step.name.clone(), end)).or_default() += 1;
            Ok::<_, LedgerError>(())
        })
        .unwrap();
    }
    (counts, close::money(db, None).unwrap())
}

fn erase(sample: &Sample, address: &str) -> Result<Erased, RunError> {
    let erase = Erase { address: address.to_owned(), why: format!("asked by {address} on paper") };
    let would = sample.migration().would_erase(&erase, &Stop::default(), &Silent)?;
    let erased = sample.migration().erase(&erase, &Stop::default(), &Silent)?;
    assert_eq!((&would.steps, &would.platform), (&erased.steps, &erased.platform), "it is what was shown");
    Ok(erased)
}

/// Nothing that somebody has to see to.
#[track_caller]
fn assert_sound(what: &str, sample: &Sample, erased: &[Erased]) {
    let (verified, found) = sample.verify();
    let worse: Vec<_> = found.iter().filter(|one| one.verdict.is_alarm() || one.verdict.is_stale()).collect();
    assert_eq!(worse, Vec::<&replant_core::Difference>::new(), "{what}");
    assert!(!verified.has_alarms() && !verified.is_stale(), "{what}: {verified:?}");
    assert!(verified.money.iter().all(|money| money.owners.is_empty()), "{what}");
    let touched: BTreeSet<i64> = erased
        .iter()
        .flat_map(|one| &one.steps)
        .flat_map(|step| step.whole.iter().chain(&step.cells))
        .copied()
        .collect();
    for one in &found {
        let is_theirs = one.legacy_key.is_none_or(|key| touched.contains(&key));
        assert!(is_theirs && matches!(one.verdict, Verdict::Changed | Verdict::Removed), "{what}: {one:?}");
    }
}

fn nobody_comes_back(target: Target) {
    let sample = Sample::before(target);
    let canaries: Vec<Canary> = (0..).zip(PERSONS).map(|(nth, address)| Canary::new(nth, address)).collect();
    for (canary, address) in canaries.iter().zip(PERSONS) {
        canary.written(&sample, address);
    }
    let odd = &canaries[1];
    let [given, family, ..] = &odd.texts[..] else { unreachable!("seven texts") };
    let address = &odd.address;
    // What is no address to the rules, but holds one; one that ends in another; the address of somebody else beside it.
    sample.legacy(&format!(
        "UPDATE user SET email = 'Ava <{address}>', first_name = '{given}', last_name = '{family}' WHERE id = (SELECT max(id) FROM user); \
         UPDATE bank_transfer SET payer_email = 'X <{address}>' WHERE id = (SELECT min(id) FROM bank_transfer WHERE payer_email LIKE '%@%'); \
         UPDATE finance_transaction SET meta = rtrim(rtrim(meta), '}}') || ', \"note\": \"for {address}\"}}' \
          WHERE id IN (SELECT id FROM finance_transaction WHERE json_valid(meta) AND meta LIKE '%@%}}' AND meta NOT LIKE '%{address}%' ORDER BY id LIMIT 3)"
    ));
    sample.site(&format!("UPDATE accounts SET email = 'jo{address}' WHERE id = (SELECT min(id) FROM accounts)"));
    sample.migrate();
    // The ledger and the platform do hold them: else the rest would prove nothing.
    for canary in &canaries {
        let held = held_in(&sample.target, canary);
        assert!(held.iter().any(|(table, _)| table == "replant_seen"), "{held:?}");
        assert!(!on_platform(&sample.target, canary).is_empty());
    }
    let before = counted(&sample.target);
    assert_sound("before", &sample, &[]);

    let mut erased = Vec::new();
    for canary in &canaries {
        let one = erase(&sample, &canary.address).unwrap();
        assert_eq!(held_in(&sample.target, canary), [], "{}", canary.address);
        assert!(!one.platform.is_empty(), "what stays is named");
        erased.push(one);
    }
    let keys = |nth: usize, step: &str| {
        let of: &Erased = &erased[nth];
        of.steps.iter().find(|one| one.step == step).map_or((0, 0), |one| (one.whole.len(), one.cells.len()))
    };
    assert_eq!(keys(0, "users.accounts"), (1, 0));
    assert_eq!(keys(2, "users.accounts").0, 3, "the whole group");
    assert_eq!((keys(0, "plantations.plantings").1, keys(0, "bank_transfers.transfers").1), (2, 6));
    assert_eq!(counted(&sample.target), before, "erased");
    assert_sound("erased", &sample, &erased);
    // The platform holds them still: no reading of it brings them back.
    assert!(sample.migration().replay(&[], &Stop::default(), &Silent).unwrap().complete);
    for canary in &canaries {
        assert_eq!(held_in(&sample.target, canary), [], "{}", canary.address);
        assert!(!on_platform(&sample.target, canary).is_empty(), "the platform is the site's");
    }
    assert_eq!(counted(&sample.target), before, "replayed");
    assert_sound("replayed", &sample, &erased);
    let again = erase(&sample, PERSONS[0]).unwrap();
    assert_eq!((again.steps.len(), &again.platform), (0, &erased[0].platform), "done once more");
    assert!(sample.migration().replay(&[], &Stop::default(), &Silent).unwrap().complete);
    assert_eq!(counted(&sample.target), before, "done once more");
    assert_sound("done once more", &sample, &erased);
    // The site erases what it is told of.
    for holding in erased.iter().flat_map(|one| &one.platform) {
        match (holding.table, holding.id) {
            ("accounts", Some(id)) => {
                sample.site(&format!(
                    "UPDATE accounts SET email = 'gone-{id}@gone.org', display_name = 'gone', given_name = NULL, family_name = NULL, \
                     phone = NULL, password_hash = NULL WHERE id = {id}; \
                     DELETE FROM account_emails WHERE account_id = {id}; \
                     UPDATE legacy_user_map SET written_email = 'gone', written_display_name = 'gone' WHERE account_id = {id}"
                ));
            }
            ("plantings", Some(id)) => {
                sample.site(&format!("UPDATE plantings SET recipient_email = NULL WHERE id = {id}"));
            }
            ("account_emails" | "legacy_user_map", None) => {}
            other => panic!("{other:?} is named, and nothing is done about it"),
        }
    }
    let none = |what: &str| {
        for canary in &canaries {
            assert_eq!(held_in(&sample.target, canary), [], "{what}: {}", canary.address);
            assert_eq!(on_platform(&sample.target, canary), Vec::<String>::new(), "{what}: {}", canary.address);
        }
    };
    none("the site has erased them as well");

    // A later state says something else of rows of theirs, in whatever column, and the users are gone from it.
    sample.legacy("UPDATE meta SET value = '2024-05-20T23:40:00Z' WHERE name = 'snapshot_at'");
    sample.legacy("UPDATE finance_transaction SET created_when = '2024-05-05 05:05:05', meta = meta || ' ' WHERE meta LIKE '%nagy1122%'");
    sample.legacy("UPDATE user SET lang = 'fr', updated_when = '2024-05-05 05:05:05', phone = '+447700900777' WHERE first_name LIKE 'qz0%'");
    sample.legacy("DELETE FROM user WHERE first_name LIKE 'qz1%'");
    let early = erase(&sample, PERSONS[0]).unwrap_err().to_string();
    assert!(early.contains("catch up first"), "{early}");
    let caught_up = sample.migration().catch_up(&Vec::new(), &Stop::default(), &Silent).unwrap();
    assert!(caught_up.complete);
    none("caught up");
    let outcomes = |(counts, _): &Counted| {
        let mut all: BTreeMap<String, usize> = BTreeMap::new();
        for ((step, end), rows) in counts {
            let end = end.split_once(' ').map_or(&**end, |(outcome, _)| outcome);
            *all.entry(format!("{step} {end}")).or_default() += rows;
        }
        all
    };
    assert_eq!(outcomes(&counted(&sample.target)), outcomes(&before), "caught up");
    assert_eq!(counted(&sample.target).1, before.1, "caught up");
    assert_sound("caught up", &sample, &erased);

    // What the ledger said before that state is forgotten with whoever is erased after it.
    let next = sample.ours("accounts", 1, 0, "AND status = 'active' AND email NOT LIKE 'gone%'");
    let next = sample.lines(&format!("SELECT email AS line FROM accounts WHERE id = {}", next[0])).remove(0);
    erase(&sample, &next).unwrap();
    let state = Undo { extent: Extent::State(2), with_dependants: false, why: "a test".to_owned() };
    let refused = sample.migration().undo(&state, &Stop::default(), &Silent).unwrap_err().to_string();
    assert!(refused.contains("erased since"), "{refused}");

    // All of it taken back and moved anew.
    let undo = Undo { extent: Extent::Whole(Vec::new()), with_dependants: true, why: "a test".to_owned() };
    assert!(sample.migration().undo(&undo, &Stop::default(), &Silent).unwrap().complete);
    none("taken back");
    sample.migrate();
    none("moved anew");
    let migrated = |outcome: Outcome| {
        let of = |counts: &Counted| {
            let is_it = |end: &str| end.starts_with(&format!("{outcome:?}"));
            counts.0.iter().filter(|((_, end), _)| is_it(end)).map(|(_, rows)| rows).sum::<usize>()
        };
        (of(&counted(&sample.target)), of(&before))
    };
    let (now, then) = migrated(Outcome::Migrated);
    assert_eq!(now, then, "moved anew");

    // Nobody, and what is no address.
    assert!(matches!(erase(&sample, PERSONS[0]), Err(RunError::Nobody)));
    let error = erase(&sample, "not an address").unwrap_err().to_string();
    assert!(!error.contains("not an address"), "{error}");
}

#[test]
fn nobody_who_was_erased_comes_back_on_sqlite() {
    nobody_comes_back(sqlite());
}

#[test]
fn nobody_who_was_erased_comes_back_on_postgres() {
    if let Some(target) = postgres() {
        nobody_comes_back(target);
    }
}
