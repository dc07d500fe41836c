//! What a step is handed to prepare with: the sources, the plan, and what earlier steps know.

use std::any::{Any, TypeId};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crossbeam_channel::{Sender, bounded};
use diesel::QueryResult;
use jiff::Timestamp;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::inspect::{Pointer, PointerRule, PointerRules, pointers_to};
use super::legacy::{LegacyRow, weight};
use super::standing::Standings;
use super::step::Step;
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::storage::ledger::mends::Mends;
use crate::storage::ledger::plan::{Ours, StepPlan};
use crate::storage::ledger::{self, LedgerError};
use crate::storage::pool::{Pool, PoolError};
use crate::words::{Key, KeySet};

/// Rows a page of a narrow read, at the most and at the least.
const PAGE: i64 = 10_000;
const LEAST: i64 = 32;
/// Rows of the first page: nobody knows what they weigh.
const FIRST_PAGE: i64 = 1_000;
/// About how many bytes of memory a page takes.
const PAGE_BYTES: u64 = 8 << 20;

/// Why a step could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The ledger fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A query fails.
    #[error("{what} could not be read: {}", Failure::of(.source).describe())]
    Query {
        /// What was read.
        what: String,
        /// What came back. Not shown: it may hold values.
        source: diesel::result::Error,
    },
    /// The step of a lookup is not done: a mistake in `AFTER`.
    #[error("the rows of `{0}` are asked for before that step is done: name it in AFTER")]
    NotDone(&'static str),
    /// A step that it waits for ended without being done.
    #[error("step {0} was not done")]
    Interrupted(&'static str),
    /// The sources are not as they must be.
    #[error("{0}")]
    Source(String),
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
}

/// A lookup that is built from the sources once a process, and shared by the steps that ask for it.
pub trait Lookup: Send + Sync + Sized + 'static {
    /// Builds it.
    ///
    /// # Errors
    /// A source cannot be read.
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError>;
}

type Shared = dyn Any + Send + Sync;

/// A lookup that was built, or the place for it: whoever builds it holds the place, and others wait.
#[derive(Default)]
struct Place {
    built: Option<Weak<Shared>>,
    /// Keeps it in memory.
    _kept: Option<Arc<Shared>>,
}

/// The lookups that were built in this process. Steps that run side by side share them as long as one of them has one, so
/// what none needs any more takes no memory. Those that run one after the other find them kept.
#[derive(Default)]
pub(crate) struct LookupCache {
    keeps: bool,
    places: Mutex<FxHashMap<TypeId, Arc<Mutex<Place>>>>,
}

impl LookupCache {
    /// One that keeps what was built until it goes itself.
    pub(crate) fn keeping() -> Self {
        Self { keeps: true, ..Self::default() }
    }

    fn place<Name: 'static>(&self) -> Arc<Mutex<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(TypeId::of::<Name>()).or_default())
    }

    /// Keeps one that was built elsewhere, whatever the others do.
    fn keep<T: Send + Sync + 'static>(&self, built: T) {
        let kept: Arc<Shared> = Arc::new(built);
        let place = self.place::<T>();
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Place { built: Some(Arc::downgrade(&kept)), _kept: Some(kept) };
    }

    /// The one that is known by the type `Name`, built at the first call.
    fn get_or_build<Name: 'static, T: Send + Sync + 'static, E>(
        &self,
        build: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let place = self.place::<Name>();
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let built = place.built.as_ref().and_then(Weak::upgrade);
        if let Some(built) = built.and_then(|any| any.downcast().ok()) {
            return Ok(built);
        }
        tracing::debug!(lookup = std::any::type_name::<Name>(), "built");
        let built = Arc::new(build()?);
        let any: Arc<Shared> = Arc::clone(&built) as _;
        *place = Place { built: Some(Arc::downgrade(&any)), _kept: self.keeps.then_some(any) };
        Ok(built)
    }
}

/// What the standings of one step are known by.
struct StandingsOf<S>(std::marker::PhantomData<fn() -> S>);

/// What a step is handed to prepare with.
pub struct Prepare<'a> {
    pub(crate) step: &'static str,
    pub(crate) legacy: &'a Pool,
    pub(crate) target: &'a Pool,
    pub(crate) snapshot: Timestamp,
    pub(crate) plan: &'a Arc<StepPlan>,
    pub(crate) cache: &'a LookupCache,
    pub(crate) mends: &'a Mends,
    pub(crate) pointers: &'a PointerRules,
    pub(crate) again: Again,
    /// The steps that it waits for.
    pub(crate) after: &'static [&'static str],
    /// Waits for the end of one of them; whether it is done.
    pub(crate) until_done: &'a (dyn Fn(&'static str) -> bool + Sync),
}

/// Whether steps that are done are judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// A run.
    Not,
    /// The first pass of a replay: readings of the live target are extended.
    Extending,
    /// A further pass.
    Rereading,
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
    /// rows of this one.
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
        let (mut after, mut size) = (None, FIRST_PAGE);
        loop {
            let page = self.page(after, size);
            let Ok(rows) = &page else {
                // Whoever waits for it is told, or is gone.
                let _ = send.send(page);
                return;
            };
            let a_row = weight(rows) / (rows.len() as u64).max(1) + 1;
            size = (PAGE_BYTES / a_row).cast_signed().clamp(LEAST, PAGE);
            after = rows.last().map(L::key);
            if after.is_none() || send.send(page).is_err() {
                return;
            }
        }
    }

    fn page<L: LegacyRow>(&self, after: Option<Key>, rows: i64) -> Result<Vec<L>, PrepareError> {
        let page = self.legacy.ask(move |db, _| L::page(db, after, rows))?;
        let mut page = page.map_err(|source| self.query(L::TABLE, source))?;
        self.mends.apply(&mut page)?;
        Ok(page)
    }

    /// Reads the rows of a legacy table that have one of `keys`, ascending.
    ///
    /// # Errors
    /// The database fails.
    pub fn rows<L: LegacyRow>(&self, keys: &KeySet, mut each: impl FnMut(L)) -> Result<(), PrepareError> {
        let keys: Vec<Key> = keys.iter().collect();
        for some in keys.chunks(PAGE as usize) {
            let some = some.to_vec();
            let rows = self.legacy.ask(move |db, _| L::with_keys(db, &some))?;
            let mut rows = rows.map_err(|source| self.query(L::TABLE, source))?;
            self.mends.apply(&mut rows)?;
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
        target.write(|db| {
            ledger::stage::lock(db, self.step).map_err(LedgerError::from)?;
            let first: Option<T> = ledger::frozen::load(db, T::NAME)?;
            match first {
                Some(first) if self.again != Again::Extending => Ok(first),
                first => {
                    let ours = ledger::plan::ours(db)?;
                    let now = T::read(db, &ours).map_err(|source| self.query(T::NAME, source))?;
                    let reading = match first {
                        None => now,
                        Some(mut first) => {
                            first.extend(now);
                            first
                        }
                    };
                    ledger::frozen::save(db, T::NAME, &reading)?;
                    Ok(reading)
                }
            }
        })
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
    pub fn before(&self) -> Result<Standings, PrepareError> {
        match self.again {
            Again::Not => Ok(Standings::default()),
            Again::Extending | Again::Rereading => {
                Ok(ledger::history::standings(&mut *self.target.get()?, self.step)?.unwrap_or_default())
            }
        }
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

impl From<diesel::result::Error> for PrepareError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Query { what: "the target".to_owned(), source }
    }
}
