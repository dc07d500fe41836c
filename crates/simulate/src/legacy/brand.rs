//! `brand`.

use crate::calendar::SNAPSHOT;
use crate::row::Row;
use crate::words::{BRANDS, EUR, GBP, GROUPS, TRADES, USD};
use crate::world::World;

pub(super) const COLUMNS: &[&str] =
    &["id", "user_id", "name", "vat_no", "billing", "currency", "price_per_tree", "group_name", "created_when"];

const VAT: &[&str] = &["\\N", "GB123456789", " GB 999 1234 73", "", "DE811907980"];
const BILLING: &[&str] = &["cross charge", "card", "invoice", "XC", "cross_charge", "Card ", "invoice", "card"];

impl World {
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
    // The first brands, which have most of the rows, are sound.
    let sound = row < 3;

    out.show(world.ids.brand.of(row));
    match !sound && brands.hits("owner", row, rates.owner_missing) {
        true => out.null(),
        false => out.show(world.ids.user.of(world.owner(row))),
    }
    if !sound && brands.hits("no name", row, rates.name_missing) {
        out.word(dice.of(&["", "\\N"]));
    } else if !sound && brands.hits("twice", row, rates.name_twice) {
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
    let absent = !sound && brands.hits("currency", row, 0.05);
    let currency = dice.weighed(&[(GBP, 30), (EUR, 2), (USD, 1)]);
    match absent {
        true => out.null(),
        false => world.currency(out, brands.within("price"), row, currency),
    }
    match currency {
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
