//! Reading the text cells of a row by the text rule, with the repair that a changed text owes.

use std::borrow::Cow;

use replant_clean as clean;
use replant_core::{Cell, Draft, Key, Refusal, Rows};

/// The text of a cell by the text rule; a changed text is noted as `text_cleaned` on the row with `key`.
///
/// # Errors
/// The cell holds no text at all: no rule speaks of that.
pub fn text<'a, R: Rows>(
    cell: &'a Cell<String>,
    column: &'static str,
    key: Key,
    draft: &mut Draft<R>,
) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(raw) = cell.text(column)? else { return Ok(None) };
    let text = clean::text(raw);
    if text.cleaned {
        draft.repair(key, clean::Repair::TextCleaned, column, raw.to_owned(), text.value.as_deref().map(str::to_owned));
    }
    Ok(text.value)
}

/// A word of an enumerated column: the text of a cell in lower case, without noting anything.
///
/// # Errors
/// The cell holds no text at all: no rule speaks of that.
pub fn word<'a>(cell: &'a Cell<String>, column: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
    Ok(cell.text(column)?.and_then(clean::word))
}
