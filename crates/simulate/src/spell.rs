//! Spellings: what years of imports, forms and mail programs made of a text or an address.

use std::borrow::Cow;

use encoding_rs::WINDOWS_1252;

use crate::chance::{Chance, Dice};
use crate::rates::{EmailRates, TextRates};

/// A text as it came to be stored.
pub(crate) fn text<'a>(text: &'a str, chance: Chance, row: u64, rates: &TextRates) -> Cow<'a, str> {
    if text.is_empty() {
        return text.into();
    }
    if chance.hits("invisible", row, rates.invisible) {
        let mut dice = chance.dice("which", row);
        return invisible(text, &mut dice).into();
    }
    if chance.hits("mojibake", row, rates.mojibake) && !text.is_ascii() {
        let once = misread(text);
        let twice = chance.dice("twice", row).one_in(6);
        return if twice { misread(&once).into() } else { once.into() };
    }
    if chance.hits("entity", row, rates.entity) {
        return entities(text).into();
    }
    text.into()
}

fn invisible(text: &str, dice: &mut Dice) -> String {
    let second = text.char_indices().nth(1).map_or(text.len(), |(at, _)| at);
    match dice.below(4) {
        0 => format!("\u{feff}{text}"),
        1 => format!("{text}\u{200b}"),
        _ => format!("{}\u{2060}{} ", &text[..second], &text[second..]),
    }
}

/// UTF-8 that was read as windows-1252.
pub(crate) fn misread(text: &str) -> String {
    WINDOWS_1252.decode_without_bom_handling(text.as_bytes()).0.into_owned()
}

fn entities(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            'ñ' => written.push_str("&ntilde;"),
            'ü' => written.push_str("&uuml;"),
            'ö' => written.push_str("&ouml;"),
            'é' => written.push_str("&eacute;"),
            'ã' => written.push_str("&atilde;"),
            plain if plain.is_ascii() => written.push(plain),
            other => written.push_str(&format!("&#{};", u32::from(other))),
        }
    }
    written
}

/// An address as it came to be stored: the same one by the rules.
pub(crate) fn address(address: &str, chance: Chance, row: u64, rates: &EmailRates) -> String {
    let mut dice = chance.dice("spelling", row);
    let mut spelled = address.to_owned();
    if chance.hits("capitals", row, rates.capitals) {
        spelled = capitals(address, &mut dice);
    }
    if chance.hits("wrapped", row, rates.wrapped) {
        spelled = wrapped(&spelled, &mut dice);
    }
    spelled
}

/// Another spelling of an address than `address`.
pub(crate) fn otherwise(address: &str, dice: &mut Dice) -> String {
    match dice.below(5) {
        0 => address.to_owned(),
        1 | 2 => capitals(address, dice),
        3 if address.ends_with("@gmail.com") => address.replace("@gmail.com", "@googlemail.com"),
        _ => wrapped(address, dice),
    }
}

fn capitals(address: &str, dice: &mut Dice) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, ""));
    match dice.below(3) {
        0 => address.to_uppercase(),
        1 => format!("{local}@{}", domain.to_uppercase()),
        _ => {
            let mut letters = local.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            format!("{first}{}@{}", letters.as_str(), domain.to_uppercase())
        }
    }
}

fn wrapped(address: &str, dice: &mut Dice) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, ""));
    match dice.below(6) {
        0 => format!("mailto:{address}"),
        1 => format!("<{address}>"),
        2 => format!(" {address} "),
        3 => format!("{address};"),
        4 => format!("{local} @{domain}"),
        _ => {
            let second = local.char_indices().nth(1).map_or(local.len(), |(at, _)| at);
            format!("{}\u{200b}{}@{domain}", &local[..second], &local[second..])
        }
    }
}

/// What is no address, made of one.
pub(crate) fn invalid(address: &str, dice: &mut Dice) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, ""));
    match dice.below(8) {
        0 => String::new(),
        1 => "\\N".to_owned(),
        2 => "deleted user".to_owned(),
        3 => "n/a".to_owned(),
        4 => format!("{local}{domain}"),
        5 => format!("{local}@@{domain}"),
        6 => format!("{local}..x@{domain}"),
        _ => format!("{local}@localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misreading_is_the_usual_one() {
        assert_eq!(misread("São"), "SÃ£o");
        assert_eq!(misread("Größe – Å"), "GrÃ¶ÃŸe â€“ Ã…");
    }

    #[test]
    fn every_spelling_is_the_same_address() {
        let mut dice = Chance::of(3, "user").dice("x", 0);
        for _ in 0..200 {
            let spelled = otherwise("maria.silva7@gmail.com", &mut dice).to_lowercase().replace("googlemail", "gmail");
            let bare: String =
                spelled.trim_start_matches("mailto:").chars().filter(|c| !" <>;\u{200b}".contains(*c)).collect();
            assert_eq!(bare, "maria.silva7@gmail.com");
        }
    }
}
