//! A row under way: cells as text, or NULL, in one buffer that is used again; and the ways in which databases read it.

use std::fmt::{self, Write as _};

/// The cells of one row.
#[derive(Debug, Default)]
pub(crate) struct Row {
    text: String,
    /// Where each cell ends, and whether it holds anything.
    ends: Vec<(usize, bool)>,
}

impl Row {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(crate) fn null(&mut self) {
        self.ends.push((self.text.len(), false));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push((self.text.len(), true));
    }

    pub(crate) fn show(&mut self, value: impl fmt::Display) {
        // A String can always be written.
        let _ = write!(self.text, "{value}");
        self.ends.push((self.text.len(), true));
    }

    pub(crate) fn maybe(&mut self, value: Option<impl fmt::Display>) {
        match value {
            Some(value) => self.show(value),
            None => self.null(),
        }
    }

    /// A word as the lists of this crate have it: `\N` is NULL.
    pub(crate) fn word(&mut self, word: &str) {
        match word {
            "\\N" => self.null(),
            word => self.text(word),
        }
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = Option<&str>> {
        let mut from = 0;
        self.ends.iter().map(move |(end, is_there)| {
            let cell = &self.text[from..*end];
            from = *end;
            is_there.then_some(cell)
        })
    }

    /// A line as the testkit reads it.
    pub(crate) fn csv(&self, out: &mut Vec<u8>) {
        for (place, cell) in self.cells().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            match cell {
                None => out.extend_from_slice(b"\\N"),
                Some(cell) if cell.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) => {
                    out.push(b'"');
                    for byte in cell.bytes() {
                        if byte == b'"' {
                            out.push(b'"');
                        }
                        out.push(byte);
                    }
                    out.push(b'"');
                }
                Some(cell) => out.extend_from_slice(cell.as_bytes()),
            }
        }
        out.push(b'\n');
    }

    /// A line as LOAD DATA and COPY read it where they are told nothing.
    pub(crate) fn tabbed(&self, out: &mut Vec<u8>) {
        for (place, cell) in self.cells().enumerate() {
            if place > 0 {
                out.push(b'\t');
            }
            let Some(cell) = cell else {
                out.extend_from_slice(b"\\N");
                continue;
            };
            for byte in cell.bytes() {
                match byte {
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    b'\t' => out.extend_from_slice(b"\\t"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    byte => out.push(byte),
                }
            }
        }
        out.push(b'\n');
    }

    /// An array of texts in JSON.
    pub(crate) fn json(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (place, cell) in self.cells().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            match cell {
                None => out.extend_from_slice(b"null"),
                // Writing into memory fails for no text.
                Some(cell) => drop(serde_json::to_writer(&mut *out, cell)),
            }
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let mut row = Row::default();
        row.show(7);
        row.null();
        row.text("");
        row.text("a \"b\", c\r\nd\\e");
        row.word("\\N");
        row
    }

    #[test]
    fn every_form_keeps_the_cells_apart() {
        let form = |write: fn(&Row, &mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&row(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(form(Row::csv), "7,\\N,,\"a \"\"b\"\", c\r\nd\\e\",\\N\n");
        assert_eq!(form(Row::tabbed), "7\t\\N\t\ta \"b\", c\\r\\nd\\\\e\t\\N\n");
        assert_eq!(form(Row::json), "[\"7\",null,\"\",\"a \\\"b\\\", c\\r\\nd\\\\e\",null]");
    }
}
