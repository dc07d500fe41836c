//! All that the program prints: results on standard output, errors on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::Error;

/// Prints a result. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints a result without a line end.
pub(crate) fn print_raw(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

/// Prints a result for a script.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(text),
        Err(_) => complain("a defect: a result has no JSON form"),
    }
}

/// Says something on standard error.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Asks on standard error and reads the answer.
pub(crate) fn ask(question: impl Display) -> io::Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Renders an error, with its causes and what to do about it.
pub(crate) fn error(error: Error) {
    let wide = io::stderr().is_terminal();
    // A log keeps a message on one line, so that it can be searched for.
    let _ = miette::set_hook(Box::new(move |_| {
        let options = miette::MietteHandlerOpts::new().wrap_lines(wide).terminal_links(false);
        Box::new(options.build())
    }));
    complain(format!("{:?}", miette::Report::new(error)).trim_end());
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 7, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "12,345", "1,234,567"]);
    }
}
