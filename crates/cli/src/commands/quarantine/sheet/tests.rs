//! Sheets that come back: untouched, through a spreadsheet, mended.

use proptest::prelude::*;
use replant_core::Instant;
use replant_core::shape::{ColumnShape, Kind};
use serde_json::json;

use super::british::british;
use super::*;

const COLUMNS: [(&str, Kind); 6] = [
    ("id", Kind::Integer),
    ("email", Kind::Text),
    ("balance", Kind::Float),
    ("deleted", Kind::Integer),
    ("created_when", Kind::Wall),
    ("notes", Kind::Text),
];

fn sheet() -> Sheet {
    let columns = COLUMNS.map(|(name, kind)| ColumnShape { name, kind, nullable: name != "id" });
    Sheet {
        step: "readers.readers".to_owned(),
        shape: TableShape { name: "card", columns: columns.to_vec() },
        key: "id",
    }
}

fn entry(row: &Value) -> QuarantineEntry {
    let key = row["id"].as_i64().unwrap();
    QuarantineEntry {
        step: "readers.readers".to_owned(),
        legacy_key: key,
        chunk: 1,
        code: "email_invalid".to_owned(),
        reason: "the e-mail is no address".to_owned(),
        root_step: "readers.readers".to_owned(),
        root_key: key,
        legacy_row: row.to_string(),
        money: "{}".to_owned(),
        quarantined_at: Instant::now(),
    }
}

fn lines(rows: &[QuarantineEntry]) -> Vec<Vec<String>> {
    let sheet = sheet();
    let header = sheet.header().into_iter().map(str::to_owned).collect();
    std::iter::once(header).chain(rows.iter().map(|row| sheet.line(row))).collect()
}

/// The bytes of a file: with what stands between cells, what ends a line, and a mark before all.
fn file(lines: &[Vec<String>], delimiter: u8, crlf: bool, bom: bool) -> Vec<u8> {
    let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).terminator(terminator).from_writer(Vec::new());
    lines.iter().for_each(|line| writer.write_record(line).unwrap());
    let mut bytes = if bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
    bytes.extend(writer.into_inner().unwrap());
    bytes
}

fn read(bytes: &[u8], rows: &[QuarantineEntry], exact: bool) -> Result<Read, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("card.csv");
    std::fs::write(&place, bytes).unwrap();
    sheet().read(&place, exact, |key| match rows.iter().find(|row| row.legacy_key == key) {
        Some(row) => Known::Quarantined(Box::new(row.clone())),
        None => Known::No,
    })
}

fn row(key: i64) -> Value {
    json!({
        "id": key,
        "email": format!("no address {key}"),
        "balance": -12.5,
        "deleted": 0,
        "created_when": format!("2019-04-{:02} 00:00:{:02}", key % 30 + 1, key % 60),
        "notes": "=HYPERLINK(\"x\")",
    })
}

#[test]
fn a_spreadsheet_changes_nothing_but_what_a_person_changes() {
    let rows: Vec<QuarantineEntry> = (1..=40).map(|key| entry(&row(key))).collect();
    let mut lines = lines(&rows);
    for line in lines.iter_mut().skip(1) {
        line.iter_mut().for_each(|cell| *cell = british(cell));
        assert!(line.iter().all(|cell| !cell.starts_with(['=', '@', '+'])), "{line:?}");
    }
    let email = lines[0].iter().position(|name| name == "email").unwrap();
    "ann@web.de".clone_into(&mut lines[7][email]);
    for (delimiter, crlf, bom) in [(b',', true, true), (b',', false, false), (b';', true, true), (b'\t', true, false)] {
        let read = read(&file(&lines, delimiter, crlf, bom), &rows, false).unwrap();
        assert_eq!(read.mended.len(), 1, "{:?}", read.mended);
        assert_eq!((read.mended[0].key, read.mended[0].columns.as_slice()), (7, ["email"].as_slice()));
        let mut expect = row(7);
        expect["email"] = json!("ann@web.de");
        assert_eq!(read.mended[0].row, expect);
        assert_eq!((read.respelled.cells, read.respelled.first), (40, Some((2, "created_when"))));
    }
}

#[test]
fn what_was_changed_wholesale_is_told_in_a_line() {
    let rows: Vec<QuarantineEntry> = (1..=40).map(|key| entry(&row(key))).collect();
    let mut lines = lines(&rows);
    let place = |name: &str| COLUMNS.iter().position(|column| column.0 == name).unwrap() + WHY.len();
    for line in lines.iter_mut().skip(1) {
        "01/04/2019 00:00".clone_into(&mut line[place("created_when")]);
        "secret".clone_into(&mut line[place("deleted")]);
    }
    let said = read(&file(&lines, b',', true, true), &rows, true).unwrap_err();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[1]
            .starts_with("card.csv: a time like 2019-04-01 12:00:00 is expected, or \\N for NULL: 40 times, the first")
    );
    assert!(said.iter().any(|line| line.contains("line 2, column `deleted`")), "{said:?}");
    assert!(said.iter().all(|line| line.contains("as text") && !line.contains("secret")), "{said:?}");
    // One that cannot be read at all.
    let latin = [b"id,email\n1,caf\xe9\n".as_slice(), b"id,email\n2,\xe9\n"].concat();
    assert_eq!(
        read(&latin, &rows, false).unwrap_err(),
        ["card.csv: the text is no UTF-8: save the file as CSV in UTF-8"]
    );
    let wide = read(b"\xff\xfei\0d\0", &rows, false).unwrap_err();
    assert_eq!(wide, ["card.csv: the text is UTF-16: save the file as CSV in UTF-8"]);
}

#[test]
fn a_mark_is_no_number_and_an_older_one_is_still_known() {
    let one = entry(&row(1));
    let mark = mark(&one);
    assert!(mark.starts_with("r-") && mark.len() == 18 && british(&mark) == mark, "{mark}");
    let bare = &mark[2..];
    for text in [mark.as_str(), bare, " r-"] {
        let bytes = format!("id,replant_row,email\n1,{text},ann@web.de\n");
        assert_eq!(read(bytes.as_bytes(), std::slice::from_ref(&one), false).is_ok(), text != " r-", "{text}");
    }
    // Sixteen digits, or a power of ten, are numbers to a spreadsheet.
    let digits = (0..).map(|key| entry(&row(key))).find(|row| digits(row).bytes().all(|byte| byte.is_ascii_digit()));
    let found = digits.unwrap();
    let bytes = format!("id,replant_row,email\n{},{},ann@web.de\n", found.legacy_key, british(&super::digits(&found)));
    assert_eq!(read(bytes.as_bytes(), std::slice::from_ref(&found), false).unwrap().mended.len(), 1, "{bytes}");
}

/// What a cell can hold, of each kind.
fn cell(kind: Kind) -> BoxedStrategy<Value> {
    let text = || prop_oneof![".{0,12}", "['=+@\\-\t\r\n]{0,3}[a-z0-9.,\"\r\n\\\\N]{0,6}", "[0-9]{1,20}", "\\PC{0,4}"];
    let bad = text().prop_map(|raw| json!({ "raw": raw, "why": "not of its type" }));
    let value = match kind {
        Kind::Text => text().prop_map(Value::from).boxed(),
        Kind::SmallInt | Kind::Integer | Kind::BigInt => any::<i64>().prop_map(Value::from).boxed(),
        Kind::Float | Kind::Double => (-1e9_f64..1e9).prop_map(Value::from).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Wall | Kind::Instant | Kind::Date => (1_i16..9999, 1_i8..=12, 1_i8..=28, 0_i8..24)
            .prop_map(|(y, m, d, h)| Value::from(format!("{y:04}-{m:02}-{d:02} {h:02}:00:00")))
            .boxed(),
    };
    prop_oneof![6 => value, 1 => Just(Value::Null), 1 => bad].boxed()
}

fn any_row() -> impl Strategy<Value = Value> {
    let cells: Vec<BoxedStrategy<Value>> = COLUMNS.iter().skip(1).map(|(_, kind)| cell(*kind)).collect();
    (any::<i64>(), cells).prop_map(|(key, cells)| {
        let names = COLUMNS.iter().skip(1).map(|(name, _)| (*name).to_owned());
        let row: Map<String, Value> =
            std::iter::once(("id".to_owned(), Value::from(key))).chain(names.zip(cells)).collect();
        Value::Object(row)
    })
}

proptest! {
    #[test]
    fn a_row_that_comes_back_as_it_went_is_no_mend(row in any_row(), crlf: bool, bom: bool, exact: bool) {
        let rows = [entry(&row)];
        let read = read(&file(&lines(&rows), b',', crlf, bom), &rows, exact).unwrap();
        prop_assert_eq!(read, Read::default());
    }

    #[test]
    fn no_cell_begins_like_a_formula(row in any_row()) {
        let sheet = sheet();
        for (name, cell) in sheet.header().into_iter().zip(sheet.line(&entry(&row))) {
            let risky = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
            prop_assert!(!risky || cell.parse::<f64>().is_ok(), "{}: {:?}", name, cell);
        }
    }
}
