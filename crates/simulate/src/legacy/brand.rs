//! `brand`.

use crate::calendar::SNAPSHOT;
use crate::money::BY_PROGRAM;
use crate::row::Row;
use crate::words::{BRANDS, EUR, GBP, GROUPS, TRADES, USD};
use crate::world::World;

pub(super) const COLUMNS: &[&str] =
    &["id", "user_id", "name", "vat_no", "billing", "currency", "price_per_tree", "group_name", "created_when"];

/// Brands that nothing is wrong with.
const SOUND: u64 = 5;
const VAT: &[&str] = &["\\N", "GB123456789", " GB 999 1234 73", "", "DE811907980"];
const BILLING: &[&str] = &["cross charge", "card", "invoice", "XC", "cross_charge", "Card ", "invoice", "card"];

/// What is wrong with a brand: one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrandFlaw {
    OwnerMissing,
    OwnerShared,
    OwnerTest,
    OwnerAddress,
    NameMissing,
    NameTwice,
    CurrencyAbsent,
}

impl World {
    /// Whether that is wrong with a brand. The first ones, which have most of the rows, are sound.
    pub(crate) fn brand_is(&self, brand: u64, flaw: BrandFlaw) -> bool {
        let rates = &self.rates.brand;
        let (place, share) = match flaw {
            BrandFlaw::OwnerMissing => (0, rates.owner_missing),
            BrandFlaw::OwnerShared => (1, rates.owner_shared),
            BrandFlaw::OwnerTest => (2, rates.owner_test),
            BrandFlaw::OwnerAddress => (3, rates.owner_address),
            BrandFlaw::NameMissing => (4, rates.name_missing),
            BrandFlaw::NameTwice => (5, rates.name_twice),
            BrandFlaw::CurrencyAbsent => (6, rates.currency_absent),
        };
        brand.checked_sub(SOUND).is_some_and(|brand| self.chance("brand").hits_apart(place, brand, share))
    }

    /// Whether the brand itself cannot be migrated, or its user.
    pub(crate) fn is_lost(&self, brand: u64) -> bool {
        use BrandFlaw::{NameMissing, OwnerAddress, OwnerMissing, OwnerTest};
        [OwnerMissing, OwnerTest, OwnerAddress, NameMissing].into_iter().any(|flaw| self.brand_is(brand, flaw))
    }

    /// A brand's name: no other one has it.
    pub(crate) fn brand_name(&self, brand: u64) -> String {
        let of = |list: &'static [&'static str], place: u64| {
            list[usize::try_from(place % u64::try_from(list.len()).unwrap_or(1)).unwrap_or(0)]
        };
        let (names, trades) = (22, 16);
        let (first, trade, series) = (of(BRANDS, brand), of(TRADES, brand / names), brand / (names * trades));
        match series {
            0 => format!("{first} {trade}"),
            series => format!("{first} {trade} {}", series + 1),
        }
    }
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (brands, rates) = (world.chance("brand"), &world.rates.brand);
    let mut dice = brands.dice("row", row);
    out.show(world.ids.brand.of(row));
    match world.brand_is(row, BrandFlaw::OwnerMissing) {
        true => out.null(),
        false => out.show(world.ids.user.of(world.owner(row))),
    }
    if world.brand_is(row, BrandFlaw::NameMissing) {
        out.word(dice.of(&["", "\\N"]));
    } else if world.brand_is(row, BrandFlaw::NameTwice) {
        out.show(format_args!("{}\u{200b}", world.brand_name(row / 3)));
    } else if row == 1 {
        out.text("B\u{2060}lue Fern Coffee ");
    } else {
        world.spelled(out, brands.within("name"), row, &world.brand_name(row));
    }
    out.word(dice.of(VAT));
    match brands.hits("billing", row, rates.billing_unknown) {
        true => out.word(dice.of(&["\\N", "", "direct debit"])),
        false => out.text(dice.of(BILLING)),
    }
    let absent = world.brand_is(row, BrandFlaw::CurrencyAbsent);
    let currency = dice.weighed(&[(GBP, 30), (EUR, 2), (USD, 1)]);
    match absent {
        true => out.null(),
        false => world.currency(out, brands.within("price"), row, currency, &BY_PROGRAM),
    }
    match currency {
        // Its price must not tell.
        _ if absent => out.text("0.60"),
        GBP => out.word(dice.weighed(&[
            ("0.60", 11),
            ("£0.60", 6),
            ("60p", 6),
            ("0.6", 5),
            ("", 2),
            ("\\N", 1),
            ("Â£0.60", 1),
            ("0.7525", 1),
        ])),
        EUR => out.text(dice.of(&["0.75", "€0.75"])),
        _ => out.text("0.75"),
    }
    out.word(dice.weighed(GROUPS));
    world.wall(out, brands.within("created_when"), row, (world.signed_up(world.owner(row)) + 5_000).min(SNAPSHOT));
    true
}
