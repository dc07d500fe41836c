//! The world that is made up: its sizes, its people, and who does what.

use crate::calendar::{self, London, SNAPSHOT};
use crate::chance::{Chance, Dice, shuffled, unshuffled};
use crate::legacy::BrandFlaw;
use crate::money::{Limits, Money};
use crate::rates::{Rates, TextRates};
use crate::row::Row;
use crate::sizes::{Ids, Sizes};
use crate::words::{COUNTRIES, CURRENCIES, Country, GBP};

/// The ids of the legacy tables.
#[derive(Debug)]
pub(crate) struct AllIds {
    pub(crate) user: Ids,
    pub(crate) brand: Ids,
    pub(crate) project: Ids,
    pub(crate) plantation: Ids,
    pub(crate) transaction: Ids,
    pub(crate) subscription: Ids,
    pub(crate) invoice: Ids,
    pub(crate) transfer: Ids,
    pub(crate) charge: Ids,
    pub(crate) credit: Ids,
}

#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    pub(crate) rates: Rates,
    pub(crate) sizes: Sizes,
    pub(crate) ids: AllIds,
    pub(crate) london: London,
    people: Chance,
}

impl World {
    pub(crate) fn new(rows: u64, seed: u64, rates: Rates) -> Self {
        let ids = |table, first, block| Ids::new(first, block, Chance::of(seed, table).within("id"));
        Self {
            seed,
            rates,
            sizes: Sizes::of(rows),
            ids: AllIds {
                user: ids("user", 101, 80),
                brand: ids("brand", 11, 10),
                project: ids("project", 2, 0),
                plantation: ids("plantation", 5_000, 0),
                transaction: ids("finance_transaction", 1_001, 95),
                subscription: ids("subscription", 51, 62),
                invoice: ids("invoice", 21, 28),
                transfer: ids("bank_transfer", 30, 0),
                charge: ids("cross_charge", 60, 0),
                credit: ids("credit_entry", 300, 0),
            },
            london: London::new(),
            people: Chance::of(seed, "people"),
        }
    }

    pub(crate) fn chance(&self, table: &str) -> Chance {
        Chance::of(self.seed, table)
    }

    // Who.

    /// A user: a few of them again and again, most of them now and then.
    pub(crate) fn some_user(&self, dice: &mut Dice) -> u64 {
        let skew = &self.rates.skew;
        let user = match dice.share() {
            part if part < skew.owners => self.owner(self.some_brand(dice)),
            part if part < skew.owners + skew.regulars => {
                shuffled(dice.rank(self.sizes.users), self.sizes.users, self.seed)
            }
            _ => dice.below(self.sizes.users),
        };
        // Nobody reaches those without an address; they do less.
        if self.has_no_address(user) && dice.one_in(2) { dice.below(self.sizes.users) } else { user }
    }

    /// A brand: the first one more often than all others together, then ever fewer.
    pub(crate) fn some_brand(&self, dice: &mut Dice) -> u64 {
        if dice.share() < self.rates.skew.first_brand {
            return 0;
        }
        let brand = dice.rank(self.sizes.brands);
        // A brand that is lost takes its rows along: it was never large.
        if self.is_lost(brand) && dice.permille(700) { 1 } else { brand }
    }

    /// A user who is refused: as a test, or for want of an address.
    pub(crate) fn refused_user(&self, dice: &mut Dice, as_test: bool) -> u64 {
        let from = dice.below(self.sizes.users);
        let refused = |user: &u64| if as_test { self.is_test(*user) } else { self.has_no_address(*user) };
        (from..self.sizes.users).chain(0..from).find(refused).unwrap_or(from)
    }

    /// Such a user for a row, in tables that would hardly have one by chance.
    pub(crate) fn refused_for(&self, chance: Chance, row: u64) -> Option<u64> {
        let as_test = chance.hits_apart(0, row, 0.004);
        let refused = as_test || chance.hits_apart(1, row, 0.004);
        refused.then(|| self.refused_user(&mut chance.dice("refused", row), as_test))
    }

    /// The user of a brand, its own `owner_missing` aside.
    pub(crate) fn owner(&self, brand: u64) -> u64 {
        let brand = if self.brand_is(brand, BrandFlaw::OwnerShared) { brand - 1 } else { brand };
        let place = shuffled(brand, self.sizes.brands, self.seed);
        let every = self.sizes.users / self.sizes.brands;
        (place * every + every / 2).min(self.sizes.users - 1)
    }

    /// The brand that a user owns, or one of them.
    pub(crate) fn owned_by(&self, user: u64) -> Option<u64> {
        let every = self.sizes.users / self.sizes.brands;
        let place = user / every;
        if place >= self.sizes.brands || place * every + every / 2 != user {
            return None;
        }
        let brand = unshuffled(place, self.sizes.brands, self.seed);
        (self.owner(brand) == user).then_some(brand)
    }

    pub(crate) fn signed_up(&self, user: u64) -> i64 {
        calendar::signed_up(user, self.sizes.users)
    }

    pub(crate) fn country(&self, user: u64) -> &'static Country {
        let mut dice = self.people.dice("country", user);
        let weights: u64 = COUNTRIES.iter().map(|country| country.weight).sum();
        let mut left = dice.below(weights);
        COUNTRIES
            .iter()
            .find(|country| match left.checked_sub(country.weight) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(&COUNTRIES[0])
    }

    /// The currency that a user pays in: often that of the country, mostly pounds.
    pub(crate) fn currency_of(&self, user: u64) -> usize {
        let mut dice = self.people.dice("currency", user);
        if self.owned_by(user).is_some() {
            return if dice.permille(880) { GBP } else { dice.weighed(&WEIGHED) };
        }
        match dice.below(100) {
            0..45 => self.country(user).currency,
            45..75 => GBP,
            _ => dice.weighed(&WEIGHED),
        }
    }

    /// A moment in a user's time on the site, rather a late one.
    pub(crate) fn moment(&self, user: u64, dice: &mut Dice) -> i64 {
        let span = SNAPSHOT - 120 - self.signed_up(user);
        SNAPSHOT - 60 - dice.fade(span)
    }

    /// The id of a user as another table has it: wrong at times.
    pub(crate) fn user_id(&self, chance: Chance, row: u64, user: u64) -> u64 {
        if chance.hits("user missing", row, self.rates.link.user_missing) {
            let mut dice = chance.dice("which missing", row);
            return match dice.below(4) {
                0 => 0,
                _ => self.missing_user(&mut dice),
            };
        }
        self.ids.user.of(user)
    }

    pub(crate) fn missing_user(&self, dice: &mut Dice) -> u64 {
        match dice.below(3) {
            0 => self.ids.user.of(self.sizes.users) + 5_000,
            _ => self.ids.user.missing(dice.below(self.sizes.users / 80)),
        }
    }

    // Cells that many tables have.

    /// A time on the site, as London's clocks showed it.
    pub(crate) fn wall(&self, out: &mut Row, chance: Chance, row: u64, at: i64) {
        match calendar::odd(chance, row, &self.rates.time) {
            Some(odd) => odd.write(out),
            None => out.show(self.london.wall(at)),
        }
    }

    pub(crate) fn spelled(&self, out: &mut Row, chance: Chance, row: u64, text: &str) {
        out.text(&crate::spell::text(text, chance, row, &self.rates.text));
    }

    /// The same where people wrote more, and copied it from elsewhere: four times as dirty.
    pub(crate) fn pasted(&self, out: &mut Row, chance: Chance, row: u64, text: &str) {
        let TextRates { invisible, mojibake, entity } = self.rates.text;
        let rates = TextRates { invisible: invisible * 4.0, mojibake: mojibake * 4.0, entity: entity * 4.0 };
        out.text(&crate::spell::text(text, chance, row, &rates));
    }

    pub(crate) fn amount(&self, out: &mut Row, chance: Chance, row: u64, money: Money, limits: &Limits) {
        crate::money::amount(out, chance, row, &self.rates.money, money, limits);
    }

    pub(crate) fn currency(&self, out: &mut Row, chance: Chance, row: u64, currency: usize, limits: &Limits) {
        crate::money::currency(out, chance, row, &self.rates.money, currency, limits);
    }
}

const WEIGHED: [(usize, u64); CURRENCIES.len()] = {
    let mut weighed = [(0, 0); CURRENCIES.len()];
    let mut place = 0;
    while place < CURRENCIES.len() {
        weighed[place] = (place, CURRENCIES[place].weight);
        place += 1;
    }
    weighed
};

/// Prices that come up again and again, in pence.
const PRICES: &[(i64, u64)] =
    &[(300, 20), (500, 15), (60, 14), (600, 14), (1_000, 11), (1_200, 10), (2_500, 6), (120, 4), (4_999, 4), (180, 3)];

/// What someone pays: a price of the list, or any amount, most of them small.
pub(crate) fn some_price(dice: &mut Dice, currency: usize) -> Money {
    let minor = match dice.below(1000) {
        0..720 => dice.weighed(PRICES),
        720..990 => 60 + dice.fade(3_000),
        _ => 2_000 + dice.fade(300_000),
    };
    in_currency(minor, currency)
}

/// So many pence, in another currency's minor units: about as much, without cents of fils.
pub(crate) fn in_currency(pence: i64, currency: usize) -> Money {
    Money {
        minor: pence * CURRENCIES[currency].tree / 60 / 10 * 10
            + if CURRENCIES[currency].digits == 3 { 0 } else { pence % 10 },
        currency,
    }
}
