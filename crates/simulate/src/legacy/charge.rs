//! `cross_charge`.

use jiff::civil::{Date, date};

use super::brand::BrandFlaw;
use crate::calendar::{month_name, pair};
use crate::chance::Dice;
use crate::money::{BY_HAND, Limits, Money};
use crate::row::Row;
use crate::words::{COST_CENTRES, GBP};
use crate::world::World;

pub(super) const COLUMNS: &[&str] = &[
    "id",
    "brand_id",
    "brand_name",
    "period",
    "trees",
    "unit_price",
    "total",
    "currency",
    "cost_centre",
    "invoice_no",
    "revision",
    "status",
    "created_when",
];

/// The column is short: times the trees it is beyond all.
const PRICES: Limits = Limits { huge: "9999999999999999", ..BY_HAND };
/// Months from March 2016 to February 2024.
const MONTHS: u64 = 96;

/// A charge, before anyone typed it: of a brand, a month and a cost centre, which no other row has that is no revision.
struct Charge {
    brand: u64,
    month: Date,
    centre: &'static str,
    trees: i64,
}

fn charge(world: &World, row: u64) -> Charge {
    let sizes = &world.sizes;
    // As many cost centres a month as it takes to find room for all, and few brands.
    let centres = sizes.charges.div_ceil(sizes.brands * MONTHS).clamp(4, 10);
    let (group, place) = (row / centres, row % centres);
    let groups = sizes.charges.div_ceil(centres);
    let brands = groups.div_ceil(MONTHS).clamp(3.min(sizes.brands), sizes.brands);
    let mut dice = world.chance("cross_charge").dice("group", group);
    let month = (group / brands * 41 + 17) % MONTHS;
    let months = i32::try_from(month).unwrap_or(0);
    let trees =
        1 + dice.fade(i64::try_from(month).unwrap_or(0) / 8 + 4) + if dice.permille(150) { dice.fade(150) } else { 0 };
    // One that is lost would take its charges along: another one's place, where nobody is.
    let elsewhere = (group % brands + sizes.brands / 2) % sizes.brands;
    let lost = world.is_lost(group % brands) && !world.is_lost(elsewhere);
    Charge {
        brand: if lost { elsewhere } else { group % brands },
        month: date(2016, 3, 1).saturating_add(jiff::Span::new().months(months)),
        centre: COST_CENTRES[usize::try_from(place).unwrap_or(0)],
        trees,
    }
}

pub(super) fn row(world: &World, row: u64, out: &mut Row) -> bool {
    let (charges, rates) = (world.chance("cross_charge"), &world.rates.charge);
    let mut dice = charges.dice("row", row);
    let mut source = row;
    while source > 0 && charges.hits("revised", source, rates.revised) {
        source -= 1;
    }
    let Charge { mut brand, month, centre, trees } = charge(world, source);
    // Some brands are charged once, by hand.
    if charges.hits("elsewhere", source, 0.03) {
        brand = charges.dice("where", source).below(world.sizes.brands);
    }
    if charges.hits("of a lost brand", source, 0.0045) {
        let lost = |brand: &u64| world.brand_is(*brand, BrandFlaw::NameMissing);
        brand = (brand..world.sizes.brands).chain(0..brand).find(lost).unwrap_or(brand);
    }
    let money = charges.within("unit_price");

    out.show(world.ids.charge.of(row));
    let unknown = charges.hits("brand unknown", row, rates.brand_unknown);
    match unknown || charges.hits("by name", row, rates.brand_by_name) {
        true => out.word(dice.of(&["\\N", "0", "99125"])),
        false => out.show(world.ids.brand.of(brand)),
    }
    let name = world.brand_name(brand);
    match dice.below(20) {
        _ if unknown => out.text(dice.of(&["", "Acorn Bakery", "Unknown", "ACME"])),
        0 => out.text(&name.to_uppercase()),
        1 => out.show(format_args!("  {name} ")),
        _ => world.pasted(out, charges.within("brand_name"), row, &name),
    }
    match charges.hits("period", row, rates.period_invalid) {
        true => out.text(dice.of(&["Q3 2023", "last month"])),
        false => period(month, &mut dice, out),
    }
    match charges.hits("trees", row, rates.trees_not_positive) {
        true => out.word(dice.of(&["0", "\\N", "-4"])),
        false => out.show(trees),
    }
    let pence = dice.weighed(&[(60, 40), (75, 21), (62, 20), (55, 19)]);
    let fraction = charges.hits("fraction", row, rates.price_fraction);
    if charges.hits("price", row, rates.price_invalid) {
        out.text(dice.of(&["tbc", "12.50.1.x", "12..5", "n/a"]));
    } else if fraction {
        out.show(format_args!("0.{pence}{}", dice.of(&["25", "50"])));
    } else if dice.permille(50) {
        out.show(format_args!("{pence}p"));
    } else if dice.permille(25) {
        out.show(format_args!("Â£0.{pence}"));
    } else {
        world.amount(out, money, row, Money { minor: pence, currency: GBP }, &PRICES);
    }
    let wrong = charges.hits("total", row, rates.total_wrong);
    let total = Money { minor: pence * trees + if wrong { dice.of(&[-27, 9, 27]) } else { 0 }, currency: GBP };
    match dice.below(100) {
        _ if wrong && dice.permille(500) => out.word(dice.of(&["\\N", ""])),
        0..15 => out.show(format_args!("£{}", total.plain())),
        15..27 => out.text(&total.plain().to_string().replace('.', ",")),
        _ => out.show(total.plain()),
    }
    let currency = if dice.permille(6) { dice.of(&[1, 2]) } else { GBP };
    world.currency(out, money, row, currency, &PRICES);
    match centre {
        "general" => out.word(dice.of(&["general", "\\N", "n/a", ""])),
        centre => world.pasted(out, charges.within("cost_centre"), row, centre),
    }
    match dice.permille(500) {
        true => out.show(format_args!("MT-{}", 10_000 + row)),
        false => out.null(),
    }
    match row - source {
        0 if dice.permille(20) => out.null(),
        revisions => out.show(revisions + 1),
    }
    let void = charges.hits("void", row, rates.void);
    out.word(if void {
        "void"
    } else {
        dice.weighed(&[("final", 331), ("sent", 101), ("draft", 58), ("", 38), ("\\N", 14)])
    });
    let issued = month.saturating_add(jiff::Span::new().months(1).days(4));
    match dice.below(100) {
        0 => out.word(dice.of(&["0000-00-00 00:00:00", "\\N"])),
        _ => out.show(format_args!("{issued} 09:00:00")),
    }
    true
}

fn period(month: Date, dice: &mut Dice, out: &mut Row) {
    let (year, number, name) = (month.year(), pair(month.month()), month_name(month.month()));
    match dice.below(4) {
        0 => out.show(format_args!("{number}/{year}")),
        1 => out.show(format_args!("{}-{:02}", &name[..3], year % 100)),
        2 => out.show(format_args!("{name} {year}")),
        _ => out.show(format_args!("{year}-{number}")),
    }
}
