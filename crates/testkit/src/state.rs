//! All that a migration leaves behind, in a form that two runs can be compared in.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use replant_core::db::Db;
use replant_core::ledger::{history, plan, status};
use replant_core::{IdBlock, LedgerError};

use crate::catalog;
use crate::dump::{self, TableDump};

/// What stands for a time that a run took from the clock.
const NOW: &str = "now";

/// The rows of the target and what the ledger says of every legacy row. Chunks, runs and clock times are left out: they
/// may differ between two runs that did the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The target's tables.
    pub tables: Vec<TableDump>,
    /// What became of every legacy row, and every repair, quarantined row and change, as a line each, sorted.
    pub ledger: Vec<String>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

/// The ledger's tables without chunks and times, each row as one text.
const LEDGER: &[&str] = &[
    "SELECT 'repair ' || step || ' ' || legacy_key || ' ' || code || ' ' || column_name || ' ' || coalesce(value_before, 'NULL') \
     || ' -> ' || coalesce(value_after, 'NULL') AS line FROM replant_repairs",
    "SELECT 'quarantine ' || step || ' ' || legacy_key || ' ' || code || ' ' || reason || ' root ' || root_step || ' ' || root_key \
     || ' ' || legacy_row AS line FROM replant_quarantine",
    "SELECT 'change ' || step || ' ' || target_table || ' ' || coalesce(CAST(target_id AS text), target_key) || ' ' || coalesce(CAST(legacy_key AS text), 'NULL') || ' ' \
     || what || ' ' || coalesce(value_before, 'NULL') || ' -> ' || coalesce(value_after, 'NULL') AS line FROM replant_changes",
];

/// The ids that were reserved, by target table: those of each step.
type Blocks = HashMap<String, Vec<IdBlock>>;

/// Where texts of the ledger hold ids of target rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct IdsInTexts {
    /// Repairs whose value afterwards is an id: their code, and the table.
    pub repairs: &'static [(&'static str, &'static str)],
    /// Fields of changed rows that hold ids: their name, and the table.
    pub changes: &'static [(&'static str, &'static str)],
}

/// What stands for an id of a block: the same whatever ids the target gave. It sorts behind ids and as they do.
fn place(blocks: &Blocks, table: &str, id: &str) -> Option<String> {
    let id = id.parse().ok()?;
    let of_step = |(step, ids): (usize, &IdBlock)| Some(format!("new {step} {:010}", ids.place(id)?));
    blocks.get(table)?.iter().enumerate().find_map(of_step)
}

impl State {
    /// The state of a target with new ids told by their place in the block that was reserved: a sequence gives other
    /// ids after a run that was killed while it planned. Imprints, which hold ids, are left out.
    ///
    /// # Errors
    /// The database fails, or has no ledger.
    pub fn but_for_ids(db: &mut Db, began: jiff::Timestamp, texts: IdsInTexts) -> Result<Self, LedgerError> {
        let mut blocks = Blocks::default();
        for (table, ids) in plan::blocks(db)? {
            blocks.entry(table).or_default().push(ids);
        }
        let mut state = Self::of(db, began)?;
        for table in &mut state.tables {
            let mut references = catalog::references(db, &table.name)?;
            references.push(("id".to_owned(), table.name.clone()));
            for (column, parent) in references {
                let Some(at) = table.columns.iter().position(|name| *name == column) else { continue };
                for row in &mut table.rows {
                    let new = row[at].as_deref().and_then(|id| place(&blocks, &parent, id));
                    row[at] = new.or_else(|| row[at].take());
                }
            }
        }
        for line in state.ledger.iter_mut().filter(|line| line.starts_with("row ")) {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            words.truncate(7);
            words[5] =
                words[5].split(';').map(|target| target_but_for_id(&blocks, target)).collect::<Vec<_>>().join(";");
            *line = words.join(" ");
        }
        for line in state.ledger.iter_mut().filter(|line| line.starts_with("repair ")) {
            let of = texts.repairs.iter().find(|(code, _)| line.contains(&format!(" {code} ")));
            if let (Some((_, table)), Some((before, id))) = (of, line.rsplit_once(' ')) {
                *line = format!("{before} {}", place(&blocks, table, id).unwrap_or_else(|| id.to_owned()));
            }
        }
        for line in state.ledger.iter_mut().filter(|line| line.starts_with("change ")) {
            *line = change_but_for_ids(&blocks, line, texts.changes);
        }
        state.ledger.sort_unstable();
        Ok(state)
    }

    /// The state of a target. Times from `began` on were taken from the clock.
    ///
    /// # Errors
    /// The database fails, or has no ledger.
    pub fn of(db: &mut Db, began: jiff::Timestamp) -> Result<Self, LedgerError> {
        let clock = began.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let mut tables = dump::dump_all(db)?;
        for table in &mut tables {
            let times: Vec<usize> =
                (0..table.columns.len()).filter(|place| table.columns[*place].ends_with("_at")).collect();
            for row in &mut table.rows {
                for place in &times {
                    if row[*place].as_ref().is_some_and(|at| *at >= clock) {
                        row[*place] = Some(NOW.to_owned());
                    }
                }
            }
        }
        let mut ledger = Vec::new();
        for step in history::known_steps(db)? {
            history::lineage(db, &step, |row| {
                let targets: Vec<String> = row.targets.iter().map(|(table, id)| format!("{table}:{id}")).collect();
                ledger.push(format!(
                    "row {} {} {} {} {} {} {}",
                    row.legacy_table,
                    row.legacy_id,
                    row.outcome,
                    row.code.as_deref().unwrap_or("-"),
                    targets.join(";"),
                    row.repairs.join(";"),
                    row.imprint.as_deref().unwrap_or("-")
                ));
                Ok::<_, LedgerError>(())
            })?;
        }
        for sql in LEDGER {
            let lines: Vec<Line> = diesel::sql_query(*sql).load(db)?;
            ledger.extend(lines.into_iter().filter_map(|line| line.line).map(|line| without_clock(&line)));
        }
        for code in status::codes(db)? {
            ledger.push(format!("code {} {} {} {}", code.step, code.what, code.code, code.count));
        }
        ledger.sort_unstable();
        Ok(Self { tables, ledger })
    }

    /// The first differences between two states; none where they are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = dump::differences(&self.tables, &other.tables);
        let only = |a: &[String], b: &[String], side: &str| -> Vec<String> {
            a.iter()
                .filter(|line| b.binary_search(line).is_err())
                .take(5)
                .map(|line| format!("only {side}: {line}"))
                .collect()
        };
        differences.extend(only(&self.ledger, &other.ledger, "in the first"));
        differences.extend(only(&other.ledger, &self.ledger, "in the second"));
        if differences.is_empty() && self.ledger.len() != other.ledger.len() {
            differences.push(format!("{} ledger lines against {}", self.ledger.len(), other.ledger.len()));
        }
        differences
    }
}

/// A change names its row, and may name others in its values.
fn change_but_for_ids(blocks: &Blocks, line: &str, fields: &[(&str, &str)]) -> String {
    let mut words: Vec<String> = line.splitn(5, ' ').map(str::to_owned).collect();
    if let [_, _, table, id, _] = &mut words[..] {
        *id = place(blocks, table, id).unwrap_or_else(|| id.clone());
    }
    fields.iter().fold(words.join(" "), |line, (field, table)| {
        let field = format!("\"{field}\":");
        let mut parts = line.split(&field);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            let (id, rest) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()));
            text + &field + &place(blocks, table, id).unwrap_or_else(|| id.to_owned()) + rest
        })
    })
}

fn target_but_for_id(blocks: &Blocks, target: &str) -> String {
    let new = target.split_once(':').and_then(|(table, id)| Some(format!("{table}:{}", place(blocks, table, id)?)));
    new.unwrap_or_else(|| target.to_owned())
}

/// A change of a row says when it was made.
fn without_clock(line: &str) -> String {
    match line.find("\"updated_at\":\"") {
        None => line.to_owned(),
        Some(_) => {
            let mut parts = line.split("\"updated_at\":\"");
            let mut text = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (_, rest) = part.split_once('"').unwrap_or(("", part));
                text.push_str("\"updated_at\":\"");
                text.push_str(NOW);
                text.push('"');
                text.push_str(rest);
            }
            text
        }
    }
}

/// Fails with the first differences where two states are not the same.
///
/// # Panics
/// They are not the same.
#[track_caller]
pub fn assert_same_state(what: &str, expected: &State, found: &State) {
    let differences = expected.differences(found);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
