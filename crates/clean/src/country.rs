//! Countries: which of the target's a text names.

use rustc_hash::FxHashMap;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::text::casefold;

/// What else names a country, and its code. Accents and case are aside.
const OTHER_NAMES: [(&str, &str); 18] = [
    ("UK", "GB"),
    ("U.K.", "GB"),
    ("Great Britain", "GB"),
    ("England", "GB"),
    ("Scotland", "GB"),
    ("Wales", "GB"),
    ("Northern Ireland", "GB"),
    ("USA", "US"),
    ("U.S.A.", "US"),
    ("America", "US"),
    ("United States of America", "US"),
    ("Holland", "NL"),
    ("Deutschland", "DE"),
    ("España", "ES"),
    ("Eire", "IE"),
    ("Republic of Ireland", "IE"),
    ("Ivory Coast", "CI"),
    ("Czech Republic", "CZ"),
];

/// The target's countries by everything that names them.
#[derive(Clone, Debug, Default)]
pub struct Countries {
    codes: Vec<String>,
    /// Index into `codes` by name: as written, and folded.
    by_name: FxHashMap<String, usize>,
}

impl Countries {
    /// From alpha-2 codes with names.
    pub fn new(rows: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut countries = Self::default();
        for (code, name) in rows {
            let alpha_3 = rust_iso3166::from_alpha2(&code).map(|country| country.alpha3.to_owned());
            let others = OTHER_NAMES.iter().filter(|(_, of)| *of == code).map(|(name, _)| (*name).to_owned());
            let index = countries.codes.len();
            for name in [code.clone(), name].into_iter().chain(alpha_3).chain(others) {
                countries.by_name.entry(folded(&name)).or_insert(index);
                countries.by_name.entry(name).or_insert(index);
            }
            countries.codes.push(code);
        }
        countries
    }

    /// The alpha-2 code of the country that a text names, None where it names none of the target's.
    /// `text` has gone through the text rule.
    pub fn code(&self, text: &str) -> Option<&str> {
        let index = self.by_name.get(text).or_else(|| self.by_name.get(&folded(text)))?;
        Some(&self.codes[*index])
    }
}

/// Without case and accents.
fn folded(text: &str) -> String {
    let folded = casefold(text);
    if folded.is_ascii() {
        return folded;
    }
    folded.nfd().filter(|c| !is_combining_mark(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn countries() -> Countries {
        let rows = [
            ("GB", "United Kingdom"),
            ("US", "United States"),
            ("NL", "Netherlands"),
            ("DE", "Germany"),
            ("ES", "Spain"),
            ("IE", "Ireland"),
            ("CI", "Côte d'Ivoire"),
            ("CZ", "Czechia"),
            ("AX", "Åland Islands"),
            ("TR", "Türkiye"),
            ("UM", "United States Minor Outlying Islands"),
            ("BQ", "Bonaire, Sint Eustatius and Saba"),
            ("XK", "Kosovo"),
        ];
        Countries::new(rows.map(|(code, name)| (code.to_owned(), name.to_owned())))
    }

    #[test]
    fn names() {
        let countries = countries();
        for (code, names) in [
            (
                "GB",
                "GB gb GBR gbr UK uk U.K. u.k. England ENGLAND Scotland Wales|United Kingdom|Great Britain|Northern Ireland",
            ),
            ("US", "US USA usa U.S.A. America|United States|united states of america"),
            ("NL", "NL NLD Holland Netherlands"),
            ("DE", "DE DEU Deutschland Germany"),
            ("ES", "ES ESP España Espana ESPAÑA Espan\u{303}a Spain"),
            ("IE", "IE IRL Eire Éire Ireland|Republic of Ireland"),
            ("CI", "CI CIV|Ivory Coast|Côte d'Ivoire|cote d'ivoire|CÔTE D'IVOIRE"),
            ("CZ", "CZ CZE Czechia|Czech Republic"),
            ("AX", "AX ALA|Åland Islands|aland islands"),
            ("TR", "TR TUR Türkiye TÜRKİYE turkiye"),
            ("UM", "UM UMI"),
            ("XK", "XK Kosovo"),
        ] {
            let (words, phrases) = names.split_once('|').unwrap_or((names, code));
            for name in words.split(' ').chain(phrases.split('|')) {
                assert_eq!(countries.code(name), Some(code), "{name:?}");
            }
        }
    }

    #[test]
    fn unknown() {
        let countries = countries();
        for text in [
            "",
            "??",
            "XX",
            "Narnia",
            "Europe",
            "Untied Kingdom",
            "FR",
            "France",
            "FRA",
            "U.S.",
            "Britain",
            "U K",
            "Côte d’Ivoire",
            "826",
        ] {
            assert_eq!(countries.code(text), None, "{text:?}");
        }
        assert_eq!(Countries::default().code("UK"), None);
    }
}
