//! Currencies: which one an amount is in, and how many decimals the target gives it.

use std::fmt;

use rustc_hash::FxHashMap;

use crate::{code::Fault, text::text};

/// Three letters A-Z. Whether the target has it, [`Currencies`] knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurrencyCode([u8; 3]);

impl CurrencyCode {
    /// The code that these letters are, for constants.
    ///
    /// # Panics
    /// One of them is none of A-Z.
    pub const fn of(code: [u8; 3]) -> Self {
        assert!(code[0].is_ascii_uppercase() && code[1].is_ascii_uppercase() && code[2].is_ascii_uppercase());
        Self(code)
    }

    /// Takes exactly three ASCII letters, in any case.
    pub fn new(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Three upper-case letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters are UTF-8")
    }
}

impl fmt::Display for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a text says about its currency: a code, or a symbol that several share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CurrencyMark {
    /// A code, or what stands for one alone: `£`, `€`, `US$`, `STG`, `UKP`, `EURO`.
    Code(CurrencyCode),
    /// `$`: fits USD, AUD, CAD, NZD, SGD, HKD; alone it is USD.
    Dollar,
    /// `¥`: fits JPY and CNY; alone it is JPY.
    Yen,
}

impl CurrencyMark {
    /// Understands the whole of `text`, in any case; None where it is neither symbol nor code.
    pub fn new(text: &str) -> Option<Self> {
        Some(match text {
            "£" => Self::Code(CurrencyCode(*b"GBP")),
            "€" => Self::Code(CurrencyCode(*b"EUR")),
            "$" => Self::Dollar,
            "¥" => Self::Yen,
            _ if text.eq_ignore_ascii_case("US$") => Self::Code(CurrencyCode(*b"USD")),
            _ if text.eq_ignore_ascii_case("EURO") => Self::Code(CurrencyCode(*b"EUR")),
            _ => match CurrencyCode::new(text)? {
                CurrencyCode([b'S', b'T', b'G'] | [b'U', b'K', b'P']) => Self::Code(CurrencyCode(*b"GBP")),
                code => Self::Code(code),
            },
        })
    }

    /// The one currency that both can mean.
    fn agreed(self, other: Self) -> Option<CurrencyCode> {
        match (self, other) {
            (Self::Code(code), other) => other.fits(code).then_some(code),
            (symbol, Self::Code(code)) => symbol.fits(code).then_some(code),
            (Self::Dollar, Self::Dollar) | (Self::Yen, Self::Yen) => Some(self.alone()),
            (Self::Dollar, Self::Yen) | (Self::Yen, Self::Dollar) => None,
        }
    }

    fn fits(self, code: CurrencyCode) -> bool {
        match self {
            Self::Code(own) => own == code,
            Self::Dollar => ["USD", "AUD", "CAD", "NZD", "SGD", "HKD"].contains(&code.as_str()),
            Self::Yen => ["JPY", "CNY"].contains(&code.as_str()),
        }
    }

    fn alone(self) -> CurrencyCode {
        match self {
            Self::Code(code) => code,
            Self::Dollar => CurrencyCode(*b"USD"),
            Self::Yen => CurrencyCode(*b"JPY"),
        }
    }
}

/// The target's currencies and their exponents.
#[derive(Clone, Debug, Default)]
pub struct Currencies(FxHashMap<CurrencyCode, u32>);

impl Currencies {
    /// From codes with exponents. A row that is no code or has a negative exponent is left out.
    pub fn new(rows: impl IntoIterator<Item = (String, i16)>) -> Self {
        let row = |(code, exponent): (String, i16)| Some((CurrencyCode::new(&code)?, u32::try_from(exponent).ok()?));
        Self(rows.into_iter().filter_map(row).collect())
    }

    /// The decimals of a currency; None where the target does not have it.
    pub fn exponent(&self, code: CurrencyCode) -> Option<u32> {
        self.0.get(&code).copied()
    }
}

/// The currency of an amount, and what it took to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency {
    /// One that the target has.
    pub code: CurrencyCode,
    /// Its decimals.
    pub exponent: u32,
    /// `currency_defaulted` is due.
    pub defaulted: bool,
    /// `text_cleaned` is due for the column.
    pub cleaned: bool,
}

/// The currency rule: the column (raw), else what the amount's own text says, else the one that is meant where nothing does.
///
/// Both there and different is a conflict, even where one of them is no currency at all.
pub fn currency(
    column: Option<&str>,
    of_amount: Option<CurrencyMark>,
    known: &Currencies,
    default: CurrencyCode,
) -> Result<Currency, Fault> {
    let column = column.map(text);
    let cleaned = column.as_ref().is_some_and(|text| text.cleaned);
    let column = column.and_then(|text| text.value);
    let defaulted = column.is_none() && of_amount.is_none();
    let code = match (column, of_amount) {
        (Some(column), None) => CurrencyMark::new(&column).ok_or(Fault::CurrencyUnknown)?.alone(),
        (Some(column), Some(own)) => {
            CurrencyMark::new(&column).and_then(|mark| mark.agreed(own)).ok_or(Fault::CurrencyConflict)?
        }
        (None, Some(own)) => own.alone(),
        (None, None) => default,
    };
    let exponent = known.exponent(code).ok_or(Fault::CurrencyUnknown)?;
    Ok(Currency { code, exponent, defaulted, cleaned })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Currencies {
        let rows = [("GBP", 2), ("EUR", 2), ("USD", 2), ("AUD", 2), ("JPY", 0), ("KWD", 3)];
        Currencies::new(rows.map(|(code, exponent)| (code.to_owned(), exponent)))
    }

    const GBP: CurrencyCode = CurrencyCode(*b"GBP");

    fn run(column: &str, own: &str) -> Result<(String, bool, bool), &'static str> {
        let own = (!own.is_empty()).then(|| CurrencyMark::new(own).unwrap());
        currency(Some(column), own, &known(), GBP)
            .map(|found| (found.code.to_string(), found.defaulted, found.cleaned))
            .map_err(Into::into)
    }

    #[track_caller]
    fn check(column: &str, own: &str, code: &str) {
        assert_eq!(run(column, own), Ok((code.to_owned(), false, false)), "{column:?} {own:?}");
    }

    #[test]
    fn the_column() {
        for (column, code) in [
            ("GBP", "GBP"),
            ("gbp", "GBP"),
            ("£", "GBP"),
            ("STG", "GBP"),
            ("ukp", "GBP"),
            ("EURO", "EUR"),
            ("euro", "EUR"),
            ("€", "EUR"),
            ("US$", "USD"),
            ("us$", "USD"),
            ("$", "USD"),
            ("Aud", "AUD"),
            ("¥", "JPY"),
            (" gbp ", "GBP"),
        ] {
            check(column, "", code);
        }
        assert_eq!(run("Â£", ""), Ok(("GBP".into(), false, true)));
        assert_eq!(run("G\u{200B}BP", ""), Ok(("GBP".into(), false, true)));
    }

    #[test]
    fn the_amount_where_the_column_is_absent() {
        for column in ["", "-", "n/a", "None", "NULL"] {
            check(column, "EURO", "EUR");
            check(column, "$", "USD");
            check(column, "¥", "JPY");
            assert_eq!(run(column, ""), Ok(("GBP".into(), true, false)));
            assert_eq!(run(column, "XYZ"), Err("currency_unknown"));
        }
        let euro = currency(None, None, &known(), CurrencyCode(*b"EUR")).unwrap();
        assert_eq!((euro.code.as_str(), euro.defaulted), ("EUR", true));
        let found = currency(None, None, &known(), GBP).unwrap();
        assert_eq!((found.code.as_str(), found.exponent, found.defaulted), ("GBP", 2, true));
        assert_eq!(currency(None, None, &Currencies::default(), GBP), Err(Fault::CurrencyUnknown));
    }

    #[test]
    fn both() {
        check("GBP", "£", "GBP");
        check("UKP", "GBP", "GBP");
        check("AUD", "$", "AUD");
        check("$", "AUD", "AUD");
        check("$", "$", "USD");
        check("US$", "$", "USD");
        check("¥", "JPY", "JPY");
        check("¥", "¥", "JPY");
        for (column, own) in
            [("GBP", "€"), ("EUR", "$"), ("$", "¥"), ("AUD", "US$"), ("BTC", "GBP"), ("Q", "GBP"), ("GBP", "XYZ")]
        {
            assert_eq!(run(column, own), Err("currency_conflict"), "{column:?} {own:?}");
        }
    }

    #[test]
    fn what_the_platform_does_not_have() {
        for column in ["POUNDS", "Q", "BTC", "XYZ", "$$", "£££", "GB", "ÄÖÜ", "GBP EUR", "CNY", "NZD"] {
            assert_eq!(run(column, ""), Err("currency_unknown"), "{column:?}");
        }
        assert_eq!(run("NZD", "$"), Err("currency_unknown"));
        assert_eq!(run("CNY", "¥"), Err("currency_unknown"));
        assert_eq!(run("XYZ", "XYZ"), Err("currency_unknown"));
    }

    #[test]
    fn exponents() {
        let exponent = |code| known().exponent(CurrencyCode::new(code).unwrap());
        assert_eq!((exponent("JPY"), exponent("KWD"), exponent("SEK")), (Some(0), Some(3), None));
        assert_eq!(CurrencyCode::new("£"), None);
        assert_eq!(CurrencyCode::new("gBp").unwrap().to_string(), "GBP");
    }
}
