//! Who asks for one row: both databases, the steps, and the chunks that were read.

use std::rc::Rc;
use std::time::Duration;

use crossbeam_channel::bounded;
use rustc_hash::FxHashMap;

use super::told::LegacyNow;
use crate::contract::legacy::Fate;
use crate::engine::error::RunError;
use crate::engine::registry::Registry;
use crate::engine::step::AnyStep;
use crate::storage::bulk::Told;
use crate::storage::db::{Db, DbUrl, Role};
use crate::storage::failure::Failure;
use crate::storage::imprint::{Table, hashed};
use crate::storage::ledger::generations::{self, Generation};
use crate::storage::ledger::history::{self, KnownStep};
use crate::storage::ledger::record::Migrated;
use crate::storage::ledger::{imprints, seen};
use crate::storage::pool::{Pool, PoolError};
use crate::words::Key;

/// The legacy database, as far as it can be asked.
pub struct LegacySide(Side);

enum Side {
    At(DbUrl, Duration),
    Open(Pool),
    Unknown(String),
}

impl LegacySide {
    /// At an address; a server that has not answered for so long is asked no more.
    pub fn at(url: DbUrl, patience: Duration) -> Self {
        Self(Side::At(url, patience))
    }

    /// It cannot be asked, and why: what is shown to the operator.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self(Side::Unknown(why.into()))
    }

    /// A row of the table of a step.
    fn row(&mut self, step: &dyn AnyStep, key: Key) -> LegacyNow {
        if let Side::At(url, patience) = &self.0 {
            self.0 = match open(url, *patience) {
                Ok(pool) => Side::Open(pool),
                Err(error) => Side::Unknown(error.to_string()),
            };
        }
        let why = match &self.0 {
            Side::Open(pool) => match step.legacy_row(pool, key) {
                Ok(Ok(row)) => return row.map_or(LegacyNow::Gone, |row| LegacyNow::There { row }),
                Ok(Err(error)) => {
                    let failure = Failure::of(&error).describe();
                    return LegacyNow::Unknown { why: format!("the legacy database could not be read: {failure}") };
                }
                Err(error) => error.to_string(),
            },
            Side::Unknown(why) => why.clone(),
            Side::At(..) => unreachable!("it was opened, or could not be"),
        };
        self.0 = Side::Unknown(why.clone());
        LegacyNow::Unknown { why }
    }
}

/// Opens a legacy database, on a thread of its own: a network that swallows packets answers after minutes.
fn open(url: &DbUrl, patience: Duration) -> Result<Pool, PoolError> {
    let (done, opened) = bounded(1);
    let address = url.clone();
    std::thread::spawn(move || {
        // Whoever waited may have given up.
        drop(done.send(Pool::open(&address, Role::Legacy, 1, None)));
    });
    let pool = opened.recv_timeout(patience).map_err(|_| {
        let (role, backend, place) = (Role::Legacy, url.backend(), url.place());
        PoolError::Silent { role, backend, place, waited: patience }
    })??;
    Ok(pool.giving_up_after(patience))
}

/// What is kept of a chunk.
pub(super) struct Chunk {
    pub(super) record: Vec<Migrated>,
    pub(super) imprints: Vec<Table>,
    pub(super) seen: Option<Table>,
}

impl Chunk {
    /// The migrated row of a step to which a row of the target belongs.
    pub(super) fn holder(&self, own: &str, table: &str, id: i64) -> Option<Key> {
        let also = |row: &Migrated| row.also.iter().any(|(name, of)| name == table && *of == id);
        let holds = |row: &&Migrated| (own == table && row.target == id) || also(row);
        self.record.iter().find(holds).map(|row| row.key)
    }

    /// What was written into a table, and the place of the row with an `id`.
    pub(super) fn written(&self, table: &str, id: i64) -> Option<(&Table, usize)> {
        let of_table = self.imprints.iter().filter(|imprint| imprint.name == table);
        of_table.filter_map(|imprint| Some((imprint, imprint.place_of(id)?))).next()
    }
}

/// Whoever asks for one row.
pub(super) struct Asking<'a> {
    pub(super) db: &'a mut Db,
    legacy: LegacySide,
    /// The steps that were planned, in order.
    steps: Vec<(&'a dyn AnyStep, KnownStep)>,
    /// The tables that steps write, as far as they know them.
    told: FxHashMap<&'static str, Rc<Told>>,
    chunks: FxHashMap<i64, Rc<Chunk>>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(registry: &'a Registry, legacy: LegacySide, db: &'a mut Db) -> Result<Self, RunError> {
        let all = registry.ordered()?;
        let known = history::known_steps(db)?;
        let step = |known: KnownStep| Some((*all.iter().find(|step| step.name() == known.name)?, known));
        let steps = known.into_iter().filter_map(step).collect();
        Ok(Self { db, legacy, steps, told: told(&all), chunks: FxHashMap::default() })
    }

    /// The planned steps, in order.
    pub(super) fn steps(&self) -> Vec<(&'a dyn AnyStep, KnownStep)> {
        self.steps.clone()
    }

    /// What is known of a table of the target; none where no step writes it.
    pub(super) fn told(&self, table: &str) -> Option<Rc<Told>> {
        self.told.get(table).cloned()
    }

    pub(super) fn states(&mut self) -> Result<Vec<Generation>, RunError> {
        Ok(generations::all(self.db)?)
    }

    /// What is kept of a chunk of a step.
    pub(super) fn chunk(&mut self, step: &dyn AnyStep, chunk: i64) -> Result<Rc<Chunk>, RunError> {
        if let Some(kept) = self.chunks.get(&chunk) {
            return Ok(Rc::clone(kept));
        }
        let kept = Rc::new(Chunk {
            record: history::record_of(self.db, step.name(), chunk)?,
            imprints: imprints::of_chunk(self.db, chunk)?,
            seen: seen::of_chunk(self.db, step.legacy_table(), chunk)?,
        });
        self.chunks.insert(chunk, Rc::clone(&kept));
        Ok(kept)
    }

    /// A legacy row as its database has it.
    pub(super) fn now(&mut self, step: &dyn AnyStep, key: Key) -> LegacyNow {
        match self.legacy.row(step, key) {
            LegacyNow::There { row } => LegacyNow::There { row: self.without_secrets(step, row) },
            other => other,
        }
    }

    /// A legacy row with hashes in the place of what moves into columns that hold a secret.
    pub(super) fn without_secrets(&self, step: &dyn AnyStep, mut row: serde_json::Value) -> serde_json::Value {
        for (name, value) in row.as_object_mut().into_iter().flatten() {
            if self.is_secret(step, name) {
                *value = hashed(value);
            }
        }
        row
    }

    /// The columns of the legacy table of a step of which hashes are told.
    pub(super) fn secrets(&self, step: &dyn AnyStep) -> Vec<String> {
        let (shape, _) = step.legacy_shape();
        let names = shape.columns.into_iter().map(|column| column.name);
        names.filter(|name| self.is_secret(step, name)).map(str::to_owned).collect()
    }

    /// Whether a column of the legacy table of a step moves into one that holds a secret, or has the name of one.
    pub(super) fn is_secret(&self, step: &dyn AnyStep, column: &str) -> bool {
        let secret = |to: &str| {
            let (table, column) = to.split_once('.').unwrap_or_default();
            self.told.get(table).is_some_and(|told| told.secret.contains(&column))
        };
        let moves = |(name, fate): &(&str, Fate)| {
            // It may say more than one column, in words.
            let word = |letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '.');
            *name == column && matches!(fate, Fate::Moved(to) if to.split(word).any(secret))
        };
        let written = || step.filled().into_iter().filter_map(|table| self.told.get(table));
        step.fates().iter().any(moves) || written().any(|told| told.secret.contains(&column))
    }
}

/// The tables of the target that steps write or read, with the secrets that any model of them declares.
fn told(steps: &[&dyn AnyStep]) -> FxHashMap<&'static str, Rc<Told>> {
    let mut all: FxHashMap<&'static str, Told> = FxHashMap::default();
    let models: Vec<_> = steps.iter().flat_map(|step| step.models()).collect();
    let shapes = steps.iter().flat_map(|step| step.writes());
    for shape in shapes.chain(models.iter().map(|model| model.shape.clone())) {
        let told = all.entry(shape.name).or_insert_with(|| Told { shape: shape.clone(), secret: Vec::new() });
        for column in shape.columns {
            if !told.shape.columns.iter().any(|known| known.name == column.name) {
                told.shape.columns.push(column);
            }
        }
    }
    for model in models {
        if let Some(told) = all.get_mut(model.shape.name) {
            told.secret.extend(model.secret);
        }
    }
    all.into_iter().map(|(table, told)| (table, Rc::new(told))).collect()
}
