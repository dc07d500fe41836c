//! What a single cell shows.

use encoding_rs::WINDOWS_1252;
use replant_clean as clean;

use super::tallies;

/// The text of a cell by the text rule.
pub(super) fn text(cell: &Option<String>) -> Option<String> {
    clean::text(cell.as_deref()?).value.map(|text| text.into_owned())
}

/// The same in lower case, for words of lists.
pub(super) fn word(cell: &Option<String>) -> Option<String> {
    text(cell).map(|text| text.to_lowercase())
}

/// Whether a reference names nothing: NULL and 0.
pub(super) fn id(cell: &Option<String>) -> Option<u64> {
    cell.as_deref()?.parse().ok().filter(|id| *id != 0)
}

tallies!(Texts for TextRates { invisible, mojibake, entity });
tallies!(Emails for EmailRates { capitals, wrapped, international });
tallies!(Times for TimeRates { zero, null, implausible, clock_change });

/// The dirt of free texts, addresses and times, wherever they stand.
#[derive(Default)]
pub(super) struct Dirt {
    pub(super) texts: Texts,
    pub(super) emails: Emails,
    pub(super) times: Times,
}

impl Dirt {
    pub(super) fn see_text(&mut self, cell: &Option<String>) {
        let Some(raw) = cell.as_deref().filter(|_| text(cell).is_some()) else { return };
        self.texts.invisible.see(raw.contains(invisible));
        // The others could not be dirty in that way.
        if !raw.is_ascii() || raw.contains(['&', '"']) {
            self.texts.entity.see(has_entity(raw));
        }
        if !raw.is_ascii() {
            self.texts.mojibake.see(is_misread(raw));
        }
    }

    /// Of an address that is one.
    pub(super) fn see_email(&mut self, cell: &Option<String>) {
        let Some(raw) = cell.as_deref() else { return };
        if clean::email(raw).is_none() {
            return;
        }
        let bare = raw.trim_matches([' ', '<', '>', ';', ',', '.']);
        let bare = bare.strip_prefix("mailto:").unwrap_or(bare);
        self.emails.capitals.see(bare.chars().any(char::is_uppercase));
        self.emails.wrapped.see(bare != raw || bare.contains(char::is_whitespace) || bare.contains(invisible));
        self.emails.international.see(bare.rsplit('@').next().is_some_and(|domain| !domain.is_ascii()));
    }

    pub(super) fn see_time(&mut self, cell: &Option<String>) {
        let time = cell.as_deref();
        self.times.null.see(time.is_none());
        self.times.zero.see(time.is_some_and(|time| time.starts_with("0000")));
        let year = time.and_then(|time| time.get(..4)?.parse::<u16>().ok()).filter(|year| *year > 0);
        self.times.implausible.see(year.is_some_and(|year| !(2015..=2030).contains(&year)));
        self.times.clock_change.see(time.is_some_and(in_clock_change));
    }
}

fn invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

fn has_entity(text: &str) -> bool {
    text.split('&').skip(1).any(|rest| {
        let name = rest.split(';').next().unwrap_or_default();
        rest.len() > name.len() && !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#')
    })
}

/// Whether the text can be written in windows-1252 to bytes that are UTF-8 of something else.
fn is_misread(text: &str) -> bool {
    let (bytes, _, failed) = WINDOWS_1252.encode(text);
    !failed && !text.is_ascii() && std::str::from_utf8(&bytes).is_ok()
}

/// In the hours around a last Sunday of March or October in which clocks change.
fn in_clock_change(time: &str) -> bool {
    let Ok(wall) = time.parse::<jiff::civil::DateTime>() else { return false };
    let sunday = wall.date().weekday() == jiff::civil::Weekday::Sunday && wall.day() > 24;
    sunday && matches!(wall.month(), 3 | 10) && wall.hour() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirt_is_told_from_texts_that_only_look_like_it() {
        assert!(is_misread("SÃ£o") && !is_misread("São") && !is_misread("Sao") && !is_misread("Łukasz"));
        assert!(
            has_entity("J&uuml;rgen")
                && has_entity("&#8211;")
                && !has_entity("Smith & Sons; Ltd")
                && !has_entity("R&D")
        );
        assert!(in_clock_change("2021-03-28 01:45:10") && !in_clock_change("2021-03-27 01:45:10"));
    }
}
