//! A step moves one legacy table: prepare, read, transform, write. Prepared it is with what stands here as well: its sources,
//! its plan, and what earlier steps know.

use std::marker::PhantomData;
use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};
use diesel::QueryResult;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache::LookupCache;
use super::draft::{Draft, Unit};
use super::errors::{FinishError, PrepareError};
use super::inspect::{Finding, Inspect, Pointer, PointerRule, PointerRules, Right, pointers_to};
use super::legacy::{Fate, LegacyRow};
use super::pages::each_page;
use super::person::Person;
use super::refusal::Refusal;
use crate::storage::bulk::{Rows, Tx};
use crate::storage::db::Db;
use crate::storage::indexes::UniqueIndex;
use crate::storage::ledger::erased::Marks;
use crate::storage::ledger::overlay::Overlay;
use crate::storage::ledger::plan::{Ours, StepPlan};
use crate::storage::ledger::standings::Standings;
use crate::storage::ledger::{self, FirstWritten, LedgerError};
use crate::storage::pool::Pool;
use crate::storage::shape::TableShape;
use crate::words::{Code, Followers, Key, KeySet};

/// One legacy table on its way into the target. A step is a type without values: all that it knows is in its lookups.
pub trait Step: Send + Sync + 'static {
    /// `domain.step`, in the ledger and in logs. Never renamed.
    const NAME: &'static str;
    /// What moves, in a line.
    const ABOUT: &'static str;
    /// The steps whose rows it points to, by their types: `&[stock::Items::NAME]`.
    const AFTER: &'static [&'static str];
    /// The target table whose ids it hands out; the first in a row's lineage.
    const TARGET: &'static str;
    /// Further target tables in which a legacy row may get an id: [`StepPlan::id_in`](crate::StepPlan::id_in).
    const ALSO: &'static [&'static str] = &[];
    /// Tables without ids whose rows belong to a row of the target, with the column that points to it: a replay that takes
    /// that row out takes them out first.
    const PARTS: &'static [(&'static str, &'static str)] = &[];
    /// Unique indexes that the target has once the step is done: built after the last part of its end, beside customers.
    const INDEXES: &'static [UniqueIndex] = &[];
    /// Further target tables that it changes, and how: the rights that the user needs there. TARGET, ALSO and PARTS are written
    /// anyhow, and SELECT is needed on all that `writes` names.
    const CHANGES: &'static [(&'static str, &'static [Right])] = &[];
    /// The code of a row that follows another one: why it was merged.
    const MERGED: Option<&'static str> = None;
    /// That its legacy rows are a person each: so one can be erased, with all rows of the unit.
    const PERSON: Option<Person> = None;
    /// What becomes of each legacy column.
    const FATES: &'static [(&'static str, Fate)];

    /// A row of the legacy table.
    type Legacy: LegacyRow;
    /// What `prepare` knows and `transform` asks.
    type Lookups: Send + Sync + 'static;
    /// What a chunk writes.
    type Rows: Rows;

    /// Further legacy tables that `prepare` reads.
    fn reads() -> Vec<TableShape> {
        Vec::new()
    }

    /// The target tables that it writes or reads, as `table!` declares them.
    fn writes() -> Vec<TableShape>;

    /// Looks at the target for what would keep the step from its end and that only the step knows of: before anything is
    /// written, by every `plan` and every run.
    ///
    /// # Errors
    /// Those of the database.
    fn inspect(_: &mut Inspect<'_>) -> QueryResult<Vec<Finding>> {
        Ok(Vec::new())
    }

    /// Builds the lookups, before the first chunk and again in every process: from the legacy database, which does not
    /// change, and from frozen readings of the target, which does.
    ///
    /// # Errors
    /// A database fails, or a lookup cannot be built.
    fn prepare(cx: &Prepare<'_>) -> Result<Self::Lookups, PrepareError>;

    /// The rows that travel with others.
    fn followers(_: &Self::Lookups) -> Option<&Followers> {
        None
    }

    /// Judges a unit: its rows and the lookups in, the id of its target row or a refusal out. Pure: no clock, no I/O, no
    /// log line, no panic.
    ///
    /// # Errors
    /// The refusal of the leader. Its followers then wait for it, or go its way.
    fn transform(
        lookups: &Self::Lookups,
        unit: &Unit<'_, Self::Legacy>,
        draft: &mut Draft<Self::Rows>,
    ) -> Result<i64, Refusal>;

    /// What is left to do in the target once every chunk is done, in one transaction. A replay does it again: it brings about
    /// a state, and finds what it brought about before. The repairs and the money of the last time are forgotten before.
    ///
    /// # Errors
    /// The database fails, or says why it cannot be done.
    fn finish(_: &Self::Lookups, _: &mut Tx<'_>) -> Result<(), FinishError> {
        Ok(())
    }

    /// How many parts the end of the step has: the same whenever it is asked. More than one where [`finish`](Self::finish)
    /// would keep rows of customers locked for longer than they may notice.
    fn finish_parts(_: &Self::Lookups) -> u64 {
        1
    }

    /// A part of the end of the step, counted from 0, in a short transaction of its own: the first time after all those before
    /// it, and once. A lock that it waits for longer than a moment fails it, and it is tried again. What holds for
    /// [`finish`](Self::finish) holds for each part.
    ///
    /// # Errors
    /// The database fails, or says why it cannot be done.
    fn finish_part(lookups: &Self::Lookups, _part: u64, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        Self::finish(lookups, tx)
    }

    /// Makes one row of those that share a value of an index of [`INDEXES`](Self::INDEXES), where the rules do: customers may
    /// have added some since the end of the step. Called, after its last part, when the index cannot be built. Returns how
    /// many rows it took away; rows that it leaves are named to the operator.
    ///
    /// # Errors
    /// The database fails.
    fn make_unique(_: &Self::Lookups, _: &UniqueIndex, _: &mut Tx<'_>) -> Result<u64, FinishError> {
        Ok(0)
    }
}

/// The code under which followers of a step are merged.
pub(crate) fn merged_code<S: Step>() -> Code {
    Code::from(S::MERGED.unwrap_or("merged"))
}

/// A reading of the live target. It changes while the migration runs, by customers and by the migration itself, so every
/// process must have the same one: that of the first process is kept in the ledger.
pub trait Frozen: Serialize + DeserializeOwned {
    /// What the ledger keeps it as. Never renamed.
    const NAME: &'static str;

    /// Reads it. Rows that the migration made (`ours`) are left out: after the first reading there are some.
    ///
    /// # Errors
    /// The database fails.
    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self>;

    /// Takes in what customers added until `now`: for a replay. What was read before stays as it was.
    fn extend(&mut self, now: Self);

    /// Puts marks in the place of addresses of persons who were erased ([`Marks::address`]; [`Marks::row`] for rows that are theirs), and
    /// leaves out what else it has of them. One that holds no person's values has nothing to do.
    fn erase(&mut self, _: &Marks) {}
}

/// A lookup that is built from the sources once a process, and shared by the steps that ask for it.
pub trait Lookup: Send + Sync + Sized + 'static {
    /// Builds it.
    ///
    /// # Errors
    /// A source cannot be read.
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError>;
}

/// Rows that are asked for at once.
const AT_ONCE: usize = 10_000;

/// What the standings of one step are known by.
struct StandingsOf<S>(PhantomData<fn() -> S>);

/// Whether steps that are done are judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// A run.
    Not,
    /// To see what would come out otherwise: nothing is written.
    Looking,
    /// The first pass of a replay: readings of the live target are extended.
    Extending,
    /// A further pass.
    Rereading,
}

/// What a step is handed to prepare with.
pub struct Prepare<'a> {
    pub(crate) step: &'static str,
    pub(crate) legacy: &'a Pool,
    pub(crate) target: &'a Pool,
    pub(crate) snapshot: Timestamp,
    pub(crate) plan: &'a Arc<StepPlan>,
    pub(crate) cache: &'a LookupCache,
    pub(crate) overlay: &'a Overlay,
    pub(crate) pointers: &'a PointerRules,
    pub(crate) again: Again,
    /// The steps that it waits for.
    pub(crate) after: &'static [&'static str],
    /// Waits for the end of one of them; whether it is done.
    pub(crate) until_done: &'a (dyn Fn(&'static str) -> bool + Sync),
}

impl Prepare<'_> {
    /// When the legacy database was frozen.
    pub fn snapshot(&self) -> Timestamp {
        self.snapshot
    }

    /// The keys and the ids of the step: the row of the n-th key may take the n-th id.
    pub fn plan(&self) -> Arc<StepPlan> {
        Arc::clone(self.plan)
    }

    /// Reads a legacy table from its first key to its last, a page at a time; the next page is read while `each` has the
    /// rows of this one. Rows that a later state of the legacy database has not any more come as they were read last, where
    /// a step moves the table.
    ///
    /// # Errors
    /// The database fails.
    pub fn scan<L: LegacyRow>(&self, mut each: impl FnMut(L)) -> Result<(), PrepareError> {
        let (send, pages) = bounded::<Result<Vec<L>, PrepareError>>(1);
        std::thread::scope(|scope| {
            scope.spawn(move || self.pages(&send));
            pages.into_iter().try_for_each(|page| {
                page?.into_iter().for_each(&mut each);
                Ok(())
            })
        })
    }

    /// Sends the pages of a legacy table, until it ends, fails, or nobody takes them any more.
    fn pages<L: LegacyRow>(&self, send: &Sender<Result<Vec<L>, PrepareError>>) {
        let ended = each_page(self.legacy, self.overlay, self.step, |rows| send.send(Ok(rows)).is_ok());
        if let Err(error) = ended {
            // Whoever waits for it is told, or is gone.
            let _ = send.send(Err(error));
        }
    }

    /// Reads the rows of a legacy table that have one of `keys`, ascending, likewise.
    ///
    /// # Errors
    /// The database fails.
    pub fn rows<L: LegacyRow>(&self, keys: &KeySet, mut each: impl FnMut(L)) -> Result<(), PrepareError> {
        let keys: Vec<Key> = keys.iter().collect();
        for some in keys.chunks(AT_ONCE) {
            let wanted = some.to_vec();
            let rows = self.legacy.ask(move |db, _| L::with_keys(db, &wanted))?;
            let mut rows = rows.map_err(|source| self.query(L::TABLE, source))?;
            self.overlay.with_keys(L::TABLE, &mut rows, some, L::key)?;
            rows.into_iter().for_each(&mut each);
        }
        Ok(())
    }

    /// Reads something from the target that does not change while the migration runs: currencies, countries.
    ///
    /// # Errors
    /// The database fails.
    pub fn target<T>(&self, what: &str, read: impl FnOnce(&mut Db) -> QueryResult<T>) -> Result<T, PrepareError> {
        read(&mut *self.target.get()?).map_err(|source| self.query(what, source))
    }

    /// Reads something from the target that does change. The first reading of the first process is kept in the ledger,
    /// and is what every later call returns, in any process; a replay takes in what customers added since.
    ///
    /// # Errors
    /// The database fails.
    pub fn frozen<T: Frozen>(&self) -> Result<T, PrepareError> {
        for step in self.after {
            self.wait_for(step)?;
        }
        let mut target = self.target.get()?;
        let known = |first: Option<T>| first.ok_or(PrepareError::NotDone(self.step));
        match self.again {
            Again::Rereading => known(ledger::frozen::load(&mut target, T::NAME)?),
            Again::Looking => {
                let mut first: T = known(ledger::frozen::load(&mut target, T::NAME)?)?;
                let marks = self.overlay.marks();
                if marks.is_erasing() {
                    first.erase(marks);
                    marks.tell_anew(T::NAME, &first, ledger::frozen::packed(T::NAME, &first)?);
                }
                self.extended(&mut target, Some(first))
            }
            // Nobody replays beside another one; of those who move a step anew one reads after the other.
            Again::Extending => target.write(|db| {
                ledger::undone::lock(db, self.step).map_err(LedgerError::from)?;
                let first = ledger::frozen::load(db, T::NAME)?;
                self.freeze(db, first)
            }),
            Again::Not => target.write(|db| {
                // Of two processes of a run the second finds the reading of the first.
                ledger::stage::lock(db, self.step).map_err(LedgerError::from)?;
                ledger::frozen::load(db, T::NAME)?.map_or_else(|| self.freeze(db, None), Ok)
            }),
        }
    }

    /// What stands in the target, or the first reading with what was added since.
    fn extended<T: Frozen>(&self, db: &mut Db, first: Option<T>) -> Result<T, PrepareError> {
        let ours = ledger::plan::ours(db)?;
        let mut now = T::read(db, &ours).map_err(|source| self.query(T::NAME, source))?;
        now.erase(self.overlay.marks());
        Ok(match first {
            None => now,
            Some(mut first) => {
                first.extend(now);
                first
            }
        })
    }

    fn freeze<T: Frozen>(&self, db: &mut Db, first: Option<T>) -> Result<T, PrepareError> {
        let reading = self.extended(db, first)?;
        ledger::frozen::save(db, T::NAME, &reading)?;
        Ok(reading)
    }

    /// The columns that point to `table` and that the settings let follow a row which is merged into another one.
    ///
    /// # Errors
    /// The database fails.
    pub fn followed(&self, table: &str) -> Result<Vec<Pointer>, PrepareError> {
        // Tables that no step knows are not copied for a rehearsal.
        if self.target.is_rehearsal() {
            return Ok(Vec::new());
        }
        let found = self.target("foreign keys", |db| pointers_to(db, table))?;
        let follows = |pointer: &Pointer| self.pointers.get(&pointer.name()) == Some(&PointerRule::Follow);
        Ok(found.into_iter().filter(follows).collect())
    }

    /// In a replay: what became of the step's own rows before.
    ///
    /// # Errors
    /// The ledger fails.
    pub fn before(&self) -> Result<Arc<Standings>, PrepareError> {
        match self.again {
            Again::Not => Ok(Arc::default()),
            Again::Looking | Again::Extending | Again::Rereading => {
                let standings = ledger::history::standings(&mut *self.target.get()?, self.step)?;
                Ok(Arc::new(standings.unwrap_or_default()))
            }
        }
    }

    /// In which state of the legacy database each row of the step was first written: a value that a rule takes from that, such as the
    /// time at which it was frozen, stays what it was in later ones. `before` is asked for what [`before`](Self::before) says, where
    /// there are later ones.
    ///
    /// # Errors
    /// The ledger fails, or `before` does.
    pub fn first_written(
        &self,
        before: impl FnOnce() -> Result<Arc<Standings>, PrepareError>,
    ) -> Result<FirstWritten, PrepareError> {
        if self.again == Again::Not {
            return Ok(FirstWritten::at(self.snapshot));
        }
        let states = ledger::generations::all(&mut *self.target.get()?)?;
        if states.iter().all(|state| state.snapshot_at == self.snapshot) {
            return Ok(FirstWritten::at(self.snapshot));
        }
        let (before, plan) = (before()?, Arc::clone(self.plan));
        Ok(ledger::first::read(&mut *self.target.get()?, self.step, (before, plan), &states, self.snapshot)?)
    }

    /// A lookup, built at the first call in this process.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn lookup<L: Lookup>(&self) -> Result<Arc<L>, PrepareError> {
        self.cache.get_or_build::<L, _, _>(|| L::build(self))
    }

    /// Hands out a lookup that came about while another one was built, to whoever asks for it from now on. It stays in memory
    /// until the run ends.
    pub fn offer<L: Lookup>(&self, lookup: L) {
        self.cache.keep(lookup);
    }

    /// What became of the rows of an earlier step, which stands in `AFTER`. A step is prepared while those before it still
    /// run, so this waits: ask for it last, and read first what does not need it.
    ///
    /// # Errors
    /// The ledger fails, or the step is not done.
    pub fn standings<S: Step>(&self) -> Result<Arc<Standings>, PrepareError> {
        self.wait_for(S::NAME)?;
        self.cache.get_or_build::<StandingsOf<S>, _, _>(|| {
            let standings = ledger::history::standings(&mut *self.target.get()?, S::NAME)?;
            standings.ok_or(PrepareError::NotDone(S::NAME))
        })
    }

    fn wait_for(&self, step: &'static str) -> Result<(), PrepareError> {
        // A lookup may ask for a step that is further up.
        if (self.until_done)(step) { Ok(()) } else { Err(PrepareError::Interrupted(step)) }
    }

    fn query(&self, what: &str, source: diesel::result::Error) -> PrepareError {
        PrepareError::Query { what: format!("{what} (for {})", self.step), source }
    }
}
