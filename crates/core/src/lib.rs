#![doc = include_str!("../README.md")]

mod contract;
mod engine;
mod policy;
mod storage;
mod words;

pub mod prelude;

pub use contract::draft::{Draft, Unit};
pub use contract::errors::{FinishError, PrepareError};
pub use contract::inspect::{Finding, Inspect, Pointer, PointerRule, PointerRules, Right, Severity};
pub use contract::legacy::{Fate, LegacyRow, gather};
pub use contract::person::Person;
pub use contract::refusal::Refusal;
pub use contract::step::{Frozen, Lookup, Prepare, Step};
pub use engine::catch_up::{CatchUp, CaughtUp, Expected};
pub use engine::chunk::{ChunkError, Rejudged};
pub use engine::erase::{Erase, Erased, Holding, StepErased};
pub use engine::error::{Kind, RunError};
pub use engine::event::{Event, Reporter, Silent};
pub use engine::migration::{Migration, ReadSnapshot};
pub use engine::passport::{AsLegacy, LegacyName, LegacyNow, LegacySide, Passport, States, Waits, passport};
pub use engine::preflight::Forecast;
pub use engine::registry::{Domain, OrderError, Registry, StepFates};
pub use engine::replay::Replay;
pub use engine::report::{Moved, Outlook, Plan, Rehearsed, Report, StepReport};
pub use engine::settings::{ForeignKeys, Offline, Settings, Subset};
pub use engine::step::AnyStep;
pub use engine::stop::Stop;
pub use engine::trial::{Selection, Trial, TrialRow};
pub use engine::undo::{Extent, Kept, StepUndone, Undo, Undone, Why};
pub use engine::verify::{Against, Difference, MoneyVerified, StepVerified, Tally, Verdict, Verified};
pub use policy::pace;
pub use policy::retry::Retries;
pub use storage::bulk::{
    Amending, Amendment, Batch, Holds, RowState, Rows, TargetColumn, TargetRow, Tx, UnitIndex, Write,
};
pub use storage::cell::{BadCell, Cell, Unfit};
pub use storage::constraints::{self, Building, OfflineError};
pub use storage::db;
pub use storage::expectations;
pub use storage::failure::Failure;
pub use storage::imprint::{Columns, Imprints, Lock};
pub use storage::indexes::UniqueIndex;
pub use storage::ledger::changes::{Change, RowName, added};
pub use storage::ledger::erased::Marks;
pub use storage::ledger::origin::{Keeps, Mended, RowChange};
pub use storage::ledger::plan::{IdBlock, IdRange, Ours, StepPlan};
pub use storage::ledger::standings::{Standing, Standings};
pub use storage::ledger::{self, FirstWritten, LedgerError};
pub use storage::model::{Insert, Model};
pub use storage::pool::{Pool, PoolError};
pub use storage::shape::{self, TableShape, shape_of};
pub use storage::sql::literal;
pub use storage::types::{Instant, Utc, Wall};
pub use words::{
    Code, Counts, Currency, Followers, Key, KeyRange, KeySet, Money, MoneyFlow, MoneyTotals, Outcome, Repair, Root,
};

#[doc(hidden)]
pub use diesel;
#[doc(hidden)]
pub use serde_json::{self, Value as Json};
