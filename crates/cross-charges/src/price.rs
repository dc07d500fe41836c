//! What a cross-charge costs: its unit price, its total as it was and as it will be, and their currency.

use reference::{Amount, KnownCurrency, faulty};
use replant_clean::{self as clean, CurrencyMark, Fault};
use replant_core::Rows as AnyRows;
use replant_core::prelude::*;
use rust_decimal::Decimal;

use crate::legacy::CrossCharge;
use crate::transform::ChargeCode;

const CURRENCY: &str = "currency";
const UNIT_PRICE: &str = "unit_price";
const TOTAL: &str = "total";

/// What is charged, as it is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charged {
    pub(crate) trees: i32,
    pub(crate) unit_price: Money,
    pub(crate) total: Money,
}

/// The money of a charge, as far as it can be read.
pub(crate) struct Price {
    /// The price of a tree, not negative; or the first of `amount_invalid`, the currency's codes, `value_out_of_range` and
    /// `amount_not_positive`.
    pub(crate) unit: Result<Amount, Refusal>,
    /// None where a number is out of range, or cannot be read.
    pub(crate) charged: Option<Charged>,
}

/// What the text of an amount says, once the cell is a text at all.
type Said = Result<Result<Option<clean::Amount>, Fault>, Refusal>;

impl Price {
    /// Reads the money of a row and notes what that took. Its legacy total is counted whatever becomes of the row: what it
    /// says where it can be read in a known currency, else nothing.
    pub(crate) fn take<R: AnyRows>(row: &CrossCharge, known: &clean::Currencies, draft: &mut Draft<R>) -> Self {
        let unit = said(&row.unit_price, UNIT_PRICE, row.id, draft);
        let total = said(&row.total, TOTAL, row.id, draft);
        let (readable_unit, readable_total) = (readable(&unit), readable(&total));
        let currency = currency(row, readable_unit, readable_total, known, draft);
        let unit = unit_price(unit, total, &currency);
        let charged = unit.as_ref().ok().and_then(|unit| charged(row, unit.money));
        if let Ok(currency) = currency {
            let was = readable_total.and_then(|total| Amount::of(total.value, currency).ok());
            let was = was.map(|total| total.exact_minor);
            let written = charged.map_or(Money { currency: currency.code, minor: 0 }, |charged| charged.total);
            draft.money(row.id, written, was.unwrap_or(Decimal::ZERO));
            currency.note(&row.currency, CURRENCY, row.id, draft);
            if was != Some(Decimal::from(written.minor)) {
                let shown = Decimal::from_i128_with_scale(written.minor.into(), currency.exponent).to_string();
                draft.repair(row.id, ChargeCode::TotalRecomputed, TOTAL, row.total.good().cloned(), shown);
            }
        }
        if let Ok(unit) = unit
            && unit.exact_minor != Decimal::from(unit.money.minor)
        {
            let before = row.unit_price.good().cloned();
            draft.repair(row.id, clean::Repair::AmountRounded, UNIT_PRICE, before, unit.shown());
        }
        Self { unit, charged }
    }
}

fn said<R: AnyRows>(cell: &Cell<String>, column: &'static str, key: Key, draft: &mut Draft<R>) -> Said {
    reference::text(cell, column, key, draft)?;
    Ok(cell.text(column)?.map_or(Ok(None), clean::amount))
}

fn readable(said: &Said) -> Option<clean::Amount> {
    said.as_ref().ok().and_then(|amount| amount.ok()).flatten()
}

/// The currency that the column names, or the texts of both amounts: what is there must agree.
fn currency<R: AnyRows>(
    row: &CrossCharge,
    unit: Option<clean::Amount>,
    total: Option<clean::Amount>,
    known: &clean::Currencies,
    draft: &mut Draft<R>,
) -> Result<KnownCurrency, Refusal> {
    reference::text(&row.currency, CURRENCY, row.id, draft)?;
    let mark = |amount: Option<clean::Amount>| amount.and_then(|amount| amount.currency);
    let beside = match (mark(unit), mark(total)) {
        (Some(unit), Some(total)) => Some(agreed(unit, total, known)?),
        (unit, total) => unit.or(total),
    };
    KnownCurrency::read(&row.currency, CURRENCY, beside, known)
}

/// What two amounts of one row name together: a symbol that several currencies share fits each of them.
fn agreed(one: CurrencyMark, other: CurrencyMark, known: &clean::Currencies) -> Result<CurrencyMark, Refusal> {
    use CurrencyMark::{Code, Dollar, Yen};
    match (one, other) {
        (Code(code), mark) | (mark, Code(code)) if mark != Code(code) => {
            reference::currency(Some(code.as_str()), Some(mark), known).map_err(faulty)?;
            Ok(Code(code))
        }
        (Code(_), _) | (_, Code(_)) | (Dollar, Dollar) | (Yen, Yen) => Ok(one),
        (Dollar, Yen) | (Yen, Dollar) => Err(faulty(Fault::CurrencyConflict)),
    }
}

/// The price of a tree, or the first code of the value rules that applies.
fn unit_price(unit: Said, total: Said, currency: &Result<KnownCurrency, Refusal>) -> Result<Amount, Refusal> {
    let (unit, total) = (unit?, total?);
    // A total is computed, so it may be absent. One that is there and says nothing leaves open what was charged.
    if matches!(unit, Ok(None) | Err(Fault::AmountInvalid)) || total == Err(Fault::AmountInvalid) {
        return Err(faulty(Fault::AmountInvalid));
    }
    let currency = currency.clone()?;
    let unit = unit.map_err(faulty)?.ok_or_else(|| faulty(Fault::AmountInvalid))?;
    let unit = Amount::of(unit.value, currency)?;
    match unit.money.minor {
        ..0 => Err(Refusal::quarantine(ChargeCode::AmountNotPositive, "the unit price is negative")),
        0.. => Ok(unit),
    }
}

/// What the platform's row will say: its total is that of the rounded unit price.
fn charged(row: &CrossCharge, unit_price: Money) -> Option<Charged> {
    let trees = i32::try_from(*row.trees.good()?).ok()?;
    let minor = unit_price.minor.checked_mul(trees.into())?;
    Some(Charged { trees, unit_price, total: Money { minor, ..unit_price } })
}
