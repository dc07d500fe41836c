//! Amounts: the number in a text or FLOAT, exactly, and its minor units.

use rust_decimal::{Decimal, RoundingStrategy};

use crate::{code::Fault, currency::CurrencyMark, text::text};

/// Digits that every [`Decimal`] can hold, one for what is cut off aside.
const DIGITS: usize = 27;

/// Decimals that an amount keeps at most.
const DECIMALS: usize = 20;

/// Decimals of fewer digits have a FLOAT each.
const SEVEN_DIGITS: u128 = 1_000_000;

/// What the text of an amount says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// In major units: 0.60 for `60p`.
    pub value: Decimal,
    /// The symbol or code beside the number.
    pub currency: Option<CurrencyMark>,
    /// `text_cleaned` is due.
    pub cleaned: bool,
}

/// An amount in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minor {
    /// Pence of pounds, yen of yen.
    pub value: i64,
    /// `amount_rounded` is due.
    pub rounded: bool,
}

/// The amount that a raw text says; `Ok(None)` where the text is absent.
///
/// `ValueOutOfRange` where the number has more digits than a [`Decimal`].
pub fn amount(raw: &str) -> Result<Option<Amount>, Fault> {
    let text = text(raw);
    let Some(value) = text.value else {
        return Ok(None);
    };
    let (outer, rest) = sign(&value);
    let (rest, mark) = mark(rest).ok_or(Fault::AmountInvalid)?;
    let (inner, number) = sign(rest);
    if outer.is_some() && inner.is_some() {
        return Err(Fault::AmountInvalid);
    }
    let (whole, fraction) = halves(number).ok_or(Fault::AmountInvalid)?;
    let (shift, currency) = match mark {
        Mark::None => (0, None),
        Mark::Currency(mark) => (0, Some(mark)),
        Mark::Pence => (2, CurrencyMark::new("GBP")),
    };
    let mut value = decimal(whole, fraction, shift)?;
    value.set_sign_negative(outer.or(inner).unwrap_or(false) && !value.is_zero());
    Ok(Some(Amount { value, currency, cleaned: text.cleaned }))
}

/// The shortest decimal that reads back as the same FLOAT, of several the nearest to it, of two as near the even one.
/// None: not a number, infinite, or more digits than a [`Decimal`] holds.
pub fn float(value: f32) -> Option<Decimal> {
    // Rust prints floats by this rule, but of two as near (317906.125: .12, .13) the greater.
    let shortest = Decimal::from_str_exact(&value.to_string()).ok()?.normalize();
    let mut digits = shortest.mantissa().unsigned_abs();
    while digits >= SEVEN_DIGITS && digits.is_multiple_of(10) {
        digits /= 10;
    }
    if digits < SEVEN_DIGITS {
        return Some(shortest);
    }
    // With a precision it rounds half to even; beside a power of two that may not read back.
    let even = format!("{value:.*e}", digits.ilog10() as usize);
    let even = if even.parse() == Ok(value) { Decimal::from_scientific(&even).ok() } else { None };
    Some(even.map_or(shortest, |even| even.normalize()))
}

/// Minor units of a currency with `exponent` decimals, half to even. Beyond i64: `ValueOutOfRange`.
pub fn to_minor(value: Decimal, exponent: u32) -> Result<Minor, Fault> {
    let mut minor = value.round_dp_with_strategy(exponent, RoundingStrategy::MidpointNearestEven);
    let rounded = minor != value;
    minor.rescale(exponent);
    if minor.scale() != exponent {
        return Err(Fault::ValueOutOfRange);
    }
    let value = minor.mantissa().try_into().map_err(|_| Fault::ValueOutOfRange)?;
    Ok(Minor { value, rounded })
}

enum Mark {
    None,
    Currency(CurrencyMark),
    /// `60p`
    Pence,
}

/// The sign before a text or the parentheses around it, as "is negative", and the text without.
fn sign(text: &str) -> (Option<bool>, &str) {
    if let Some(rest) = text.strip_prefix(['-', '\u{2212}']) {
        return (Some(true), rest.trim_start());
    }
    if let Some(rest) = text.strip_prefix('+') {
        return (Some(false), rest.trim_start());
    }
    match text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        Some(inner) => (Some(true), inner.trim()),
        None => (None, text),
    }
}

/// The number, its sign too if it stands there, and the one mark before or after it.
fn mark(text: &str) -> Option<(&str, Mark)> {
    let start = text.find(|c: char| c.is_ascii_digit() || "-\u{2212}+(".contains(c))?;
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == ')')? + 1;
    let number = text.get(start..end)?;
    let mark = match (text[..start].trim_end(), text[end..].trim_start()) {
        ("", "") => Mark::None,
        ("", "p" | "P") => Mark::Pence,
        ("", mark) | (mark, "") => Mark::Currency(CurrencyMark::new(mark)?),
        _ => return None,
    };
    Some((number, mark))
}

/// The digits before and after the decimal separator, the former with their groups checked but not joined.
fn halves(number: &str) -> Option<(&str, &str)> {
    if !(number.starts_with(|c: char| c.is_ascii_digit()) && number.ends_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    let separator = |c: char| !c.is_ascii_digit();
    let Some(last) = number.rfind(separator) else {
        return Some((number, ""));
    };
    let is_mark = matches!(number.as_bytes()[last], b'.' | b',');
    let lone_zero = number.starts_with('0') && number.find(separator) == Some(1);
    if lone_zero && !(is_mark && last == 1) {
        return None;
    }
    let is_decimal = is_mark && (lone_zero || number.len() - last - 1 != 3);
    let (whole, fraction) = if is_decimal { (&number[..last], &number[last + 1..]) } else { (number, "") };
    let mut groups = whole.split([',', '.', '\'', ' ']);
    let first = groups.next()?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let valid = if whole.contains(separator) {
        (1..=3).contains(&first.len()) && is_digits(first) && groups.all(|group| group.len() == 3 && is_digits(group))
    } else {
        !first.is_empty()
    };
    valid.then_some((whole, fraction))
}

/// The number that the digits of both make, its point moved left by `shift`.
fn decimal(whole: &str, fraction: &str, shift: u32) -> Result<Decimal, Fault> {
    // What lies beyond decides about ties alone: one digit that is not 0 stands for it.
    let fraction = fraction.trim_end_matches('0');
    let digits = whole.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    let (fraction, beyond) = match fraction.split_at_checked(DECIMALS.min(DIGITS.saturating_sub(digits))) {
        Some((kept, rest)) if !rest.is_empty() => (kept, "1"),
        _ => (fraction, ""),
    };
    let mut digits = whole.bytes().chain(fraction.bytes()).chain(beyond.bytes()).filter(u8::is_ascii_digit);
    let mantissa = digits
        .try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(digit - b'0')))
        .ok_or(Fault::ValueOutOfRange)?;
    let scale = u32::try_from(fraction.len() + beyond.len()).map_err(|_| Fault::ValueOutOfRange)?;
    let scale = scale.checked_add(shift).ok_or(Fault::ValueOutOfRange)?;
    Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| Fault::ValueOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(raw: &str) -> Result<Option<(String, String)>, Fault> {
        let mark = |mark| match mark {
            CurrencyMark::Code(code) => code.to_string(),
            CurrencyMark::Dollar => "$".into(),
            CurrencyMark::Yen => "¥".into(),
        };
        let pair =
            |amount: Amount| (amount.value.normalize().to_string(), amount.currency.map(mark).unwrap_or_default());
        amount(raw).map(|found| found.map(pair))
    }

    #[track_caller]
    fn check(raw: &str, value: &str, currency: &str) {
        assert_eq!(run(raw), Ok(Some((value.into(), currency.into()))), "{raw:?}");
    }

    #[track_caller]
    fn check_invalid(raw: &str) {
        assert_eq!(amount(raw), Err(Fault::AmountInvalid), "{raw:?}");
    }

    #[test]
    fn absent() {
        for raw in ["", " ", "n/a", "-", "NULL", "none"] {
            assert_eq!(amount(raw), Ok(None));
        }
    }

    #[test]
    fn the_examples_of_the_rule() {
        check("1,250", "1250", "");
        check("1.234,56", "1234.56", "");
        check("12,5", "12.5", "");
        check("0.125", "0.125", "");
        check("60p", "0.6", "GBP");
    }

    #[test]
    fn groups_and_separators() {
        for (raw, value) in [
            ("0", "0"),
            ("00", "0"),
            ("5", "5"),
            ("1234", "1234"),
            ("12345678", "12345678"),
            ("2.50", "2.5"),
            ("1234.56", "1234.56"),
            ("1 234,50", "1234.5"),
            ("1\u{A0}234,50", "1234.5"),
            ("1\u{202F}234.5", "1234.5"),
            ("1'234.50", "1234.5"),
            ("1,234.56", "1234.56"),
            ("1.234.567", "1234567"),
            ("1,234,567.8", "1234567.8"),
            ("12,34", "12.34"),
            ("4.999", "4999"),
            ("12.345", "12345"),
            ("0,125", "0.125"),
            ("0.5", "0.5"),
            ("0.1250", "0.125"),
            ("0.0001", "0.0001"),
            ("1.2345", "1.2345"),
            ("9.9999", "9.9999"),
            ("1,234.567", "1234567"),
            ("1.234.56", "1234.56"),
            ("1 234'567.8", "1234567.8"),
            ("012,345", "12345"),
            ("1'234", "1234"),
            ("1 234", "1234"),
            ("0001.5", "1.5"),
            ("12.579999923706055", "12.579999923706055"),
        ] {
            check(raw, value, "");
        }
        for raw in [
            "1,23,456.00",
            "1,25,000",
            "1234,567",
            "1234.567",
            "1,2345,678",
            ".5",
            ",5",
            "5.",
            "5,",
            "1..5",
            "1.,5",
            "1,.5",
            "12..5",
            "12.50.1.x",
            "0.125.000",
            "0,125.50",
            "0'125",
            "0 125",
            "1'23",
            "1 23",
            "1'5",
            "1_000",
            "1\u{2019}234",
            "1.5 000",
            "1.5'000",
            "1e5",
            "0x10",
            "١٢",
            "½",
            "1/2",
            "5%",
            "tbc",
            "free",
            "see notes",
            "#REF!",
            ".",
            "'",
            "1  .5",
            "1 .5",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn signs() {
        for (raw, value) in [
            ("-5", "-5"),
            ("- 5.00", "-5"),
            ("+5", "5"),
            ("\u{2212}5", "-5"),
            ("(5.00)", "-5"),
            ("( 5.00 )", "-5"),
            ("-0.00", "0"),
            ("(0)", "0"),
            ("-1,250", "-1250"),
            ("-0,125", "-0.125"),
        ] {
            check(raw, value, "");
        }
        for raw in [
            "-£5",
            "£-5",
            "- £ 5",
            "£ - 5",
            "(£5)",
            "£(5)",
            "(5) £",
            "(5 GBP)",
            "-5 GBP",
            "GBP -5",
            "GBP-5",
            "(GBP 5)",
            "-500p",
            "(500p)",
            "&pound;-5",
            "-Â£5",
        ] {
            check(raw, "-5", "GBP");
        }
        for raw in [
            "5-",
            "5.00-",
            "--5",
            "-(5)",
            "(-5)",
            "-+5",
            "-£-5",
            "(£-5)",
            "(£(5))",
            "((5))",
            "(5",
            "5)",
            "£5-",
            "()",
            "£()",
            "GBP( )",
            "()p",
            "£(5,)",
            "(005,)$",
            "GBP (1 234.)",
            "5 (5)",
            "\u{2013}5",
            "(+5)",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn marks() {
        for (raw, currency) in [
            ("£9.99", "GBP"),
            ("9.99 GBP", "GBP"),
            ("GBP 9.99", "GBP"),
            ("gbp9.99", "GBP"),
            ("9.99gbp", "GBP"),
            ("9,99 £", "GBP"),
            ("€9.99", "EUR"),
            ("&euro;9.99", "EUR"),
            ("EURO 9.99", "EUR"),
            ("9.99 euro", "EUR"),
            ("US$9.99", "USD"),
            ("us$ 9.99", "USD"),
            ("9.99US$", "USD"),
            ("$9.99", "$"),
            ("9.99 $", "$"),
            ("¥9.99", "¥"),
            ("Â¥9.99", "¥"),
            ("STG 9.99", "GBP"),
            ("9.99 ukp", "GBP"),
            ("XYZ 9.99", "XYZ"),
            ("tbc 9.99", "TBC"),
            ("999p", "GBP"),
            ("999 P", "GBP"),
        ] {
            check(raw, "9.99", currency);
        }
        for raw in [
            "£5 GBP",
            "GBP £5",
            "£5£",
            "££5",
            "$5 USD",
            "A$5",
            "£60p",
            "60p GBP",
            "p60",
            "GB 5",
            "POUNDS 5",
            "5 pounds",
            "EUROS 5",
            "ÄÖÜ 5",
            "5.00 GBP.",
            "GBP: 5",
            "£",
            "GBP",
            "p",
            "£p",
        ] {
            check_invalid(raw);
        }
    }

    #[test]
    fn text_rule_first() {
        let cleaned = |raw| amount(raw).unwrap().unwrap().cleaned;
        assert!(cleaned("Â£0.60"));
        assert!(cleaned("\u{200B}$9.99"));
        assert!(!cleaned(" 9.99 "));
        assert!(!cleaned("1\u{A0}234,50"));
    }

    #[test]
    fn more_digits_than_a_decimal() {
        assert_eq!(amount(&"9".repeat(40)), Err(Fault::ValueOutOfRange));
        assert_eq!(amount(&"9".repeat(30)), Err(Fault::ValueOutOfRange));
        // Decimals are none of its range: beyond the twentieth they decide about ties alone.
        check(&format!("0.{}1", "0".repeat(28)), "0.000000000000000000001", "");
        check("0.1234567890123456789012345678p", "0.00123456789012345678901", "GBP");
        check("0.50000000000000000000000000000", "0.5", "");
        check("92233720368547758.07123456789012345", "92233720368547758.07123456781", "");
        check("9999999999999999999999999999", "9999999999999999999999999999", "");
    }

    #[test]
    fn floats() {
        for (value, expect) in [
            (12.58_f32, "12.58"),
            (8.980_009, "8.980009"),
            (-2.740_583_7, "-2.7405837"),
            (1e-5, "0.00001"),
            (1_234_567.0, "1234567"),
            (16_777_216.0, "16777216"),
            (0.1 + 0.2, "0.3"),
            (-0.0, "0"),
            (1e28, "10000000000000000000000000000"),
            (0.69, "0.69"),
            (1.175_494_4e-20, "0.000000000000000000011754944"),
            (83.060_005, "83.060005"),
            (2_148_146.5, "2148146.5"),
            (317_906.12, "317906.12"),
            (-317_906.12, "-317906.12"),
            (9_007_199.0, "9007199"),
            (8.5e9, "8500000000"),
        ] {
            assert_eq!(float(value).map(|value| value.to_string()).as_deref(), Some(expect));
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 8e28, 1e-45] {
            assert_eq!(float(value), None, "{value}");
        }
    }

    #[test]
    fn minor_units() {
        let run = |value: &str, exponent| {
            let minor = to_minor(Decimal::from_str_exact(value).unwrap(), exponent);
            minor.map(|minor| (minor.value, minor.rounded))
        };
        for (value, exponent, expect) in [
            ("0.60", 2, (60, false)),
            ("5", 2, (500, false)),
            ("5.000", 2, (500, false)),
            ("0.125", 2, (12, true)),
            ("0.135", 2, (14, true)),
            ("-0.125", 2, (-12, true)),
            ("-0.135", 2, (-14, true)),
            ("0.1250001", 2, (13, true)),
            ("0.005", 2, (0, true)),
            ("-0.001", 2, (0, true)),
            ("500", 0, (500, false)),
            ("500.5", 0, (500, true)),
            ("1.234", 3, (1234, false)),
            ("1.2345", 3, (1234, true)),
            ("0.0000000000000000000000000001", 2, (0, true)),
            ("92233720368547758.07", 2, (i64::MAX, false)),
            ("-92233720368547758.08", 2, (i64::MIN, false)),
        ] {
            assert_eq!(run(value, exponent), Ok(expect), "{value}");
        }
        for (value, exponent) in [
            ("92233720368547758.08", 2),
            ("9223372036854775808", 0),
            ("9999999999999999999999999999", 2),
            ("1", 28),
            ("1", 40),
        ] {
            assert_eq!(run(value, exponent), Err(Fault::ValueOutOfRange), "{value}");
        }
    }
}
