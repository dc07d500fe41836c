//! The codes with which value rules report: what they changed, and what they cannot mend.

use strum::IntoStaticStr;

/// What a value rule changed. `<&'static str>::from` gives its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Repair {
    /// The text rule changed more than white space.
    TextCleaned,
    /// The amount has more decimals than its currency.
    AmountRounded,
    /// Neither the column nor the amount names a currency: it is the one that is meant then.
    CurrencyDefaulted,
    /// A number that libphonenumber's rules do not accept.
    PhoneInvalid,
    /// A country that the target does not know.
    CountryUnknown,
}

/// What a value rule cannot mend. `<&'static str>::from` gives its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Fault {
    /// The text of an amount is none.
    AmountInvalid,
    /// The column and the amount name different currencies.
    CurrencyConflict,
    /// The target does not have the currency.
    CurrencyUnknown,
    /// The value is right, but no target type holds it.
    ValueOutOfRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words() {
        assert_eq!(<&str>::from(Repair::TextCleaned), "text_cleaned");
        assert_eq!(<&str>::from(Repair::CountryUnknown), "country_unknown");
        assert_eq!(<&str>::from(Fault::ValueOutOfRange), "value_out_of_range");
        assert_eq!(<&str>::from(Fault::CurrencyConflict), "currency_conflict");
    }
}
