//! What holds of the value rules for any input at all.
#![allow(clippy::unwrap_used, clippy::float_arithmetic)]

use jiff::{Timestamp, civil};
use proptest::prelude::*;
use replant_clean::*;
use rust_decimal::Decimal;
use unicode_normalization::{UnicodeNormalization, is_nfc};

fn countries() -> Countries {
    Countries::new([("GB", "United Kingdom"), ("CI", "Côte d'Ivoire")].map(|(code, name)| (code.into(), name.into())))
}

fn currencies() -> Currencies {
    Currencies::new([("GBP", 2), ("JPY", 0), ("USD", 2)].map(|(code, exponent)| (code.into(), exponent)))
}

const GBP: CurrencyCode = CurrencyCode::of(*b"GBP");

fn london() -> Calendar {
    Calendar::new(jiff::tz::TimeZone::get("Europe/London").unwrap(), civil::date(2015, 1, 1))
}

fn snapshot() -> Snapshot {
    Snapshot(Timestamp::from_second(1_710_978_000).unwrap())
}

/// Anything: characters, bytes, and texts made of the pieces that the rules look for.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,4}",
        2 => "[0-9.,' ()+-]{1,6}",
        1 => "[0-9]{1,30}",
        1 => "[\\u{80}-\\u{2ff}\\u{2000}-\\u{206f}]{0,3}",
        2 => any::<String>(),
        6 => prop::sample::select(vec![
            "&amp;", "&#128;", "&#xD800;", "&eacute;", "&copy1;", "&nbsp;", "Ã©", "ÃƒÂ©", "â€™", "ðŸŒ±", "Â", "\u{200b}", "\u{feff}",
            "\u{301}", "\u{2001}", "\u{85}", "\u{1c}", "null", "n/a", "-", "mailto:", "<", ">", "@", "googlemail.com", "bäume.de", "xn--",
            "xn--bume-loa", "。", "·", "🌳", "قطر", "£", "$", "US$", "EURO", "GBP", "¥", "p", "0.", "+44", "tel:", ";ext=", "2024-03-20",
            "20/03/2024", "31 Feb 2024", " 23:40:00", " 23:40", "1710978000", "en", "_GB", "İ", "ß", "Σ",
        ]).prop_map(str::to_owned),
    ];
    prop_oneof![
        6 => prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| bytes.into_iter().map(char::from).collect()),
    ]
}

/// The mojibake, entity and NFC steps have nothing to do.
fn is_settled(text: &str) -> bool {
    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(text);
    let mojibake = !text.is_ascii() && !unmappable && std::str::from_utf8(&bytes).is_ok();
    !text.contains('&') && !mojibake && is_nfc(text)
}

fn wall() -> impl Strategy<Value = civil::DateTime> {
    let ymd = (2014_i16..2040, 1_i8..=12, 1_i8..=28);
    let near = (ymd, 0_i8..24, 0_i8..60)
        .prop_map(|((year, month, day), hour, minute)| civil::date(year, month, day).at(hour, minute, 0, 0));
    let any = (-9999_i16..=9999, 1_i8..=12, 1_i8..=28)
        .prop_map(|(year, month, day)| civil::date(year, month, day).at(23, 59, 59, 999_999_999));
    prop_oneof![4 => near, 1 => any, 1 => Just(civil::DateTime::MAX), 1 => Just(civil::DateTime::MIN)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(raw in any_text(), region in "[A-Z]{2}|[a-z]{0,3}") {
        let cleaned = text(&raw).value;
        for text in [raw.as_str(), cleaned.as_deref().unwrap_or("")] {
            let _ = (casefold(text), email(text), email_cleaned(text), locale(text), flag(text), countries().code(text));
            let _ = (date(text), london().future_date(text), london().known_date(text, snapshot()), london().known_text(text, snapshot()));
            let _ = (phone(text, "GB"), phone(text, &region));
            let amount = amount(text);
            let mark = amount.ok().flatten().and_then(|amount| amount.currency);
            let _ = (currency(Some(text), mark, &currencies(), GBP), CurrencyMark::new(text), CurrencyCode::new(text));
        }
    }

    #[test]
    fn texts_are_clean(raw in any_text()) {
        let Text { value, cleaned } = text(&raw);
        let Some(value) = value else {
            prop_assert!(!cleaned);
            return Ok(());
        };
        prop_assert!(!value.is_empty() && !value.contains("  "));
        prop_assert_eq!(value.trim(), value.as_ref());
        let is_left = |c: char| !(c.is_control() || c.is_whitespace() && c != ' ' || "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}".contains(c));
        prop_assert!(value.chars().all(is_left));
        // white space alone has no code, all else has one
        let folded = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(cleaned, folded != value.as_ref());
    }

    /// In general it is not a fixed point: `&amp;amp;` has an entity left, a third layer of mojibake stays, a mark can
    /// meet its letter only when what stood between them is dropped.
    #[test]
    fn a_settled_text_is_a_fixed_point(raw in any_text()) {
        if let Some(once) = text(&raw).value.filter(|once| is_settled(once)) {
            prop_assert_eq!(text(&once), Text { value: Some(once.as_ref().into()), cleaned: false });
            prop_assert!(matches!(text(&once).value, Some(std::borrow::Cow::Borrowed(_))));
        }
    }

    #[test]
    fn mojibake_is_undone(original in "[ -%'-~]{0,5}[à-ÿ–—‘’“”€🌱森]{1,4}[ -%'-~]{0,5}") {
        let original: String = text(&original).value.unwrap_or_default().nfc().collect();
        // What looks like mojibake itself may be plain once it is undone: then there is nothing to damage.
        prop_assume!(is_settled(&original) && !original.is_ascii());
        let mut damaged = original.clone();
        for _ in 0..2 {
            let decoded = encoding_rs::WINDOWS_1252.decode_without_bom_handling(damaged.as_bytes()).0;
            damaged = decoded.into_owned();
            let repaired = text(&damaged);
            prop_assert_eq!(repaired.value.as_deref(), Some(original.as_str()));
            prop_assert!(repaired.cleaned);
        }
    }

    #[test]
    fn a_normal_address_is_its_own_normal_form(raw in any_text(), local in "[a-zA-Z0-9.+_-]{1,8}", domain in "[a-zäßא١森🌳A-Z0-9.-]{1,12}") {
        for raw in [raw.clone(), format!("{local}@{domain}.com"), format!("{local}@{raw}.com"), format!("{raw}@{domain}")] {
            if let Some(address) = email(&raw) {
                prop_assert!(address.is_ascii() && address.len() <= 254 && !address.bytes().any(|byte| byte.is_ascii_uppercase()));
                prop_assert_eq!(email(&address), Some(address.clone()));
                prop_assert_eq!(email_cleaned(&address), Some(address.clone()));
                prop_assert_eq!(email(&format!(" MAILTO: <{address}>; ")), None);
                prop_assert_eq!(email(&format!(" MAILTO: <{}.> ", address.to_uppercase())), Some(address));
            }
        }
    }

    #[test]
    fn results_are_fixed_points(raw in any_text(), language in "[a-zA-Z]{2}", country in "[a-zA-Z]{2}") {
        for raw in [raw, format!("{language}_{country}"), language] {
            if let Some(found) = locale(&raw) {
                prop_assert_eq!(locale(&found), Some(found));
            }
            let countries = countries();
            if let Some(code) = countries.code(&raw) {
                prop_assert_eq!(countries.code(code), Some(code));
            }
            prop_assert_eq!(casefold(&casefold(&raw)), casefold(&raw));
        }
    }

    #[test]
    fn a_phone_number_is_its_own_e164(digits in "(\\+|\\+44 ?7|07|00)?[0-9 ()-]{3,16}", region in prop::sample::select(vec!["GB", "US", "DE", "IT", "JP"])) {
        if let Some(number) = phone(&digits, region) {
            prop_assert!((8..=16).contains(&number.len()) && number.starts_with('+') && !number.starts_with("+0"));
            prop_assert_eq!(phone(&number, "GB"), Some(number));
        }
    }

    #[test]
    fn amounts_are_read_as_they_were_written(
        minor in -1_000_000_000_i64..1_000_000_000,
        form in 0_usize..8,
        group in prop::sample::select(vec!["", ",", ".", "'", " ", "\u{a0}"]),
        point in prop::sample::select(vec![".", ","]),
    ) {
        let digits = (minor.abs() / 100).to_string();
        let mut whole = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                whole.push_str(group);
            }
            whole.push(digit);
        }
        let number = format!("{whole}{point}{:02}", minor.abs() % 100);
        let minus = if minor < 0 { "-" } else { "" };
        let raw = match form {
            0 => format!("{minus}{number}"),
            1 => format!("{minus}£{number}"),
            2 => format!("GBP {minus}{number}"),
            3 => format!(" {minus}{number} € "),
            4 => format!("{minus}{number}US$"),
            5 if minor < 0 => format!("({number})"),
            6 if minor < 0 => format!("(£{number})"),
            _ => format!("{minus} EURO{number}"),
        };
        let amount = amount(&raw).unwrap().unwrap();
        prop_assert_eq!(amount.value, Decimal::new(minor, 2), "{}", raw);
        prop_assert_eq!(to_minor(amount.value, 2), Ok(Minor { value: minor, rounded: false }));
    }

    #[test]
    fn minor_units_are_the_nearest(mantissa in any::<i64>(), scale in 0_u32..=28, exponent in 0_u32..=4) {
        let value = Decimal::from_i128_with_scale(i128::from(mantissa), scale);
        if let Ok(minor) = to_minor(value, exponent) {
            let ten = |power: u32| 10_i128.pow(power);
            // twice the distance, in units of 10^-max(scale, exponent)
            let common = scale.max(exponent);
            let exact = i128::from(mantissa).checked_mul(ten(common - scale));
            let found = i128::from(minor.value).checked_mul(ten(common - exponent));
            if let (Some(exact), Some(found)) = (exact, found) {
                let (distance, unit) = (2 * (exact - found).abs(), ten(common - exponent));
                prop_assert!(distance < unit || distance == unit && minor.value % 2 == 0);
                prop_assert_eq!(minor.rounded, distance != 0);
            }
        }
    }

    #[test]
    fn a_float_is_its_shortest_decimal(bits in any::<u32>(), cents in -100_000_i32..100_000, eighths in any::<i32>()) {
        for value in [f32::from_bits(bits), cents as f32 / 100.0, (eighths >> 8) as f32 / 8.0] {
            let Some(decimal) = float(value) else { continue };
            let decimal = decimal.normalize();
            prop_assert_eq!(decimal.to_string().parse::<f32>().unwrap(), value);
            let digits = decimal.mantissa().unsigned_abs().to_string().trim_end_matches('0').len();
            if digits > 1 {
                let shorter = format!("{:.*e}", digits - 2, f64::from(value));
                prop_assert_ne!(shorter.parse::<f32>().unwrap(), value, "{} is shorter than {}", shorter, decimal);
            }
            // formatting with a precision is exact and half to even; beside a power of two the nearest may not read back
            let nearest = format!("{:.*e}", digits.max(1) - 1, f64::from(value));
            if nearest.parse::<f32>().unwrap() == value {
                prop_assert_eq!(nearest.parse::<f64>().unwrap(), decimal.to_string().parse::<f64>().unwrap());
            }
        }
    }

    #[test]
    fn wall_times_and_instants_agree(wall in wall()) {
        let zone = jiff::tz::TimeZone::get("Europe/London").unwrap();
        let instant = london().instant(wall);
        prop_assert!(london().future(wall).is_none_or(|when| when == instant));
        prop_assert!(london().known(wall, snapshot()).is_none_or(|when| when == instant && when <= snapshot().0));
        if (2000..9000).contains(&wall.year()) {
            let back = zone.to_datetime(instant);
            let gap = jiff::SignedDuration::from_hours(1);
            prop_assert!(back == wall || back.duration_since(wall) == gap);
            // of two instants with this wall time it is the earlier one
            prop_assert!(zone.to_datetime(instant - gap) != wall);
        }
        let _ = (london().known_utc(wall, snapshot()), noon_utc(wall.date()));
    }
}
