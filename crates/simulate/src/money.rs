//! Amounts and currencies as they were typed.

use std::fmt;

use crate::chance::Chance;
use crate::rates::MoneyRates;
use crate::row::Row;
use crate::words::{CURRENCIES, Currency, EUR, GBP, NO_AMOUNTS, NO_CURRENCIES, NO_CURRENCY};

/// An amount in minor units of a currency (its place in the list).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Money {
    pub(crate) minor: i64,
    pub(crate) currency: usize,
}

impl Money {
    pub(crate) fn currency(self) -> &'static Currency {
        &CURRENCIES[self.currency]
    }

    /// The amount in the plain way: `12.34`, `1234` of yen, `12.3` or `12.34` of dinars (three digits would be thousands).
    pub(crate) fn plain(self) -> Plain {
        Plain { minor: self.minor.abs(), digits: self.currency().digits, mark: '.', thousands: None }
    }
}

pub(crate) struct Plain {
    minor: i64,
    digits: u32,
    mark: char,
    thousands: Option<char>,
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_i64.pow(self.digits);
        let (whole, rest) = (self.minor / unit, self.minor % unit);
        match self.thousands {
            Some(mark) if whole >= 1_000 => write!(f, "{}{mark}{:03}", whole / 1_000, whole % 1_000)?,
            _ => write!(f, "{whole}")?,
        }
        match self.digits {
            0 => Ok(()),
            2 => write!(f, "{}{rest:02}", self.mark),
            _ if rest % 100 == 0 => write!(f, "{}{}", self.mark, rest / 100),
            _ => write!(f, "{}{:02}", self.mark, rest / 10),
        }
    }
}

/// The kinds of rubbish that a table's own rule leaves to nobody else.
pub(crate) struct Limits {
    /// Whether amounts of zero or less come up.
    pub(crate) not_positive: bool,
    /// Whether negative amounts are meant to be negative.
    pub(crate) signed: bool,
    /// How much more often the table's amounts are rubbish than others: small tables are kept by hand.
    pub(crate) by_hand: f64,
    /// An amount that the column still holds and no rule can.
    pub(crate) huge: &'static str,
}

const HUGE: &str = "99999999999999999999.00";

/// Of amounts that programs wrote.
pub(crate) const BY_PROGRAM: Limits = Limits { not_positive: false, signed: false, by_hand: 1.0, huge: HUGE };
/// Of amounts that people wrote.
pub(crate) const BY_HAND: Limits = Limits { not_positive: false, signed: false, by_hand: 3.5, huge: HUGE };

/// Writes an amount's cell. [`currency`] writes that of its currency, with the same chance.
pub(crate) fn amount(out: &mut Row, chance: Chance, row: u64, rates: &MoneyRates, money: Money, limits: &Limits) {
    let mut dice = chance.dice("style", row);
    if chance.hits("invalid", row, rates.invalid * limits.by_hand) {
        return out.word(dice.of(NO_AMOUNTS));
    }
    if chance.hits("range", row, rates.out_of_range) {
        return out.text(limits.huge);
    }
    if limits.not_positive && chance.hits("not positive", row, rates.not_positive * limits.by_hand) {
        return match dice.below(2) {
            0 => out.text("0"),
            _ => out.show(format_args!("-{}", money.plain())),
        };
    }
    let sign = if limits.signed && money.minor < 0 { "-" } else { "" };
    if chance.hits("conflict", row, rates.conflict * limits.by_hand) {
        let symbol = if money.currency == EUR { "£" } else { "€" };
        return out.show(format_args!("{sign}{symbol}{}", money.plain()));
    }
    if chance.hits("fraction", row, rates.fraction * limits.by_hand) {
        return match money.currency().digits {
            0 => out.show(format_args!("{sign}{}.5", money.plain())),
            2 => out.show(format_args!("{sign}{}25", money.plain())),
            _ => out.show(format_args!("{sign}{}.1234", money.minor.abs() / 1_000)),
        };
    }
    if chance.hits("misread", row, rates.misread * limits.by_hand) {
        return match (dice.below(3), money.currency().symbol) {
            (0, Some("£")) => out.show(format_args!("{sign}&pound;{}", money.plain())),
            (1, Some(symbol)) => out.show(format_args!("{sign}{}{}", crate::spell::misread(symbol), money.plain())),
            _ => out.show(format_args!("\u{200b}{sign}{}", money.plain())),
        };
    }
    if chance.hits("styled", row, rates.styled) {
        return styled(out, &mut dice, money, sign);
    }
    out.show(format_args!("{sign}{}", money.plain()));
}

fn styled(out: &mut Row, dice: &mut crate::chance::Dice, money: Money, sign: &str) {
    let (plain, currency) = (money.plain(), money.currency());
    let (code, minor) = (currency.code, money.minor.abs());
    let comma = Plain { mark: ',', ..money.plain() };
    let pounds = money.currency == GBP;
    match (dice.below(200), currency.symbol) {
        (0..56, Some(symbol)) => out.show(format_args!("{sign}{symbol}{plain}")),
        (56..84, _) => out.show(format_args!("{sign}{plain} {code}")),
        (84..110, _) => out.show(format_args!("{code} {sign}{plain}")),
        (110..140, _) if currency.digits == 2 => out.show(format_args!("{sign}{comma}")),
        (140..152, Some(symbol)) if currency.digits == 2 => out.show(format_args!("{sign}{comma} {symbol}")),
        (152..164, _) if currency.digits == 2 && minor % 10 == 0 => match minor % 100 {
            0 => out.show(format_args!("{sign}{}", minor / 100)),
            _ => out.show(format_args!("{sign}{}.{}", minor / 100, minor % 100 / 10)),
        },
        (164..174, _) => out.show(format_args!(" {sign}{plain} ")),
        (174..182, _) if pounds => out.show(format_args!("{sign}{minor}p")),
        (194..196, _) if currency.digits == 2 => {
            out.show(format_args!("{sign}{}", Plain { mark: ',', thousands: Some('.'), ..money.plain() }));
        }
        (196..198, _) if currency.digits == 2 => {
            out.show(format_args!("{sign}{}", Plain { mark: ',', thousands: Some(' '), ..money.plain() }));
        }
        (198..200, _) if !sign.is_empty() => out.show(format_args!("({plain})")),
        _ if currency.digits < 3 => out.show(format_args!("{sign}{}", Plain { thousands: Some(','), ..money.plain() })),
        _ => out.show(format_args!("{sign}{plain}")),
    }
}

/// Writes a currency's cell.
pub(crate) fn currency(out: &mut Row, chance: Chance, row: u64, rates: &MoneyRates, currency: usize, limits: &Limits) {
    let known = &CURRENCIES[currency];
    if chance.hits("no currency", row, rates.currency_unknown * limits.by_hand) {
        return out.text(chance.dice("which unknown", row).of(NO_CURRENCIES));
    }
    if chance.hits("currency absent", row, rates.currency_absent * limits.by_hand.min(2.0)) {
        return out.word(chance.dice("which absent", row).of(NO_CURRENCY));
    }
    if chance.hits("currency spelled", row, rates.currency_spelled) {
        return out.text(chance.dice("which spelling", row).of(known.spellings));
    }
    out.text(known.code);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_amounts_are_not_thousands() {
        let plain = |minor, code: &str| {
            let currency = CURRENCIES.iter().position(|currency| currency.code == code).unwrap();
            Money { minor, currency }.plain().to_string()
        };
        assert_eq!((plain(60, "GBP"), plain(123_456, "GBP")), ("0.60".to_owned(), "1234.56".to_owned()));
        assert_eq!(
            (plain(60, "JPY"), plain(600, "KWD"), plain(1_230, "KWD")),
            ("60".into(), "0.6".into(), "1.23".into())
        );
    }
}
