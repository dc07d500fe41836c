//! What a planting cost: a FLOAT and its currency (rules: Money, Currency, and "no cost").

use reference::{Amount, KnownCurrency, faulty};
use replant_clean::{self as clean, Fault};
use replant_core::Rows as AnyRows;
use replant_core::prelude::*;
use rust_decimal::Decimal;

use crate::judge::PlantingCode;
use crate::legacy::Plantation;

/// A Decimal holds 28 digits. A FLOAT may have more decimals than that; those beyond these change no minor unit.
const DECIMALS: u32 = 16;

/// What the cells of a cost say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// NULL, so there is nothing for a currency to say.
    None,
    /// Less than nothing: no cost. Its currency is not judged, but the amount is counted where it can be told.
    Negative(Option<Amount>),
    /// Nothing or more.
    Known(KnownCurrency, Amount),
}

/// Reads the cost of a row without noting anything.
///
/// # Errors
/// `currency_unknown`, then `value_out_of_range`; `unforeseen` where a cell cannot be read.
pub(crate) fn read(row: &Plantation, currencies: &clean::Currencies) -> Result<Cost, Refusal> {
    let Some(value) = row.cost.read("cost")?.copied() else { return Ok(Cost::None) };
    let currency = KnownCurrency::read(&row.currency, "currency", None, currencies);
    let amount = |currency| Amount::of(decimal(value).ok_or_else(|| faulty(Fault::ValueOutOfRange))?, currency);
    if value < 0.0 {
        return Ok(Cost::Negative(currency.and_then(amount).ok()));
    }
    let currency = currency?;
    Ok(Cost::Known(currency, amount(currency)?))
}

impl Cost {
    /// Counts the cost, whatever becomes of the row, and notes what the rules change in its cells.
    ///
    /// # Errors
    /// `unforeseen` where a cell cannot be read.
    pub(crate) fn note<R: AnyRows>(self, row: &Plantation, draft: &mut Draft<R>) -> Result<(), Refusal> {
        match self {
            Self::None => {}
            Self::Negative(amount) => {
                if let Some(Amount { money, exact_minor, .. }) = amount {
                    draft.money(row.id, Money { minor: 0, ..money }, exact_minor);
                }
                draft.repair(row.id, PlantingCode::CostDropped, "cost", shown(row), None);
            }
            Self::Known(currency, amount) => {
                reference::text(&row.currency, "currency", row.id, draft)?;
                currency.note(&row.currency, "currency", row.id, draft);
                amount.note(|| shown(row), "cost", row.id, draft);
            }
        }
        Ok(())
    }

    /// What is written.
    pub(crate) fn money(self) -> Option<Money> {
        match self {
            Self::None | Self::Negative(_) => None,
            Self::Known(_, amount) => Some(amount.money),
        }
    }
}

/// The decimal that a FLOAT stands for; none where it is too large for one.
fn decimal(value: f32) -> Option<Decimal> {
    let nearly_nothing = || Decimal::new(if value < 0.0 { -1 } else { 1 }, DECIMALS);
    match clean::float(value) {
        // Away from zero: what is not nothing stays so, and is rounded to nothing by a rule that says so.
        Some(exact) if exact.scale() > DECIMALS => {
            Some(exact.round_dp_with_strategy(DECIMALS, rust_decimal::RoundingStrategy::AwayFromZero))
        }
        Some(exact) => Some(exact),
        None => (value.abs() < 1.0).then(nearly_nothing),
    }
}

/// The cost as it is written down, in the digits that tell the FLOAT from any other.
fn shown(row: &Plantation) -> Option<String> {
    let value = row.cost.good()?;
    Some(clean::float(*value).map_or_else(|| value.to_string(), |exact| exact.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::tests::{known, plain};

    fn read(row: &Plantation) -> Result<Cost, Refusal> {
        super::read(row, &known().currencies.0)
    }

    fn row(cost: f32, currency: &str) -> Plantation {
        Plantation { cost: Cell::Good(cost), currency: Cell::Good(currency.to_owned()), ..plain() }
    }

    /// What is counted: the exact minor units of an amount.
    fn counted(cost: f32, currency: &str) -> Option<(String, String)> {
        let amount = match read(&row(cost, currency)).expect("a cost") {
            Cost::None => None,
            Cost::Negative(amount) => amount,
            Cost::Known(_, amount) => Some(amount),
        };
        amount.map(|amount| (amount.money.currency.to_string(), amount.exact_minor.normalize().to_string()))
    }

    #[test]
    fn a_cost_is_counted_to_the_last_digit_that_a_sum_can_hold() {
        for (cost, currency, expect) in [
            (0.6, "GBP", Some(("GBP", "60"))),
            (0.125, "", Some(("GBP", "12.5"))),
            (317_906.13, "KWD", Some(("KWD", "317906120"))),
            (16_777_216.0, "JPY", Some(("JPY", "16777216"))),
            (2.384_185_8e-8, "GBP", Some(("GBP", "0.000002385"))),
            (1.234_567e-14, "GBP", Some(("GBP", "0.000000001"))),
            (1e-30, "GBP", Some(("GBP", "0.000000001"))),
            (-1e-30, "GBP", Some(("GBP", "-0.000000001"))),
            (-0.001, "JPY", Some(("JPY", "-0.001"))),
            (-0.6, "BTC", None),
            (-1e30, "GBP", None),
        ] {
            let expect = expect.map(|(currency, minor)| (currency.to_owned(), minor.to_owned()));
            assert_eq!(counted(cost, currency), expect, "{cost} {currency}");
        }
    }

    #[test]
    fn a_cost_beyond_any_number_is_out_of_range_unless_it_is_negative() {
        for (cost, currency, expect) in [
            (f32::INFINITY, "GBP", Err("value_out_of_range")),
            (1e30, "GBP", Err("value_out_of_range")),
            (1e30, "BTC", Err("currency_unknown")),
            (f32::NEG_INFINITY, "GBP", Ok(Cost::Negative(None))),
        ] {
            let found = read(&row(cost, currency)).map_err(|refusal| match refusal {
                Refusal::Skipped(code) | Refusal::Quarantined { code, .. } => code.as_str(),
            });
            assert_eq!(found, expect, "{cost} {currency}");
        }
    }

    #[test]
    fn a_cell_that_cannot_be_read_is_unforeseen() {
        let bad = || Cell::bad("\\xff", "not valid UTF-8");
        let refused = |row: &Plantation| match read(row) {
            Err(Refusal::Quarantined { code, .. }) => code.as_str(),
            other => panic!("{other:?}"),
        };
        let no_number = Cell::bad("n/a", "no number");
        assert_eq!(refused(&Plantation { cost: no_number, ..plain() }), "unforeseen");
        assert_eq!(refused(&Plantation { currency: bad(), ..row(0.6, "") }), "unforeseen");
        // A currency that nobody asks for may be anything.
        assert_eq!(read(&Plantation { currency: bad(), ..plain() }), Ok(Cost::None));
    }
}
