//! Foreign keys and secondary indexes of an offline platform: dropped for a load, kept in the ledger, built again.
//!
//! Only PostgreSQL has this. What decides which rows are refused while they are written stays: primary keys, unique
//! indexes, checks, NOT NULL. What a foreign key would have refused is found when it is built again ([`orphans`]).

mod catalogue;
mod drop;
mod orphans;
mod restore;
mod sessions;
pub(crate) mod sound;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use serde::Serialize;

use super::db::{Db, DbUrl, OpenError, Role};
use super::failure::Failure;
use super::ledger::{Attempt, LedgerError, runs};
use super::types::{Instant, Utc};

pub(crate) use catalogue::lacking_rights;
pub(crate) use drop::{Filled, drop_for};
pub(crate) use orphans::{Orphans, ids, take_away};
pub use restore::Building;
pub(crate) use restore::restore;
pub use sessions::Session;
pub(crate) use sessions::foreign;

/// Something that a load dropped and that is not back yet.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct Missing {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = Text)]
    pub(crate) table_name: String,
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    #[diesel(sql_type = Bool)]
    pub(crate) is_index: bool,
    #[diesel(sql_type = Text)]
    pub(crate) definition: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) refuses: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) tablespace: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) remark: Option<String>,
    /// What stands in the catalogue under its name, by the catalogue's own definition.
    #[diesel(sql_type = Nullable<Text>)]
    pub(crate) found: Option<String>,
}

impl Missing {
    /// As errors name it.
    pub(crate) fn what(&self) -> String {
        let kind = if self.is_index { "index" } else { "foreign key" };
        format!("the {kind} `{}` of `{}`", self.name, self.table_name)
    }
}

/// How something that a load dropped stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "lowercase")]
pub enum Presence {
    /// It is missing: a run under way needs it so, or was killed.
    Missing,
    /// It is there again.
    Restored,
    /// It was there again, and something else than Replant has dropped it since.
    #[strum(serialize = "dropped by others")]
    Gone,
}

/// Something that a load dropped, as the ledger and the catalogue know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `foreign key` or `index`.
    pub kind: String,
    /// As the catalogue defined it.
    pub definition: String,
    /// The step that dropped it.
    pub step: String,
    /// When.
    pub dropped_at: Instant,
    /// When it was built again.
    pub restored_at: Option<Instant>,
    /// How it stands now.
    pub presence: Presence,
}

#[derive(QueryableByName)]
struct Listed {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    definition: String,
    #[diesel(sql_type = Text)]
    step: String,
    #[diesel(sql_type = Utc)]
    dropped_at: Instant,
    #[diesel(sql_type = Nullable<Utc>)]
    restored_at: Option<Instant>,
    #[diesel(sql_type = Bool)]
    there: bool,
}

/// The last word on each: one that was dropped by several loads stands once.
const LIST: &str = "
SELECT DISTINCT ON (d.table_name, d.name) d.table_name, d.name, d.kind, d.definition, d.step, d.dropped_at, d.restored_at,
       CASE d.kind WHEN 'index' THEN to_regclass(format('%s.%I', current_setting('replant.schema'), d.name)) IS NOT NULL
            ELSE EXISTS (SELECT FROM pg_constraint c
                          WHERE c.conrelid = to_regclass(format('%s.%I', current_setting('replant.schema'), d.table_name)) AND c.conname = d.name) END AS there
  FROM replant.replant_constraints d ORDER BY d.table_name, d.name, d.id DESC";

/// All that loads have dropped, and how it stands. Empty where the target is no PostgreSQL.
///
/// # Errors
/// The database fails, or has no ledger.
pub fn list(db: &mut Db) -> Result<Vec<Dropped>, LedgerError> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let listed: Vec<Listed> = diesel::sql_query(LIST).load(pg).attempt("read")?;
    let dropped = |l: Listed| Dropped {
        presence: match (l.restored_at, l.there) {
            (None, _) => Presence::Missing,
            (Some(_), true) => Presence::Restored,
            (Some(_), false) => Presence::Gone,
        },
        table: l.table_name,
        name: l.name,
        kind: l.kind,
        definition: l.definition,
        step: l.step,
        dropped_at: l.dropped_at,
        restored_at: l.restored_at,
    };
    Ok(listed.into_iter().map(dropped).collect())
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The steps whose loads have left something missing. None where the target is no PostgreSQL.
///
/// # Errors
/// The database fails, or has no ledger.
pub(crate) fn steps_with_missing(db: &mut Db) -> Result<Vec<String>, LedgerError> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let sql = "SELECT DISTINCT step AS name FROM replant.replant_constraints WHERE restored_at IS NULL ORDER BY 1";
    let steps: Vec<Name> = diesel::sql_query(sql).load(pg).attempt("read")?;
    Ok(steps.into_iter().map(|step| step.name).collect())
}

/// Builds again all that loads have dropped of a target, and returns how much that was.
///
/// # Errors
/// A run is under way; it cannot be built. What was built stays built.
pub fn restore_all(target: &DbUrl, how: Building) -> Result<usize, OfflineError> {
    let open = || Ok(Db::open(target, Role::Target)?);
    let mut db = open()?;
    let steps = steps_with_missing(&mut db)?;
    if steps.is_empty() {
        return Ok(0);
    }
    if let Some(run) = runs::under_way(&mut db)? {
        return Err(OfflineError::UnderWay(run));
    }
    restore(&open, &steps, how)
}

/// What the ledger says is missing, beside what the catalogue has under that name. Definitions are compared as they
/// were taken.
const MISSING: &str = "
SELECT d.id, d.table_name, d.name, d.kind = 'index' AS is_index, d.definition, d.refuses, d.tablespace, d.remark,
       CASE d.kind
         WHEN 'index' THEN (SELECT pg_get_indexdef(x.indexrelid) || CASE WHEN x.indisvalid THEN '' ELSE ' INVALID' END
                              FROM pg_index x WHERE x.indexrelid = to_regclass(format('%s.%I', current_setting('replant.schema'), d.name)))
         ELSE (SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c
                WHERE c.conrelid = to_regclass(format('%s.%I', current_setting('replant.schema'), d.table_name)) AND c.conname = d.name) END AS found
  FROM replant.replant_constraints d WHERE d.restored_at IS NULL AND d.step = ANY ($1) ORDER BY d.id";

/// What is missing of the loads of some steps.
fn missing(pg: &mut PgConnection, steps: &[String]) -> QueryResult<Vec<Missing>> {
    catalogue::qualified(pg, |pg| diesel::sql_query(MISSING).bind::<Array<Text>, _>(steps).load(pg))
}

#[derive(QueryableByName)]
pub(crate) struct ForeignKey {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    #[diesel(sql_type = Text)]
    pub(crate) refuses: String,
}

/// The foreign keys that a load has dropped of a table, each with the condition by which it refuses a row `s`: a row that is
/// looked at closely is held against them too.
pub(crate) fn dropped_keys(pg: &mut PgConnection, table: &str) -> QueryResult<Vec<ForeignKey>> {
    let sql = "SELECT name, refuses FROM replant.replant_constraints \
               WHERE restored_at IS NULL AND kind = 'foreign key' AND table_name = $1 ORDER BY name";
    diesel::sql_query(sql).bind::<Text, _>(table).load(pg)
}

/// Why a load cannot be offline, or cannot be ended.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// Others may write to the platform.
    #[error(
        "the environment says that the target is not live, but others are connected who may write to it: {}. \
         Nothing is dropped: end these sessions, or set `live = true` for the target", sessions::name(.0)
    )]
    Foreign(Vec<Session>),
    /// The user may not drop or build.
    #[error(
        "an offline load drops and builds constraints, for which the database user lacks rights: {}. \
         Nothing is dropped: grant them, or set `live = true` for the target", .0.join("; ")
    )]
    Rights(Vec<String>),
    /// Something else stands in the place.
    #[error(
        "{what} cannot be built again: something else has taken its name. Drop or rename that; `constraints list` \
         has the definition that is to come back"
    )]
    Taken {
        /// What it is about.
        what: String,
    },
    /// Rows that point to nothing.
    #[error(
        "foreign keys that the load dropped cannot be validated, because rows point to nothing: {}. \
         Nothing is lost: give the rows what they point to, or take them out; then `migrate` or \
         `constraints restore` ends it", orphans::name(.0)
    )]
    Orphans(Vec<Orphans>),
    /// A run works on the target.
    #[error("a run is under way ({0}): it builds again what it dropped. Wait for its end, or stop it")]
    UnderWay(String),
    /// Dropping or building failed.
    #[error("{what} could not be {attempted}: {}", Failure::of(.source).describe())]
    Statement {
        /// What it is about.
        what: String,
        /// What was tried.
        attempted: &'static str,
        /// What came back. Not shown: it may hold values.
        source: diesel::result::Error,
    },
    /// The ledger or the catalogue fails.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No connection.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<diesel::result::Error> for OfflineError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Ledger(source.into())
    }
}

impl OfflineError {
    /// The error of diesel's behind it, if that is what it is.
    pub(crate) fn query_mut(&mut self) -> Option<&mut diesel::result::Error> {
        match self {
            Self::Statement { source, .. } | Self::Ledger(LedgerError::Database { source, .. }) => Some(source),
            _ => None,
        }
    }

    /// The failure of a database behind it, if that is what it is.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match self {
            Self::Statement { source, .. } | Self::Ledger(LedgerError::Database { source, .. }) => {
                Some(Failure::of(source))
            }
            Self::Open(error) => error.transient.then_some(Failure::Lost),
            Self::Foreign(_)
            | Self::Rights(_)
            | Self::Taken { .. }
            | Self::Orphans(_)
            | Self::UnderWay(_)
            | Self::Ledger(_) => None,
        }
    }
}
