//! Whose a text is: the addresses of a person, in cells as they are.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use serde_json::Value;

use crate::storage::fields::Field;
use crate::storage::imprint::Table;
use crate::storage::ledger::erased::ERASED;
use crate::words::Key;

/// Looks for the addresses of a person.
pub(super) struct Search {
    /// In their one form, each with what stands in its place.
    addresses: Vec<(String, String)>,
    normal: fn(&str) -> Option<String>,
    /// As they are written, in lower case, each with the place of the address.
    spellings: Vec<(String, usize)>,
    /// The spellings.
    needles: AhoCorasick,
}

impl Search {
    /// For addresses in the form that `normal` gives them, each with its mark. `written`: as they are written.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn new(
        addresses: Vec<(String, String)>,
        normal: fn(&str) -> Option<String>,
        written: impl Iterator<Item = String>,
    ) -> Result<Self, BuildError> {
        let place = |text: &str| {
            let address = normal(text)?;
            addresses.iter().position(|(known, _)| *known == address)
        };
        let all = addresses.iter().map(|(address, _)| address.clone()).chain(written);
        let mut spellings: Vec<(String, usize)> =
            all.filter_map(|text| Some((text.trim().to_lowercase(), place(&text)?))).collect();
        spellings.sort_unstable();
        spellings.dedup();
        let needles = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(spellings.iter().map(|(spelling, _)| spelling))?;
        Ok(Self { addresses, normal, spellings, needles })
    }

    /// The addresses, each with its mark.
    pub(super) fn addresses(&self) -> &[(String, String)] {
        &self.addresses
    }

    /// The addresses as they are written, in lower case.
    pub(super) fn spellings(&self) -> Vec<&str> {
        self.spellings.iter().map(|(spelling, _)| &**spelling).collect()
    }

    /// The mark of the address that a text is; none where it is none of them.
    pub(super) fn of(&self, text: &str) -> Option<&str> {
        let address = (self.normal)(text)?;
        self.addresses.iter().find(|(known, _)| *known == address).map(|(_, mark)| &**mark)
    }

    /// The mark of the first address that a text holds, as the whole of it, as a word, or as a text of its JSON.
    pub(super) fn within(&self, text: &str) -> Option<&str> {
        if !may_hold(text) {
            return None;
        }
        let lower = text.to_lowercase();
        let word = || {
            let is_word = |found: &aho_corasick::Match| {
                let before = lower[..found.start()].chars().next_back();
                let mut after = lower[found.end()..].chars();
                let goes_on = match after.next() {
                    // A full stop ends a sentence, or goes on with the domain.
                    Some('.') => after.next().is_some_and(char::is_alphanumeric),
                    other => other.is_some_and(|one| one.is_alphanumeric() || one == '-' || one == '_'),
                };
                !goes_on && !before.is_some_and(|one| one.is_alphanumeric() || "._+-".contains(one))
            };
            let found = self.needles.find_overlapping_iter(&lower).find(is_word)?;
            Some(&*self.addresses[self.spellings[found.pattern()].1].1)
        };
        self.of(text).or_else(word).or_else(|| self.within_json(&json(text)?))
    }

    fn within_json(&self, value: &Value) -> Option<&str> {
        match value {
            Value::String(text) => self.within(text),
            Value::Array(all) => all.iter().find_map(|one| self.within_json(one)),
            Value::Object(all) => {
                all.iter().find_map(|(name, one)| self.within(name).or_else(|| self.within_json(one)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    /// What is read in the place of a text that holds an address: its mark where it is one, and nothing that could be one where it is
    /// none. Of JSON every text but addresses of others, so that these are found where they were. None: it holds none.
    pub(super) fn masked(&self, text: &str) -> Option<String> {
        self.within(text)?;
        let masked = json(text).map(|mut value| {
            self.mask(&mut value);
            value.to_string()
        });
        Some(masked.unwrap_or_else(|| self.of(text).unwrap_or(ERASED).to_owned()))
    }

    fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => match self.masked(text) {
                Some(masked) => *text = masked,
                None if (self.normal)(text).is_some() => {}
                None => ERASED.clone_into(text),
            },
            Value::Array(all) => all.iter_mut().for_each(|one| self.mask(one)),
            Value::Object(all) => {
                let named = std::mem::take(all).into_iter().map(|(name, mut one)| {
                    self.mask(&mut one);
                    (self.masked(&name).unwrap_or(name), one)
                });
                *all = named.collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The places of the rows of a table of which a cell holds an address, with their keys, ascending.
    pub(super) fn rows(&self, table: &Table) -> Vec<(usize, Key)> {
        let mut places: Vec<usize> = Vec::new();
        for values in &table.values {
            let holds = |value: Field<'_>| matches!(value, Field::Text(text) if self.within(text).is_some());
            places.extend(values.iter().enumerate().filter(|(_, value)| holds(*value)).map(|(place, _)| place));
        }
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| (place, table.keys[place])).collect()
    }
}

/// Whether a text can hold an address at all: it has the sign of one, or writes it in another way.
fn may_hold(text: &str) -> bool {
    text.contains(['@', '\u{FF20}', '&', '\\', '%'])
}

/// The JSON of a text that is an object or a list.
fn json(text: &str) -> Option<Value> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    is_json.then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Option<String> {
        let text = text.trim().to_lowercase().replace("bäume", "trees");
        text.split_once('@').filter(|(local, _)| !local.contains(' ')).is_some().then_some(text)
    }

    fn search() -> Search {
        let addresses = [
            ("ann@trees.org", "mark-1"),
            ("a.b@trees.org", "mark-2"),
            // One begins with the other.
            ("c@trees.org", "mark-3"),
            ("c@trees.organic", "mark-4"),
        ];
        let addresses = addresses.map(|(one, mark)| (one.to_owned(), mark.to_owned()));
        Search::new(addresses.to_vec(), normal, std::iter::once("Ann@Bäume.org".to_owned())).unwrap()
    }

    #[test]
    fn an_address_is_found_wherever_it_stands_as_a_word() {
        let search = search();
        for (text, mark) in [
            (" ANN@Trees.org ", Some("mark-1")),
            ("write to Ann@trees.org.", Some("mark-1")),
            ("<ann@trees.org>, or a.b@trees.org", Some("mark-1")),
            ("mailto:a.b@trees.org?subject=x", Some("mark-2")),
            (r#"{"payer": {"mail": "ann\u0040trees.org"}}"#, Some("mark-1")),
            (r#"[1, "a.b@trees.org"]"#, Some("mark-2")),
            ("asked by ann@BÄUME.org on paper", Some("mark-1")),
            ("asked by ANN@bäume.org on paper", Some("mark-1")),
            ("joann@trees.org", None),
            ("ann@trees.org.uk", None),
            ("ann@trees.organic", None),
            ("x.a.b@trees.org", None),
            ("ann at trees.org", None),
            ("", None),
            ("write c@trees.organic", Some("mark-4")),
        ] {
            assert_eq!(search.within(text), mark, "{text}");
        }
    }

    #[test]
    fn what_holds_an_address_says_nothing_else_either() {
        let search = search();
        assert_eq!(
            search.masked("for ann@trees.org, with love").as_deref(),
            Some("erased"),
            "as little an address as before"
        );
        let json = r#"{"email": "Ann@trees.org", "name": "Ann", "n": 7, "a.b@trees.org": null}"#;
        let masked: Value = serde_json::from_str(&search.masked(json).unwrap()).unwrap();
        assert_eq!(masked, serde_json::json!({"email": "mark-1", "name": "erased", "n": 7, "mark-2": null}));
        assert_eq!(search.masked(r#"{"email": "Ann@trees.org""#).as_deref(), Some("erased"), "cut off");
        let others =
            r#"{"email":"bob@trees.org","note":"for ann@trees.org","for":"ann@trees.org","and":"by=ann@trees.org"}"#;
        let masked: Value = serde_json::from_str(&search.masked(others).unwrap()).unwrap();
        let expected =
            serde_json::json!({"email": "bob@trees.org", "note": "erased", "for": "mark-1", "and": "erased"});
        assert_eq!(masked, expected);
        assert_eq!(search.masked("ann"), None);
    }
}
