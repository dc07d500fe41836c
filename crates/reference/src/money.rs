//! Reading an amount and its currency from the cells of a row (rules: Money, Currency).

use replant_clean::{self as clean, Fault, Minor, Repair};
use replant_core::{Cell, Currency, Draft, Key, Money, Refusal, Rows};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::text;

/// A currency that the platform has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownCurrency {
    /// Its code.
    pub code: Currency,
    /// Its decimals.
    pub exponent: u32,
    /// Nothing named it: it is GBP by the rule, `currency_defaulted`.
    pub defaulted: bool,
}

impl KnownCurrency {
    /// The currency that a column names, or the text of the amount beside it.
    ///
    /// # Errors
    /// `currency_conflict`, `currency_unknown`; `unforeseen` where the cell is no text.
    pub fn read(
        cell: &Cell<String>,
        column: &'static str,
        beside: Option<clean::CurrencyMark>,
        known: &clean::Currencies,
    ) -> Result<Self, Refusal> {
        let found = crate::currency(cell.text(column)?, beside, known).map_err(faulty)?;
        let code = Currency::new(found.code.as_str()).ok_or_else(|| faulty(Fault::CurrencyUnknown))?;
        Ok(Self { code, exponent: found.exponent, defaulted: found.defaulted })
    }

    /// Notes `currency_defaulted` where it was.
    pub fn note<R: Rows>(self, cell: &Cell<String>, column: &'static str, key: Key, draft: &mut Draft<R>) {
        if self.defaulted {
            draft.repair(key, Repair::CurrencyDefaulted, column, cell.good().cloned(), self.code.to_string());
        }
    }
}

/// An amount in a known currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// In minor units, half to even.
    pub money: Money,
    /// In minor units as it was read, fractions and all.
    pub exact_minor: Decimal,
    /// Decimals of the currency.
    exponent: u32,
}

impl Amount {
    /// An amount in major units, in the minor units of a currency.
    ///
    /// # Errors
    /// `value_out_of_range`.
    pub fn of(value: Decimal, currency: KnownCurrency) -> Result<Self, Refusal> {
        let Minor { value: minor, .. } = clean::to_minor(value, currency.exponent).map_err(faulty)?;
        let exact = exact_minor(value, currency.exponent).ok_or_else(|| faulty(Fault::ValueOutOfRange))?;
        // Sums of money hold 28 digits: what is beyond a billionth of a minor unit is counted as a billionth.
        let exact_minor = exact.round_dp_with_strategy(9, RoundingStrategy::AwayFromZero);
        let money = Money { currency: currency.code, minor };
        Ok(Self { money, exact_minor, exponent: currency.exponent })
    }

    /// The amount without its sign.
    ///
    /// # Errors
    /// `value_out_of_range`.
    pub fn unsigned(self) -> Result<Self, Refusal> {
        let minor = self.money.minor.checked_abs().ok_or_else(|| faulty(Fault::ValueOutOfRange))?;
        Ok(Self { money: Money { minor, ..self.money }, exact_minor: self.exact_minor.abs(), ..self })
    }

    /// In major units, as it is written down.
    pub fn shown(self) -> String {
        Decimal::from_i128_with_scale(self.money.minor.into(), self.exponent).to_string()
    }

    /// Counts it for the row with `key`, and notes `amount_rounded` where minor units could not hold what stood there
    /// `before`.
    pub fn note<R: Rows>(
        self,
        before: impl FnOnce() -> Option<String>,
        column: &'static str,
        key: Key,
        draft: &mut Draft<R>,
    ) {
        draft.money(key, self.money, self.exact_minor);
        if self.exact_minor != Decimal::from(self.money.minor) {
            draft.repair(key, Repair::AmountRounded, column, before(), self.shown());
        }
    }
}

/// The cells of an amount that stands in a text, and of its currency.
#[derive(Debug, Clone, Copy)]
pub struct PriceCells<'a> {
    /// The amount.
    pub amount: &'a Cell<String>,
    /// The name of its column.
    pub amount_column: &'static str,
    /// The currency; its column is `currency` everywhere.
    pub currency: &'a Cell<String>,
}

/// What they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The currency.
    pub currency: KnownCurrency,
    /// The amount; none where the text is absent.
    pub amount: Option<Amount>,
}

const CURRENCY: &str = "currency";

impl PriceCells<'_> {
    /// Reads them without noting anything: for a look ahead.
    ///
    /// # Errors
    /// The first of `amount_invalid`, `currency_conflict`, `currency_unknown`, `value_out_of_range`; `unforeseen` where a cell
    /// is no text.
    pub fn read(&self, known: &clean::Currencies) -> Result<Price, Refusal> {
        self.price(self.amount_read()?, known)
    }

    fn amount_read(&self) -> Result<Result<Option<clean::Amount>, Fault>, Refusal> {
        Ok(self.amount.text(self.amount_column)?.map_or(Ok(None), clean::amount))
    }

    fn price(&self, amount: Result<Option<clean::Amount>, Fault>, known: &clean::Currencies) -> Result<Price, Refusal> {
        if let Err(fault @ Fault::AmountInvalid) = amount {
            return Err(faulty(fault));
        }
        // A number that is out of range comes after the currency, of which its text then says nothing.
        let mark = amount.as_ref().ok().and_then(|amount| amount.as_ref()?.currency);
        let currency = KnownCurrency::read(self.currency, CURRENCY, mark, known)?;
        let amount = amount.map_err(faulty)?.map(|amount| Amount::of(amount.value, currency)).transpose()?;
        Ok(Price { currency, amount })
    }

    /// Reads them where there must be an amount.
    ///
    /// # Errors
    /// Those of [`Self::read`]; `amount_invalid` where the text is absent.
    pub fn read_amount(&self, known: &clean::Currencies) -> Result<(KnownCurrency, Amount), Refusal> {
        let absent = || faulty(Fault::AmountInvalid);
        let amount = self.amount_read()?;
        if amount == Ok(None) {
            return Err(absent());
        }
        let price = self.price(amount, known)?;
        Ok((price.currency, price.amount.ok_or_else(absent)?))
    }

    /// Notes what the text rule changes in both cells.
    ///
    /// # Errors
    /// `unforeseen` where a cell is no text.
    pub fn note_texts<R: Rows>(&self, key: Key, draft: &mut Draft<R>) -> Result<(), Refusal> {
        text(self.amount, self.amount_column, key, draft)?;
        text(self.currency, CURRENCY, key, draft).map(|_| ())
    }

    /// Counts what was read, and notes what it took to read it.
    pub fn note<R: Rows>(&self, currency: KnownCurrency, amount: Option<Amount>, key: Key, draft: &mut Draft<R>) {
        currency.note(self.currency, CURRENCY, key, draft);
        if let Some(amount) = amount {
            amount.note(|| self.amount.good().cloned(), self.amount_column, key, draft);
        }
    }

    /// Reads, counts and notes at once. Called before a row can be refused, so that its money is counted whatever becomes
    /// of it.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn take<R: Rows>(&self, key: Key, known: &clean::Currencies, draft: &mut Draft<R>) -> Result<Price, Refusal> {
        self.note_texts(key, draft)?;
        let price = self.read(known)?;
        self.note(price.currency, price.amount, key, draft);
        Ok(price)
    }

    /// [`Self::take`] where there must be an amount.
    ///
    /// # Errors
    /// Those of [`Self::read_amount`].
    pub fn take_amount<R: Rows>(
        &self,
        key: Key,
        known: &clean::Currencies,
        draft: &mut Draft<R>,
    ) -> Result<Amount, Refusal> {
        self.note_texts(key, draft)?;
        let (currency, amount) = self.read_amount(known)?;
        self.note(currency, Some(amount), key, draft);
        Ok(amount)
    }
}

/// An amount in minor units as it was read, fractions and all.
fn exact_minor(amount: Decimal, exponent: u32) -> Option<Decimal> {
    match amount.scale().checked_sub(exponent) {
        Some(scale) => Decimal::try_from_i128_with_scale(amount.mantissa(), scale).ok(),
        None => amount.checked_mul(Decimal::from(10_u64.checked_pow(exponent)?)),
    }
}

/// What a value rule cannot mend, as a refusal.
pub fn faulty(fault: Fault) -> Refusal {
    let reason = match fault {
        Fault::AmountInvalid => "the amount is none",
        Fault::CurrencyConflict => "the column and the amount name different currencies",
        Fault::CurrencyUnknown => "the platform does not have the currency",
        Fault::ValueOutOfRange => "the number does not fit its column",
    };
    Refusal::quarantine(fault, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_are_exact_before_they_are_rounded() {
        for (amount, exponent, expect) in [
            ("0.60", 2, "60"),
            ("0.125", 2, "12.5"),
            ("1.5", 0, "1.5"),
            ("5", 3, "5000"),
            ("0.1234567890123456789012345678", 2, "12.34567890123456789012345678"),
            ("9223372036854775.807", 3, "9223372036854775807"),
        ] {
            let exact = exact_minor(Decimal::from_str_exact(amount).expect("a decimal"), exponent);
            assert_eq!(exact, Some(Decimal::from_str_exact(expect).expect("a decimal")), "{amount}");
        }
    }
}
