//! Telephone numbers, by libphonenumber's rules.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};

/// The number in E.164: `+`, 7 to 15 digits. None: not valid.
///
/// `text` has gone through the text rule; `region` is the alpha-2 code of the country as whose a number without `+` is read.
pub fn phone(text: &str, region: &str) -> Option<String> {
    let region = region.parse::<Region>().ok();
    let number = PHONE_NUMBER_UTIL.parse(text, region).ok()?;
    if !PHONE_NUMBER_UTIL.is_valid_number(&number) {
        return None;
    }
    let number = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned();
    is_e164(&number).then_some(number)
}

/// `^\+[1-9][0-9]{6,14}$`.
fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, region, expect) in [
            ("+44 7400 112204", "GB", Some("+447400112204")),
            ("07400 112204", "GB", Some("+447400112204")),
            ("07400112204", "GB", Some("+447400112204")),
            ("0044 7400 112204", "GB", Some("+447400112204")),
            ("+44 (0)7400 112204", "GB", Some("+447400112204")),
            ("tel:+44-7400-112204", "GB", Some("+447400112204")),
            ("+44 7400 112204 x12", "GB", Some("+447400112204")),
            ("(201) 558-1756", "US", Some("+12015581756")),
            ("(201) 558-1756", "GB", Some("+442015581756")),
            ("+1 201-558-1756", "FR", Some("+12015581756")),
            ("06 12 34 56 78", "FR", Some("+33612345678")),
            ("+49 1512 3429745", "GB", Some("+4915123429745")),
            // a region without telephones, one that is none
            ("07400 112204", "AQ", None),
            ("07400 112204", "xx", None),
            ("+44 7400 112204", "XX", Some("+447400112204")),
            ("000000000", "GB", None),
            ("call me", "GB", None),
            ("12", "GB", None),
            ("+99 99", "GB", None),
            ("x999", "GB", None),
            ("+44", "GB", None),
            ("", "GB", None),
            ("+", "GB", None),
        ] {
            assert_eq!(phone(text, region).as_deref(), expect, "{text:?} {region:?}");
        }
    }
}
