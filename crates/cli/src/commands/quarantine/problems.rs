//! What is wrong with a file of mended rows, said so that a person can read it: a mistake by its line, a wholesale change once.

use std::fmt::Display;

/// So many mistakes of one kind are named one by one.
const FEW: usize = 10;

/// The mistakes of a file.
pub(super) struct Problems {
    file: String,
    found: Vec<Problem>,
}

struct Problem {
    line: u64,
    column: Option<&'static str>,
    what: String,
}

impl Problems {
    pub(super) fn of(file: impl Into<String>) -> Self {
        Self { file: file.into(), found: Vec::new() }
    }

    /// A mistake of a line, or of a column's cell in it. `what` holds no value: mistakes of one kind say the same.
    pub(super) fn add(&mut self, line: u64, column: Option<&'static str>, what: impl Display) {
        self.found.push(Problem { line, column, what: what.to_string() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Each mistake; those of which there are many together, with the first of them.
    pub(super) fn said(&self) -> Vec<String> {
        let mut kinds: Vec<&str> = Vec::new();
        for problem in &self.found {
            if !kinds.contains(&problem.what.as_str()) {
                kinds.push(&problem.what);
            }
        }
        let of_kind = |kind: &str| self.found.iter().filter(|problem| problem.what == kind).collect::<Vec<_>>();
        kinds.into_iter().flat_map(|kind| self.kind(kind, &of_kind(kind))).collect()
    }

    fn one(&self, Problem { line, column, what }: &Problem) -> String {
        let column = column.map(|column| format!("column `{column}`: ")).unwrap_or_default();
        format!("{}, line {line}: {column}{what}", self.file)
    }

    fn kind(&self, what: &str, problems: &[&Problem]) -> Vec<String> {
        let at = |problem: &Problem| match problem.column {
            Some(column) => format!("line {}, column `{column}`", problem.line),
            None => format!("line {}", problem.line),
        };
        let file = &self.file;
        match problems {
            [first, ..] if problems.len() > FEW => vec![format!(
                "{file}: {what}: {} times, the first in {}. If a spreadsheet changed them all: export anew, and open the file \
                 with every column as text, or mend it in a text editor",
                problems.len(),
                at(first)
            )],
            _ => problems.iter().map(|problem| self.one(problem)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_mistakes_of_one_kind_are_one_line() {
        let mut problems = Problems::of("card.csv");
        problems.add(2, None, "no key");
        for line in 3..=14 {
            problems.add(line, Some("created_when"), "a time is expected");
        }
        let said = problems.said();
        assert_eq!(said[0], "card.csv, line 2: no key");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].starts_with(
            "card.csv: a time is expected: 12 times, the first in line 3, column `created_when`. If a spreadsheet"
        ));
    }
}
