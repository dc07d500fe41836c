//! Whose the legacy rows are: those with an address of the person, and those that became one with them.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::BuildError;
use rustc_hash::FxHashMap;

use super::platform::Platform;
use super::rows::{Erasing, each_row};
use super::search::Search;
use crate::contract::person::Person;
use crate::engine::error::RunError;
use crate::storage::db::Db;
use crate::storage::ledger::{LedgerError, erased, history, origin, recorded};
use crate::words::{Key, Outcome};

/// A person.
pub(super) struct Whose {
    /// Looks for their addresses.
    pub(super) search: Search,
    /// Their legacy rows, by step.
    pub(super) rows: BTreeMap<&'static str, BTreeSet<Key>>,
    /// The mark of the address of each.
    pub(super) marks: FxHashMap<(&'static str, Key), String>,
    /// Rows of the target that hold an address, with the address.
    pub(super) platform: Platform,
}

/// The person who has an address, in its one form and as it was `asked` for. None: the run was asked to stop.
///
/// # Errors
/// A database fails.
pub(super) fn whose(erasing: &Erasing<'_>, (address, asked): (String, &str)) -> Result<Option<Whose>, RunError> {
    let run = erasing.run;
    let mut written = BTreeSet::from([asked.to_owned()]);
    let mut addresses: BTreeMap<String, BTreeSet<(&'static str, Key)>> = BTreeMap::from([(address, BTreeSet::new())]);
    let mut rows: BTreeMap<&'static str, BTreeSet<Key>> = BTreeMap::new();
    let Some((_, person)) = erasing.persons.first() else { return Ok(None) };
    loop {
        let search = unmarked(&addresses, person, &written)?;
        let before = (addresses.len(), rows.values().map(BTreeSet::len).sum::<usize>());
        for (step, person) in erasing.persons {
            let own = rows.entry(step.name()).or_default();
            let goes_on = each_row(run, (*step, erasing.overlay), &mut |_, table| {
                for (place, key) in table.keys.iter().enumerate() {
                    let Some(cell) = table.cell(place, person.address) else { continue };
                    let of_row = (person.normal)(&cell);
                    let is_known = of_row.as_ref().is_some_and(|address| addresses.contains_key(address));
                    // What is no address, or another one, may hold one.
                    if is_known || own.contains(key) || search.within(&cell).is_some() {
                        own.insert(*key);
                        if let Some(of_row) = of_row {
                            written.insert(cell.into_owned());
                            addresses.entry(of_row).or_default().insert((step.name(), *key));
                        }
                    }
                }
            })?;
            if !goes_on {
                return Ok(None);
            }
            let mut target = run.databases.target.get()?;
            for key in own.clone() {
                own.extend(group(&mut target, step.name(), key)?);
            }
        }
        if before == (addresses.len(), rows.values().map(BTreeSet::len).sum::<usize>()) {
            break;
        }
    }
    let platform = Platform::searched(run, &unmarked(&addresses, person, &written)?)?;
    let before = erased::rows(&mut *run.databases.target.get()?)?;
    // An account of somebody who was erased before has its mark.
    let known = |address: &str| {
        let of = platform.addresses.iter().filter(|(.., held)| held == address);
        of.filter_map(|(table, id, _)| before.get(&((*table).to_owned(), *id))).map(|row| row.mark.clone()).next()
    };
    let (mut marked, mut marks) = (Vec::new(), FxHashMap::default());
    for (address, of) in addresses {
        let mark = known(&address).unwrap_or_else(|| (person.mark)(&address, fastrand::u64(..)));
        marks.extend(of.into_iter().map(|row| (row, mark.clone())));
        marked.push((address, mark));
    }
    let search = Search::new(marked, person.normal, written.into_iter()).map_err(unsearchable)?;
    Ok(Some(Whose { search, rows, marks, platform }))
}

/// Looks for addresses that have no marks yet: each stands for itself.
fn unmarked<T>(
    addresses: &BTreeMap<String, T>,
    person: &Person,
    written: &BTreeSet<String>,
) -> Result<Search, RunError> {
    let addresses = addresses.keys().map(|address| (address.clone(), address.clone())).collect();
    Search::new(addresses, person.normal, written.iter().cloned()).map_err(unsearchable)
}

fn unsearchable(error: BuildError) -> RunError {
    RunError::Settings(error.to_string())
}

/// The legacy rows that became one row of the target with another one.
fn group(db: &mut Db, step: &'static str, key: Key) -> Result<Vec<Key>, LedgerError> {
    let is_in = |outcome| matches!(outcome, Outcome::Migrated | Outcome::Merged);
    let found = recorded::of_row(db, step, key)?.filter(|(_, row)| is_in(row.outcome) && row.table.is_none());
    let Some((chunk, target)) = found.and_then(|(chunk, row)| Some((chunk, row.target?))) else {
        return Ok(Vec::new());
    };
    let leaders = history::record_of(db, step, chunk)?.into_iter().filter(|row| row.target == target);
    let mut group: Vec<Key> = leaders.map(|row| row.key).collect();
    let followers = origin::followers(db, chunk, target)?;
    group.extend(followers.into_iter().filter(|(_, table)| table.is_none()).map(|(key, _)| key));
    Ok(group)
}
