//! The text rule: what every other rule reads has gone through it first.

use std::borrow::Cow;

use encoding_rs::WINDOWS_1252;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A text after the text rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// None: absent. Else not empty, without white space at its ends, and with single spaces inside.
    pub value: Option<Cow<'a, str>>,
    /// `text_cleaned` is due: more than white space changed. Never for an absent text.
    pub cleaned: bool,
}

/// The text rule. Borrows where nothing changes; see the README on what a second application can still change.
pub fn text(raw: &str) -> Text<'_> {
    let value = clean(raw);
    if is_absent(&value) {
        return Text { value: None, cleaned: false };
    }
    // Told from the two ends: NFC replaces some white space too (U+2001), and that is white space alone.
    let cleaned = matches!(value, Cow::Owned(_)) && value != fold_white_space(Cow::Borrowed(raw));
    Text { value: Some(value), cleaned }
}

/// A word of an enumerated column: a text by the text rule, in lower case. None: absent.
pub fn word(raw: &str) -> Option<Cow<'_, str>> {
    let value = text(raw).value?;
    let is_lower = value.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    Some(if is_lower { value } else { Cow::Owned(value.to_lowercase()) })
}

/// Unicode's full case folding (C + F), the form in which texts are compared "by casefold".
pub fn casefold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { caseless::default_case_fold_str(text) }
}

fn is_absent(text: &str) -> bool {
    text.is_empty()
        || text.len() <= 4 && ["null", "n/a", "none", "-"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn clean(raw: &str) -> Cow<'_, str> {
    if is_plain(raw) {
        return Cow::Borrowed(raw);
    }
    let mut text = Cow::Borrowed(raw);
    if !raw.is_ascii() {
        for _ in 0..2 {
            let Some(repaired) = without_mojibake(&text) else {
                break;
            };
            text = Cow::Owned(repaired);
        }
    }
    if let Some(decoded) = without_entities(&text) {
        text = Cow::Owned(decoded);
    }
    if !text.is_ascii() && is_nfc_quick(text.chars()) != IsNormalized::Yes {
        let composed: String = text.nfc().collect();
        if composed != *text {
            text = Cow::Owned(composed);
        }
    }
    if text.contains(is_dropped) {
        text = Cow::Owned(text.chars().filter(|c| !is_dropped(*c)).collect());
    }
    fold_white_space(text)
}

/// Most texts: printable ASCII in which no step of the rule finds anything to do.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    // Without an early end this is done for many bytes at once.
    let printable = bytes.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~') & (*byte != b'&'));
    printable && *first != b' ' && *last != b' ' && !bytes.windows(2).any(|pair| pair == b"  ")
}

/// One layer of UTF-8 that was read as windows-1252; None where there is none.
fn without_mojibake(text: &str) -> Option<String> {
    let start = text.find(|c: char| !c.is_ascii())?;
    let mut rest = text[start..].chars();
    // The bytes 0xC2..=0xF4 that lead a sequence are these characters, and no ASCII follows them: names with accents stop here.
    if !matches!(rest.next(), Some('\u{C2}'..='\u{F4}')) || rest.next().is_none_or(|c| c.is_ascii()) {
        return None;
    }
    let (bytes, _, unmappable) = WINDOWS_1252.encode(text);
    if unmappable {
        return None;
    }
    String::from_utf8(bytes.into_owned()).ok()
}

/// The text with its character references decoded, those that end in `;` alone; None where it has none.
fn without_entities(text: &str) -> Option<String> {
    let mut decoded = String::new();
    let (mut done, mut at) = (0, 0);
    while let Some(found) = text[at..].find('&') {
        let start = at + found;
        at = start + 1;
        let Some(end) = reference_end(text.as_bytes(), start) else {
            continue;
        };
        let reference = &text[start..end];
        // In an attribute a name without `;` does not count where a letter or digit follows it: `&copy1;` is no `&copy`.
        let character = htmlize::unescape_attribute(reference);
        if character == reference {
            continue;
        }
        decoded.push_str(&text[done..start]);
        decoded.push_str(&character);
        (done, at) = (end, end);
    }
    if done == 0 {
        return None;
    }
    decoded.push_str(&text[done..]);
    Some(decoded)
}

/// Past the `;` of what looks like a character reference: `&name;`, `&#1;` or `&#x1;`.
fn reference_end(bytes: &[u8], start: usize) -> Option<usize> {
    let after = |from: usize, test: fn(&u8) -> bool| {
        let length = bytes.get(from..)?.iter().take_while(|byte| test(byte)).count();
        (length > 0 && bytes.get(from + length) == Some(&b';')).then_some(from + length + 1)
    };
    match (bytes.get(start + 1)?, bytes.get(start + 2)) {
        (b'#', Some(b'x' | b'X')) => after(start + 3, u8::is_ascii_hexdigit),
        (b'#', _) => after(start + 2, u8::is_ascii_digit),
        _ => after(start + 1, u8::is_ascii_alphanumeric),
    }
}

fn is_dropped(c: char) -> bool {
    c.is_control() && !c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

/// White space runs made one space, none left at the ends.
fn fold_white_space(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_folded = text.chars().try_fold(true, |after_space, c| match c {
        ' ' => (!after_space).then_some(true),
        c => (!c.is_whitespace()).then_some(false),
    });
    // `Some(true)`: a space at the end, or nothing at all.
    if is_folded == Some(false) || text.is_empty() {
        return text;
    }
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, value: impl Into<Option<&'static str>>, cleaned: bool) {
        let text = text(raw);
        assert_eq!((text.value.as_deref(), text.cleaned), (value.into(), cleaned), "{raw:?}");
    }

    #[track_caller]
    fn check_cleaned(raw: &str, value: &'static str) {
        check(raw, value, true);
    }

    #[test]
    fn absent_words_in_any_case_are_judged_on_the_result() {
        for raw in [
            "",
            " ",
            "\u{A0}\t",
            "null",
            "NULL",
            "Null",
            "n/a",
            "N/A",
            "none",
            "None",
            "-",
            " - ",
            "\u{FEFF}",
            "N&#47;A",
            "\u{200B}none",
            "&nbsp;",
            "\0",
            "&#45;",
            "n\u{200D}ull",
        ] {
            check(raw, None, false);
        }
        for raw in ["--", "nil", "na", "nulls", "n / a", "0", "–", "."] {
            assert_eq!(text(raw), Text { value: Some(Cow::Borrowed(raw)), cleaned: false });
        }
    }

    #[test]
    fn what_is_clean_is_borrowed() {
        for raw in ["Ava", "R&D", "Kjær & Co", "a & b; c", "Łukasz 🌳", "佐藤", "Größe – für", "Éloïse", "Ã", "a~!"]
        {
            let text = text(raw);
            assert!(matches!(text.value, Some(Cow::Borrowed(_))), "{raw:?}");
            assert!(!text.cleaned);
        }
    }

    #[test]
    fn words_are_in_lower_case() {
        for (raw, expect) in [
            ("paid", Some("paid")),
            (" Bank\u{a0} Transfer", Some("bank transfer")),
            ("ÉTÉ", Some("été")),
            ("N/A", None),
        ] {
            assert_eq!(word(raw).as_deref(), expect, "{raw:?}");
        }
        assert!(matches!(word("top-up 1"), Some(Cow::Borrowed("top-up 1"))));
    }

    #[test]
    fn white_space_alone_has_no_code() {
        check("  Ava  Kelly ", "Ava Kelly", false);
        check("A tree for\r\nevery year", "A tree for every year", false);
        check("a\u{A0}\u{3000}b\u{85}", "a b", false);
        check("a\u{2028}b\u{1680}c\u{B}d", "a b c d", false);
        // NFC makes U+2003 of it
        check("a\u{2001}b", "a b", false);
        check("\u{205F}Å", "Å", false);
    }

    #[test]
    fn mojibake_is_repaired_twice_at_most() {
        check_cleaned("JosÃ©", "José");
        check_cleaned("JosÃƒÂ©", "José");
        check_cleaned("JosÃƒÆ’Ã‚Â©", "JosÃ©");
        check_cleaned("Â£0.60", "£0.60");
        check_cleaned("Grow ðŸŒ±", "Grow 🌱");
        check_cleaned("GrÃ¶ÃŸe â€“ fÃ¼r", "Größe – für");
        // 0x81, 0x8D, 0x8F, 0x90 and 0x9D are themselves
        check_cleaned("Ã\u{81}gnes", "Ágnes");
        check_cleaned("Ã\u{8D}ris â€\u{9D}", "Íris ”");
        // the byte order mark and the no-break space of UTF-8
        check_cleaned("ï»¿Ava", "Ava");
        check_cleaned("AvaÂ\u{A0}Kelly", "Ava Kelly");
        // not valid UTF-8, not windows-1252
        check("JosÃ© – Gaël", "JosÃ© – Gaël", false);
        check("Ã© 佐", "Ã© 佐", false);
        check("Ã", "Ã", false);
        // overlong, surrogate
        check("À€", "À€", false);
        check("í\u{A0}€", "í €", false);
        check("\u{3A9}Ã©", "\u{3A9}Ã©", false);
    }

    #[test]
    fn entities_are_decoded_once() {
        check_cleaned("Smith &amp; Sons", "Smith & Sons");
        check_cleaned("&quot;Team Oak&quot;", "\"Team Oak\"");
        check_cleaned("Gl&uuml;ckwunsch", "Glückwunsch");
        check_cleaned("&amp;amp;", "&amp;");
        check_cleaned("&amp;eacute;", "&eacute;");
        check_cleaned("&euro;9.99", "€9.99");
        check_cleaned("&#233;&#xE9;&#XE9;&#0000233;", "éééé");
        check_cleaned("&#128;&#x99;", "€™");
        check_cleaned("a&#0;b&#xD800;c&#x110000;d", "a\u{FFFD}b\u{FFFD}c\u{FFFD}d");
        check_cleaned("&#99999999999999999999;", "\u{FFFD}");
        check_cleaned("&NotEqualTilde;&fjlig;", "\u{2242}\u{338}fj");
        check_cleaned("&&amp;&am&lt;", "&&&am<");
        check_cleaned("a&nbsp;b", "a b");
        check_cleaned("a&#32;b", "a b");
        check_cleaned("a&#7;b&ZeroWidthSpace;c", "abc");
        // after mojibake, before NFC
        check_cleaned("&Atilde;&copy;", "Ã©");
        check_cleaned("Jose&#x301;", "José");
        check_cleaned("Â&amp;", "Â&");
    }

    #[test]
    fn what_does_not_end_in_a_semicolon_is_no_entity() {
        for raw in [
            "&amp", "&copy 2", "&copy1;", "&notit;", "&amp x;", "&#233", "&#;", "&#x;", "&#xg;", "&#1a;", "&;", "& ;",
            "&nope;", "&EACUTE;", "&#-1;", "&", "a&", "&#", "&é;",
        ] {
            assert_eq!(text(raw), Text { value: Some(Cow::Borrowed(raw)), cleaned: false });
        }
    }

    #[test]
    fn canonical_composition() {
        check_cleaned("Jose\u{301}", "José");
        check_cleaned("\u{212B}sa", "Åsa");
        check_cleaned("\u{1100}\u{1161}", "가");
        // compatibility characters stay
        check("ﬁ²", "ﬁ²", false);
    }

    #[test]
    fn controls_and_zero_width_characters_go() {
        check_cleaned("Ava\u{200B}", "Ava");
        check_cleaned("B\u{2060}lue \u{FEFF}Fern ", "Blue Fern");
        check_cleaned("a\u{200C}b\u{200D}c", "abc");
        check_cleaned("a\0b\u{7F}c\u{80}d\u{9F}e", "abcde");
        // U+001C..U+001F are controls, not White_Space
        check_cleaned("a\u{1C}b\u{1F}c", "abc");
        check_cleaned("a \u{200B} b", "a b");
        // the soft hyphen, the Mongolian vowel separator and directional marks stay
        for raw in ["a\u{AD}b", "a\u{180E}b", "a\u{200E}b", "a\u{2061}b"] {
            assert!(!text(raw).cleaned, "{raw:?}");
        }
    }

    #[test]
    fn a_second_application_can_change_more() {
        for (raw, once, twice) in [
            ("&amp;amp;", "&amp;", "&"),
            ("&am\u{200B}p;", "&amp;", "&"),
            ("JosÃƒÆ’Ã‚Â©", "JosÃ©", "José"),
            ("&Atilde;&copy;", "Ã©", "é"),
            ("e\u{200D}\u{301}", "e\u{301}", "é"),
        ] {
            check_cleaned(raw, once);
            check_cleaned(once, twice);
        }
    }

    #[test]
    fn full_case_folding() {
        for (text, folded) in
            [("ACORN", "acorn"), ("Straße", "strasse"), ("ΒΌΛΟΣ", "βόλοσ"), ("İ", "i\u{307}"), ("ﬃ", "ffi")]
        {
            assert_eq!(casefold(text), folded);
        }
    }
}
