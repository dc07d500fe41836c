//! People: who stands behind a user, and under which address.

use crate::chance::{Chance, Dice, strata};
use crate::spell;
use crate::words::{DOMAINS, FAMILY, GIVEN, INTERNATIONAL};
use crate::world::World;

/// A person: the one behind all users of a group.
pub(crate) struct Person {
    pub(crate) given: &'static str,
    pub(crate) family: &'static str,
    /// As the person would write it.
    pub(crate) address: String,
}

impl World {
    /// The user whose person this one is: another one's, for a duplicate. Of every block one row is a duplicate of a row some
    /// blocks before, so that nobody is duplicated twice by chance, and at times a duplicate of a duplicate.
    pub(crate) fn same_person(&self, user: u64) -> u64 {
        let mut row = user;
        while let Some(before) = self.duplicate_of(row) {
            row = before;
        }
        row
    }

    /// The row that a duplicate repeats.
    pub(crate) fn duplicate_of(&self, user: u64) -> Option<u64> {
        let users = self.chance("user");
        let size = strata(self.rates.user.duplicate).max(2);
        let block = user / size;
        if users.number("duplicate", block) % size != user % size {
            return None;
        }
        let before = block.checked_sub(1 + users.number("back", 0) % 16)?;
        Some(before * size + users.number("original", block) % size)
    }

    pub(crate) fn person(&self, user: u64) -> Person {
        let row = self.same_person(user);
        let mut dice = self.chance("people").dice("name", row);
        let ((given, first), (family, last)) = (dice.of(GIVEN), dice.of(FAMILY));
        let domain = match self.chance("people").hits("international", row, self.rates.email.international) {
            true => dice.of(INTERNATIONAL),
            false => dice.weighed(DOMAINS),
        };
        let initial = &first[..1];
        let address = match dice.below(4) {
            0 => format!("{first}{last}{row}@{domain}"),
            1 => format!("{initial}.{last}{row}@{domain}"),
            2 => format!("{first}+trees.{last}{row}@{domain}"),
            _ => format!("{first}_{last}{row}@{domain}"),
        };
        Person { given, family, address }
    }

    /// Whether a user is one of the team's tests.
    pub(crate) fn is_test(&self, user: u64) -> bool {
        let users = self.chance("user");
        users.hits("test", user, self.rates.user.test) || self.refused_owner(user) == Some(true)
    }

    /// Whether a user has no valid address.
    pub(crate) fn has_no_address(&self, user: u64) -> bool {
        let users = self.chance("user");
        users.hits("no address", user, self.rates.user.email_invalid) || self.refused_owner(user) == Some(false)
    }

    /// Of an owner of a brand that is refused as a user, whether as a test. Every other one is.
    fn refused_owner(&self, user: u64) -> Option<bool> {
        let brand = self.owned_by(user)?;
        // The first brands have so many rows that all of them would be lost with it.
        let refused = brand > 2 && self.chance("brand").hits("refused", brand, self.rates.brand.owner_refused);
        refused.then_some(brand / strata(self.rates.brand.owner_refused) % 2 == 0)
    }

    /// The address as the legacy database has it; `\N` for none.
    pub(crate) fn stored_address(&self, user: u64) -> String {
        let users = self.chance("user");
        let person = self.person(user);
        let mut dice = users.dice("address", user);
        if self.has_no_address(user) {
            return spell::invalid(&person.address, &mut dice);
        }
        if self.is_test(user) {
            let (local, _) = person.address.split_once('@').unwrap_or_default();
            return format!("{local}@{}", dice.of(&["example.com", "moretrees.test"]));
        }
        match self.duplicate_of(user) {
            Some(_) => spell::otherwise(&person.address, &mut dice),
            None => spell::address(&person.address, users.within("email"), user, &self.rates.email),
        }
    }

    /// An address that a person gives elsewhere, spelled as it comes.
    pub(crate) fn given_address(&self, chance: Chance, row: u64, user: u64) -> String {
        spell::address(&self.person(user).address, chance, row, &self.rates.email)
    }

    /// A friend who has no account, or none that is known.
    pub(crate) fn friend(&self, dice: &mut Dice) -> String {
        let number = dice.below(self.sizes.users * 2);
        let domain = if dice.permille(60) { dice.of(INTERNATIONAL) } else { dice.weighed(DOMAINS) };
        format!("friend{number}@{domain}")
    }
}
