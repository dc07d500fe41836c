//! `user`.

use crate::calendar::{self, DAY, SNAPSHOT};
use crate::chance::{Chance, Dice};
use crate::row::Row;
use crate::words::{LANGUAGES, NO_COUNTRIES, NO_PHONES, NOTHING};
use crate::world::World;

pub(super) const COLUMNS: &[&str] = &[
    "id",
    "email",
    "first_name",
    "last_name",
    "display_name",
    "phone",
    "country",
    "lang",
    "password",
    "type",
    "credits",
    "marketing_opt_in",
    "deleted",
    "created_when",
    "updated_when",
    "last_login",
    "notes",
];

const CONSENT: &[&str] = &["on", "1", "off", "false", "y", "", "0", "yes", "maybe", "no", "true", "\\N", "n"];
const TYPES: &[(&str, u64)] =
    &[("user", 3133), ("", 1498), ("USER", 1493), ("Brand ", 43), ("brand", 45), ("admin", 50)];
const NOTES: &[&str] = &["see ticket 4471\nno reply", "spoke to on phone, \"happy\"", "VIP", "asked to be forgotten?"];
const BASE64: &[u8] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub(crate) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (users, rates) = (world.chance("user"), &world.rates.user);
    let mut dice = users.dice("row", row);
    let person = world.person(row);
    let signed_up = world.signed_up(row);

    out.show(world.ids.user.of(row));
    out.word(&world.stored_address(row));
    for (column, name) in [("first_name", person.given), ("last_name", person.family)] {
        match users.hits(column, row, rates.name_absent) {
            true => out.word(dice.of(NOTHING)),
            false => world.spelled(out, users.within(column), row, name),
        }
    }
    match display_name(world, users, row, &mut dice) {
        // Twice misread it would be longer than its column.
        Some(name) if name.len() > 120 => out.text(&name),
        Some(name) => world.spelled(out, users.within("display_name"), row, &name),
        None => out.word(dice.of(&["\\N", "\\N", ""])),
    }
    phone(world, users, row, &mut dice, out);
    if users.hits("country unknown", row, rates.country_unknown) {
        out.text(dice.of(NO_COUNTRIES));
    } else if users.hits("no country", row, rates.country_absent) {
        out.word(dice.of(&["\\N", "", "n/a"]));
    } else {
        out.text(dice.of(world.country(world.same_person(row)).spellings));
    }
    out.word(dice.weighed(LANGUAGES));
    match password(world, row) {
        Some(password) => out.text(&password),
        None => out.word(dice.of(&["\\N", "\\N", "\\N", ""])),
    }
    let kind = match (world.owned_by(row), users.hits("test", row, rates.test)) {
        (Some(brand), _) => ["brand", "Brand "][usize::from(brand % 2 == 0)],
        (None, true) => dice.of(&["test", "TEST", "user"]),
        (None, false) => dice.weighed(TYPES),
    };
    out.text(kind);
    credits(world, users, row, &mut dice, out);
    out.word(dice.of(CONSENT));
    match users.hits("deleted", row, rates.deleted) {
        true => out.text("1"),
        false => out.word(dice.weighed(&[("0", 80), ("\\N", 20)])),
    }

    match users.hits("import", row, rates.import_marker) {
        true => out.text("2019-04-01 00:00:00"),
        false => {
            let late = users.hits("late", row, rates.signed_up_late);
            let noted = if late { signed_up + dice.between(0, SNAPSHOT - DAY - signed_up) } else { signed_up };
            world.wall(out, users.within("created_when"), row, noted);
        }
    }
    let updated = SNAPSHOT - dice.between(0, SNAPSHOT - signed_up - 60);
    world.wall(out, users.within("updated_when"), row, updated);
    last_login(world, users, row, &mut dice, out);
    match dice.permille(70) {
        true => out.text(dice.of(NOTES)),
        false => out.null(),
    }
    true
}

/// What a person is called, where it says so.
pub(crate) fn display_name(world: &World, users: Chance, row: u64, dice: &mut Dice) -> Option<String> {
    let rates = &world.rates.user;
    let person = world.person(row);
    let (given, family) = (person.given, person.family);
    if users.hits("long name", row, rates.display_name_long) {
        return Some(format!("{given}_{family}-{}", "treelover".repeat(15)));
    }
    if users.hits("no display name", row, rates.display_name_absent) {
        return None;
    }
    Some(match dice.below(100) {
        0..80 => format!("{given} {family}"),
        80..90 => given.to_owned(),
        90..94 => format!("{given} 🌳"),
        94..97 => format!("{given} & co"),
        97..99 => format!("Green{given}"),
        _ => format!("The {family} family"),
    })
}

/// A hash, or what stands in its place; none where there is nothing.
pub(crate) fn password(world: &World, row: u64) -> Option<String> {
    let (users, rates) = (world.chance("user"), &world.rates.user);
    let mut dice = users.dice("password", row);
    if users.hits("no password", row, rates.password_absent) {
        return None;
    }
    if users.hits("other password", row, rates.password_other) {
        return Some(match dice.below(4) {
            0 => dice.of(&["hunter2", "trees4ever", "letmein"]).to_owned(),
            _ => format!("{:016x}{:016x}", dice.below(u64::MAX), dice.below(u64::MAX)),
        });
    }
    let mut hash = dice.of(&["$2y$10$", "$2a$10$", "$2b$12$"]).to_owned();
    let part: String = (0..5).map(|_| char::from(dice.of(BASE64))).collect();
    while hash.len() < 57 {
        hash.push_str(&part);
    }
    hash.truncate(57);
    hash.push_str("abc");
    Some(hash)
}

fn phone(world: &World, users: Chance, row: u64, dice: &mut Dice, out: &mut Row) {
    let rates = &world.rates.user;
    if users.hits("bad phone", row, rates.phone_invalid) {
        return out.text(dice.of(NO_PHONES));
    }
    if users.hits("no phone", row, rates.phone_absent) {
        return out.word(dice.weighed(&[("\\N", 84), ("n/a", 6), ("-", 5), ("", 5)]));
    }
    let pattern = dice.of(world.country(world.same_person(row)).phones);
    let digit = |mark| match mark {
        '#' => char::from(b'0' + dice.of(&[0_u8, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
        other => other,
    };
    let number: String = pattern.chars().map(digit).collect();
    out.text(&number);
}

/// The counter that nobody trusts: the sum of the entries, nearly, or something else.
fn credits(world: &World, users: Chance, row: u64, dice: &mut Dice, out: &mut Row) {
    if users.hits("no credits", row, 0.145) {
        return out.null();
    }
    let minor = super::credit_of(world, row);
    let drifted = users.hits("drifted", row, world.rates.user.credits_drifted);
    let minor = if drifted && minor != 0 { minor + dice.between(-500, 500) } else { minor };
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, rest) = (minor.abs() / 100, minor.abs() % 100);
    match (minor, dice.below(4)) {
        (0, 0) => out.text("1e-05"),
        (0, _) => out.text("0.0"),
        (_, 0) if rest % 10 == 0 => out.show(format_args!("{sign}{whole}.{rest:02}001")),
        _ => out.show(format_args!("{sign}{whole}.{rest:02}")),
    }
}

fn last_login(world: &World, users: Chance, row: u64, dice: &mut Dice, out: &mut Row) {
    let rates = &world.rates.user;
    if users.hits("odd login", row, rates.login_invalid) {
        return out.text(dice.of(&["yesterday", "12/2019", "0", "never", "0000-00-00 00:00:00"]));
    }
    if users.hits("no login", row, rates.login_absent) {
        return out.null();
    }
    let at = world.moment(row, dice).min(SNAPSHOT - DAY / 2);
    match dice.below(100) {
        0..22 => out.show(at),
        22..44 => {
            let wall = world.london.wall(at).0;
            let pair = calendar::pair;
            out.show(format_args!(
                "{}/{}/{} {}:{}",
                pair(wall.day()),
                pair(wall.month()),
                wall.year(),
                pair(wall.hour()),
                pair(wall.minute())
            ));
        }
        _ => world.wall(out, users.within("last_login"), row, at),
    }
}
