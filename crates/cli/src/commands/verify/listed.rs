//! The rows that do not stand as they should: all of them in a file, the worst ones for the account.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use replant_core::{Difference, RowName, Stop, Verdict};
use serde::Serialize;
use serde_json::Value as Json;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;

/// How many of the worst rows are shown.
const SHOWN: usize = 20;

/// Rows that do not stand as they should, on their way into a file.
pub(super) struct Listed {
    values: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    file: Option<csv::Writer<BufWriter<NamedTempFile>>>,
    failed: Option<io::Error>,
    worst: Vec<Line>,
}

/// A row that does not stand as it should, and one of its columns.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) verdict: &'static str,
    pub(super) step: &'static str,
    pub(super) legacy_key: Option<i64>,
    pub(super) table: String,
    /// Its id, or the columns of its key.
    pub(super) row: String,
    pub(super) column: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

impl Listed {
    pub(super) fn new(folder: Option<&Path>, values: bool) -> Result<Self, Error> {
        let file = folder.map(|folder| {
            std::fs::create_dir_all(folder)?;
            let file = tempfile::Builder::new().prefix(".replant-").suffix(".part").tempfile_in(folder)?;
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(BufWriter::new(file));
            let heads = ["verdict", "step", "legacy_key", "table", "row", "column", "expected", "found"];
            writer.write_record(&heads[..if values { 8 } else { 6 }])?;
            Ok::<_, io::Error>(writer)
        });
        let file = file.transpose().map_err(Error::io("write the list of differences"))?;
        Ok(Self { values, inner: Mutex::new(Inner { file, failed: None, worst: Vec::new() }) })
    }

    /// Adds a row; one that cannot be written ends the verification.
    pub(super) fn add(&self, difference: &Difference, stop: &Stop) {
        let lines = self.lines(difference);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if let (Some(file), None) = (&mut inner.file, &inner.failed)
            && let Err(error) = lines.iter().try_for_each(|line| file.serialize(line))
        {
            inner.failed = Some(error.into());
            stop.request();
        }
        if difference.verdict.is_alarm() || difference.verdict.is_stale() {
            let columns = if difference.columns.is_empty() { "-".to_owned() } else { difference.columns.join(", ") };
            let whole = Line { column: columns, expected: None, found: None, ..lines[0].clone() };
            let rank = |line: &Line| Verdict::ALL.iter().position(|verdict| verdict.as_str() == line.verdict);
            let place = inner.worst.partition_point(|known| (rank(known), known) <= (rank(&whole), &whole));
            inner.worst.insert(place, whole);
            inner.worst.truncate(SHOWN);
        }
    }

    fn lines(&self, difference: &Difference) -> Vec<Line> {
        let line = Line {
            verdict: difference.verdict.as_str(),
            step: difference.step,
            legacy_key: difference.legacy_key,
            table: difference.table.clone(),
            row: difference.row.as_ref().map(|row| named(row, self.values)).unwrap_or_default(),
            ..Line::default()
        };
        let value = |of: Option<&Json>| self.values.then(|| of.map_or_else(String::new, shown));
        // Where a side has no row, its columns are those of the other one.
        let all = difference.expected.keys().chain(difference.found.keys());
        let columns: Vec<&String> = match difference.columns.is_empty() && self.values {
            true => all.collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
            false => difference.columns.iter().collect(),
        };
        if columns.is_empty() {
            return vec![Line { expected: value(None), found: value(None), ..line }];
        }
        let of_column = |column: &&String| Line {
            column: (*column).clone(),
            expected: value(difference.expected.get(*column)),
            found: value(difference.found.get(*column)),
            ..line.clone()
        };
        columns.iter().map(of_column).collect()
    }

    pub(super) fn end(self) -> Result<(Vec<Line>, Option<NamedTempFile>), Error> {
        let Inner { file, failed, worst } = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let end = || {
            if let Some(failed) = failed {
                return Err(failed);
            }
            let Some(file) = file else { return Ok(None) };
            let mut file = file.into_inner().map_err(|error| error.into_error())?;
            file.flush()?;
            file.into_inner().map(Some).map_err(io::IntoInnerError::into_error)
        };
        Ok((worst, end().map_err(Error::io("write the list of differences"))?))
    }
}

/// A row by its key: of texts, which may be anybody's address, a hash unless values are asked for.
pub(in crate::commands) fn named(row: &RowName, values: bool) -> String {
    let RowName::Key(key) = row else {
        return if let RowName::Id(id) = row { id.to_string() } else { String::new() };
    };
    match serde_json::from_str::<serde_json::Map<String, Json>>(key) {
        Ok(columns) if !values => {
            let column = |(name, value): (String, Json)| match value {
                Json::String(text) => format!("{name}=#{:016x}", xxh3_64(text.as_bytes())),
                other => format!("{name}={other}"),
            };
            columns.into_iter().map(column).collect::<Vec<_>>().join(" ")
        }
        Ok(columns) => {
            columns.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
        }
        Err(_) => String::new(),
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_key_is_hashed_unless_values_are_asked_for() {
        let row = RowName::Key("{\"email\":\"joe@web.de\",\"n\":7}".to_owned());
        let hidden = named(&row, false);
        assert!(!hidden.contains("joe") && hidden.contains("n=7"), "{hidden}");
        assert_eq!(named(&row, true), "email=joe@web.de n=7");
        assert_eq!(named(&RowName::Id(5), false), "5");
    }
}
