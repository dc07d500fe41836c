//! What stands in a target, with rows that were migrated told by their legacy keys instead of their ids.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use replant_core::ledger::{generations, history, plan};
use replant_core::{IdBlock, LedgerError};
use replant_testkit::catalog;
use replant_testkit::dump::{self, TableDump};

use crate::world::Target;

/// A row for no legacy row's sake: an entry that evens out an account, say.
const MADE: &str = "made";

/// The columns of a row.
type Columns = BTreeMap<String, String>;

/// The rows of all tables, and what the ledger says of every legacy row.
pub(crate) struct Known {
    /// By table and key.
    pub(crate) rows: BTreeMap<String, Columns>,
    pub(crate) ledger: BTreeSet<String>,
}

/// The rows of all tables as they stand.
pub(crate) fn tables(target: &Target) -> Vec<TableDump> {
    dump::dump_all(&mut target.open()).unwrap()
}

/// Who is behind the ids of a target.
pub(crate) struct Names {
    lineage: Vec<history::Lineage>,
    names: HashMap<(String, String), String>,
    blocks: Vec<(String, IdBlock)>,
    /// Columns that point to tables, by table and column.
    references: HashMap<(String, String), String>,
    /// When the states were frozen, and the day on which the first was migrated.
    frozen: Vec<String>,
    clock: String,
}

impl Names {
    pub(crate) fn of(target: &Target) -> Self {
        let mut db = target.open();
        let mut lineage = Vec::new();
        for step in history::known_steps(&mut db).unwrap() {
            history::lineage(&mut db, &step, |row| {
                lineage.push(row);
                Ok::<_, LedgerError>(())
            })
            .unwrap();
        }
        let mut names: HashMap<(String, String), String> = HashMap::new();
        for row in lineage.iter().filter(|row| row.outcome.as_str() == "migrated") {
            for (table, id) in &row.targets {
                let name = format!("{}/{}", row.legacy_table, row.legacy_id);
                names.entry((table.clone(), id.to_string())).or_insert(name);
            }
        }
        let mut references = HashMap::new();
        for table in dump::tables(&mut db).unwrap() {
            references.insert((table.clone(), "id".to_owned()), table.clone());
            let pointing = catalog::references(&mut db, &table).unwrap();
            references.extend(pointing.into_iter().map(|(column, parent)| ((table.clone(), column), parent)));
        }
        let states = generations::all(&mut db).unwrap();
        let frozen = states.iter().map(|one| one.snapshot_at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()).collect();
        let clock = states[0].begun_at.strftime("%Y-%m-%d").to_string();
        Self { lineage, names, blocks: plan::blocks(&mut db).unwrap(), references, frozen, clock }
    }

    fn named(&self, table: &str, id: &str) -> String {
        let ours = || {
            let place = |ids: &IdBlock| id.parse().ok().and_then(|id| ids.place(id));
            self.blocks.iter().any(|(of, ids)| of == table && place(ids).is_some())
        };
        let name = self.names.get(&(table.to_owned(), id.to_owned())).cloned();
        name.unwrap_or_else(|| if ours() { MADE.to_owned() } else { id.to_owned() })
    }

    fn value(&self, table: &str, column: &str, value: &str) -> String {
        match self.references.get(&(table.to_owned(), column.to_owned())) {
            Some(parent) => self.named(parent, value),
            None if !column.ends_with("_at") => value.to_owned(),
            None if self.frozen.iter().any(|at| at == value) => "S".to_owned(),
            None if value.starts_with(&self.clock) => "now".to_owned(),
            None => value.to_owned(),
        }
    }

    fn rows(&self, tables: &[TableDump]) -> BTreeMap<String, Columns> {
        let mut rows = BTreeMap::new();
        for table in tables {
            for row in &table.rows {
                let value = |(column, value): (&String, &Option<String>)| {
                    let value = value
                        .as_deref()
                        .map_or_else(|| "NULL".to_owned(), |value| self.value(&table.name, column, value));
                    (column.clone(), value)
                };
                let columns: Columns = table.columns.iter().zip(row).map(value).collect();
                let key: Vec<&str> = table.key.iter().map(|place| columns[&table.columns[*place]].as_str()).collect();
                let key = if key == [MADE] { columns.values().map(String::as_str).collect() } else { key };
                let was = rows.insert(format!("{} {}", table.name, key.join(" ")), columns.clone());
                assert!(was.is_none(), "two rows are {} {}", table.name, key.join(" "));
            }
        }
        rows
    }

    fn ledger(&self) -> BTreeSet<String> {
        let line = |row: &history::Lineage| {
            let named = |(table, id): &(String, i64)| format!("{table}:{}", self.named(table, &id.to_string()));
            let targets: Vec<String> = row.targets.iter().map(named).collect();
            let (table, key, code) = (&row.legacy_table, row.legacy_id, row.code.as_deref().unwrap_or("-"));
            format!("{table}/{key} {} {code} {} {}", row.outcome, targets.join(";"), row.repairs.join(";"))
        };
        self.lineage.iter().map(line).collect()
    }
}

impl Known {
    pub(crate) fn of(target: &Target) -> Self {
        Self::named(&Names::of(target), &tables(target))
    }

    /// The same with rows that are gone.
    pub(crate) fn without(mut self, gone: &BTreeSet<String>) -> Self {
        let line = |line: String| {
            let mut words: Vec<&str> = line.split(' ').collect();
            if gone.contains(words[0]) {
                words[2] = "source_gone";
            }
            words.join(" ")
        };
        self.ledger = self.ledger.into_iter().map(line).collect();
        self
    }

    /// Tables as they stood, told by names that were given later.
    pub(crate) fn named(names: &Names, tables: &[TableDump]) -> Self {
        Self { rows: names.rows(tables), ledger: names.ledger() }
    }
}

/// Fails with the differences.
#[track_caller]
pub(crate) fn assert_same(what: &str, expected: &Known, found: &Known) {
    let mut told = Vec::new();
    for (row, columns) in &expected.rows {
        match found.rows.get(row) {
            None => told.push(format!("missing: {row} {columns:?}")),
            Some(others) => {
                for (column, value) in columns.iter().filter(|(column, value)| others.get(*column) != Some(value)) {
                    told.push(format!("{row}.{column}: {value} expected, found {:?}", others.get(column)));
                }
            }
        }
    }
    told.extend(
        found
            .rows
            .iter()
            .filter(|(row, _)| !expected.rows.contains_key(*row))
            .map(|(row, columns)| format!("too much: {row} {columns:?}")),
    );
    told.extend(expected.ledger.difference(&found.ledger).map(|line| format!("ledger expected: {line}")));
    told.extend(found.ledger.difference(&expected.ledger).map(|line| format!("ledger found: {line}")));
    assert!(told.is_empty(), "{what}: {} differences\n{}", told.len(), told[..told.len().min(1000)].join("\n"));
}

/// What stood before customers did something, and after.
pub(crate) struct Theirs<'a> {
    pub(crate) migrated: &'a Known,
    pub(crate) changed: &'a Known,
}

/// Fails with the differences: a row that customers changed has what they made of it, and for the rest what is expected, or what it
/// had; one that they added stands, and one that they removed does not.
#[track_caller]
pub(crate) fn assert_same_but_for(what: &str, theirs: &Theirs<'_>, expected: &Known, found: &Known) {
    let mut told = Vec::new();
    let all: BTreeSet<&String> =
        expected.rows.keys().chain(found.rows.keys()).chain(theirs.changed.rows.keys()).collect();
    // One of ours that a customer has changed and that goes into another one is closed, with what points to it led over.
    let went = |row: &str, columns: Option<&Columns>| {
        row.starts_with("accounts ") && columns.is_some_and(|columns| columns["id"] == MADE)
    };
    // What a row of theirs points to stays, whatever becomes of it.
    let added = theirs.changed.rows.iter().filter(|(row, _)| !theirs.migrated.rows.contains_key(*row));
    let pointed: BTreeSet<&String> =
        added.flat_map(|(_, columns)| columns.values()).filter(|value| value.contains('/')).collect();
    let stays = |row: &str| row.split(' ').any(|word| pointed.contains(&word.to_owned()));
    for row in all {
        let kept =
            !expected.rows.contains_key(row) && stays(row) && found.rows.get(row) == theirs.migrated.rows.get(row);
        if kept || went(row, theirs.changed.rows.get(row)) || went(row, found.rows.get(row)) {
            continue;
        }
        let (was, is) = (theirs.migrated.rows.get(row), theirs.changed.rows.get(row));
        let (wanted, stands) = (expected.rows.get(row), found.rows.get(row));
        match (was, is) {
            // They have removed it.
            (Some(_), None) => {
                if stands.is_some() {
                    told.push(format!("is back: {row} {stands:?}"));
                }
            }
            // They have added it, or left it alone.
            (None, Some(is)) => {
                let same =
                    |stands: &Columns| is.iter().all(|(column, value)| value == MADE || stands[column] == *value);
                if wanted.is_none() && !stands.is_some_and(same) {
                    told.push(format!("added: {row} {is:?}, found {stands:?}"));
                }
            }
            (Some(was), Some(is)) if was != is => match stands {
                None => told.push(format!("gone: {row} {is:?}")),
                Some(stands) => {
                    // The platform notes when a row was changed, by whomever.
                    for (column, value) in stands.iter().filter(|(column, _)| *column != "updated_at") {
                        let theirs = was[column] != is[column];
                        let right = match theirs {
                            true => *value == is[column],
                            false => *value == is[column] || wanted.is_some_and(|wanted| wanted[column] == *value),
                        };
                        if !right {
                            told.push(format!("{row}.{column}: {value}, was {} and then {}", was[column], is[column]));
                        }
                    }
                }
            },
            _ if wanted == stands => {}
            _ => told.push(format!("{row}: {wanted:?} expected, found {stands:?}")),
        }
    }
    // What would not come in any more stays where a customer has changed it.
    let touched = |line: &&String| {
        let key = line.split(' ').next().unwrap_or_default();
        let changed = |(row, is): (&String, &Columns)| {
            row.ends_with(&format!(" {key}")) && theirs.migrated.rows.get(row) != Some(is)
        };
        pointed.contains(&key.to_owned()) || theirs.changed.rows.iter().any(changed)
    };
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
        a.difference(b).filter(|line| !touched(line)).cloned().collect()
    };
    told.extend(only(&expected.ledger, &found.ledger).iter().map(|line| format!("ledger expected: {line}")));
    told.extend(only(&found.ledger, &expected.ledger).iter().map(|line| format!("ledger found: {line}")));
    assert!(told.is_empty(), "{what}: {} differences\n{}", told.len(), told[..told.len().min(60)].join("\n"));
}
