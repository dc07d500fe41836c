//! Locales: a language, perhaps with a country.

/// `ll` or `ll-CC`, of `ll`, `ll-CC` or `ll_CC` in any case. None: anything else. `text` has gone through the text rule.
pub fn locale(text: &str) -> Option<String> {
    let is_pair = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    match text.split_once(['-', '_']) {
        None => is_pair(text).then(|| text.to_ascii_lowercase()),
        Some((language, country)) => (is_pair(language) && is_pair(country))
            .then(|| format!("{}-{}", language.to_ascii_lowercase(), country.to_ascii_uppercase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales() {
        for (text, expect) in [
            ("en", "en"),
            ("EN", "en"),
            ("en-GB", "en-GB"),
            ("en_gb", "en-GB"),
            ("En-us", "en-US"),
            ("FR_FR", "fr-FR"),
            ("xx-XX", "xx-XX"),
        ] {
            assert_eq!(locale(text).as_deref(), Some(expect));
            assert_eq!(locale(expect).as_deref(), Some(expect));
        }
        for text in [
            "", "e", "eng", "ENG", "english", "en-", "-GB", "en--GB", "en-GBR", "en GB", "en-GB-x", "e1", "en.GB", "é",
            "en-G1",
        ] {
            assert_eq!(locale(text), None, "{text:?}");
        }
    }
}
