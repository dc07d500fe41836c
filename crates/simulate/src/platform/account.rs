//! `accounts`, `account_emails`, `legacy_user_map`.

use crate::calendar::{DAY, LAUNCH, PRELAUNCH, SNAPSHOT, Zoned};
use crate::chance::Dice;
use crate::row::Row;
use crate::words::{DOMAINS, FAMILY, GIVEN};
use crate::world::World;

pub(super) const ACCOUNTS: &[&str] = &[
    "id",
    "kind",
    "email",
    "display_name",
    "given_name",
    "family_name",
    "phone",
    "country_code",
    "locale",
    "password_hash",
    "marketing_consent",
    "status",
    "merged_into",
    "created_at",
    "last_seen_at",
    "updated_at",
];
pub(super) const EMAILS: &[&str] = &["email", "account_id"];
pub(super) const MAP: &[&str] = &[
    "legacy_user_id",
    "account_id",
    "migrated_at",
    "written_email",
    "written_display_name",
    "written_created_at",
    "written_credit_minor",
];

const FIRST: u64 = 1_000;
const LOCALES: &[&str] = &["en-GB", "en", "\\N", "fr", "en-US", "de", "es", "de-DE", "sv", "fr-FR", "nl"];

impl World {
    /// Numbers that accounts may have: those of the legacy users, whom the pre-launch migration moved or did not, then those
    /// of the native accounts.
    pub(crate) fn candidates(&self) -> u64 {
        self.sizes.users + self.natives()
    }

    #[allow(clippy::float_arithmetic, reason = "a share")]
    fn natives(&self) -> u64 {
        (self.sizes.users as f64 * self.rates.platform.native) as u64
    }

    /// Whether there is an account of that number.
    pub(super) fn has_account(&self, number: u64) -> bool {
        number >= self.sizes.users || self.was_moved(number)
    }

    /// Whether the pre-launch migration moved a user. It moved one spelling of an address once.
    fn was_moved(&self, user: u64) -> bool {
        let moved = self.chance("accounts").hits("moved", user, self.rates.user.prelaunch);
        if !moved || self.has_no_address(user) || self.is_test(user) {
            return false;
        }
        if self.duplicate_of(user).is_none() {
            return true;
        }
        let address = self.stored_address(user);
        let mut before = self.duplicate_of(user);
        while let Some(row) = before {
            if self.stored_address(row) == address {
                return false;
            }
            before = self.duplicate_of(row);
        }
        address != self.person(user).address
    }

    pub(super) fn account_id(&self, number: u64) -> u64 {
        FIRST + number
    }

    /// The legacy user whose address a native account has.
    fn same_as(&self, native: u64) -> Option<u64> {
        let accounts = self.chance("accounts");
        let user = native * self.sizes.users / self.natives().max(1);
        let known = accounts.hits("same person", native, self.rates.platform.same_person);
        if !known || self.duplicate_of(user).is_some() || self.is_test(user) {
            return None;
        }
        // Where the account of the pre-launch migration has that very text, nobody else could sign up with it.
        let taken = self.was_moved(user) && self.stored_address(user) == self.person(user).address;
        (!taken).then_some(user)
    }
}

/// A user as the pre-launch migration found it.
struct Found {
    address: String,
    name: String,
    bcrypt: Option<String>,
}

fn found(world: &World, user: u64) -> Found {
    let mut row = Row::default();
    crate::legacy::user(world, user, &mut row);
    let cells: Vec<&str> = row.cells().map(Option::unwrap_or_default).collect();
    let (address, first, last, display, password) = (cells[1], cells[2], cells[3], cells[4], cells[8]);
    let name = match (display, first, last) {
        ("", "", "") => address.to_owned(),
        ("", first, last) => format!("{first} {last}"),
        (display, ..) => display.to_owned(),
    };
    Found {
        address: address.to_owned(),
        name: name.chars().take(120).collect(),
        bcrypt: (password.len() == 60).then(|| password.to_owned()),
    }
}

pub(super) fn account(world: &World, number: u64, out: &mut Row) -> bool {
    if !world.has_account(number) {
        return false;
    }
    out.show(world.account_id(number));
    match number.checked_sub(world.sizes.users) {
        None => moved(world, number, out),
        Some(native) => opened(world, native, out),
    }
    true
}

fn moved(world: &World, user: u64, out: &mut Row) {
    let (accounts, rates) = (world.chance("accounts"), &world.rates.platform);
    let mut dice = accounts.dice("moved", user);
    let Found { address, name, bcrypt } = found(world, user);
    let changed = accounts.hits("address changed", user, rates.email_changed);
    let renamed = accounts.hits("renamed", user, rates.name_changed);
    let person = world.person(user);

    out.text("person");
    match changed {
        true => out.text(&new_address(user, &mut dice)),
        false => out.text(&address),
    }
    match renamed {
        true => out.show(format_args!("The {} family", person.family)),
        false => out.text(&name),
    }
    out.maybe(dice.permille(100).then_some(person.given));
    (0..2).for_each(|_| out.null());
    out.maybe(dice.permille(20).then_some("GB"));
    out.word(dice.of(LOCALES));
    out.maybe(bcrypt.filter(|_| dice.permille(900)));
    out.text(if dice.permille(400) { "t" } else { "f" });
    out.text(if accounts.hits("closed", user, rates.closed) { "closed" } else { "active" });
    out.null();
    match dice.permille(13) {
        true => out.text("2018-05-04 10:11:12+00"),
        false => out.show(Zoned(PRELAUNCH)),
    }
    let seen = dice.permille(450).then(|| LAUNCH + dice.between(0, SNAPSHOT + 4 * DAY - LAUNCH));
    out.maybe(seen.map(Zoned));
    let touched = changed || renamed || dice.permille(100);
    out.show(Zoned(if touched { LAUNCH + dice.between(0, SNAPSHOT - LAUNCH) } else { PRELAUNCH }));
}

/// An address that nobody has elsewhere.
fn new_address(user: u64, dice: &mut Dice) -> String {
    format!("changed.{user}@{}", dice.weighed(DOMAINS))
}

fn opened(world: &World, native: u64, out: &mut Row) {
    let accounts = world.chance("accounts");
    let mut dice = accounts.dice("opened", native);
    let ((given, first), (family, _)) = (dice.of(GIVEN), dice.of(FAMILY));
    out.text(if dice.permille(13) { "brand" } else { "person" });
    let (given, family) = match world.same_as(native) {
        Some(user) => {
            let person = world.person(user);
            out.text(&person.address);
            (person.given, person.family)
        }
        None => {
            out.show(format_args!("{first}.new{native}@{}", dice.weighed(DOMAINS)));
            (given, family)
        }
    };
    out.show(format_args!("{given} {family}"));
    out.text(given);
    out.maybe(dice.permille(500).then_some(family));
    out.maybe(dice.permille(100).then(|| format!("+4474001{:05}", dice.below(100_000))));
    out.word(dice.weighed(&[("\\N", 30), ("GB", 50), ("FR", 7), ("US", 7), ("DE", 6)]));
    out.word(dice.of(LOCALES));
    out.text(&format!("$2b$12${}", "N".repeat(53)));
    out.text(if dice.permille(400) { "t" } else { "f" });
    out.text("active");
    out.null();
    let created = LAUNCH + dice.between(0, SNAPSHOT + 2 * DAY - LAUNCH);
    out.show(Zoned(created));
    out.maybe(dice.permille(500).then(|| Zoned(created + dice.between(0, 2 * DAY))));
    out.show(Zoned(created));
}

/// Where an owner changed the address, at times the former one still belongs to the account.
pub(super) fn email(world: &World, user: u64, out: &mut Row) -> bool {
    let accounts = world.chance("accounts");
    let changed = accounts.hits("address changed", user, world.rates.platform.email_changed);
    if !changed || user % 2 == 0 || world.duplicate_of(user).is_some() || !world.was_moved(user) {
        return false;
    }
    out.text(&world.person(user).address.to_lowercase());
    out.show(world.account_id(user));
    true
}

pub(super) fn map(world: &World, user: u64, out: &mut Row) -> bool {
    if !world.was_moved(user) {
        return false;
    }
    let Found { address, name, .. } = found(world, user);
    out.show(world.ids.user.of(user));
    out.show(world.account_id(user));
    out.show(Zoned(PRELAUNCH));
    out.text(&address);
    out.text(&name);
    out.show(Zoned(PRELAUNCH));
    out.show(crate::legacy::credit_of(world, user));
    true
}
