//! Reading both databases without changing either.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use replant_core::db::Db;

use crate::error::{Reading, ReportError};

/// Rows a page: what is held in memory at once.
pub(crate) const PAGE: i64 = 20_000;

/// Both databases.
pub struct Sources<'a> {
    /// The legacy database, opened read only.
    pub legacy: &'a mut Db,
    /// The target, with its ledger.
    pub target: &'a mut Db,
}

/// Runs `work` in a transaction of the target that sees one state of it throughout and writes nothing: the site is
/// live, and two figures of one report must not be of two moments.
pub(crate) fn at_one_moment<T>(
    sources: Sources<'_>,
    work: impl FnOnce(&mut Sources<'_>) -> Result<T, ReportError>,
) -> Result<T, ReportError> {
    let Sources { legacy, target } = sources;
    if let Db::Lite(lite) = target {
        lite.batch_execute("PRAGMA query_only = on")?;
    }
    let done = target.transaction(|target| {
        if let Db::Pg(pg) = target {
            pg.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
        }
        work(&mut Sources { legacy, target })
    });
    if let Db::Lite(lite) = target {
        lite.batch_execute("PRAGMA query_only = off")?;
    }
    done
}

/// Reads a table page by page: `page` gives the rows above an id, ascending, at most [`PAGE`] of them.
pub(crate) fn pages<R>(
    db: &mut Db,
    what: &'static str,
    page: impl Fn(&mut Db, i64) -> QueryResult<Vec<R>>,
    id: impl Fn(&R) -> i64,
    mut each: impl FnMut(R),
) -> Result<(), ReportError> {
    let mut after = i64::MIN;
    loop {
        let rows = page(db, after).reading(what)?;
        let Some(last) = rows.last().map(&id) else { return Ok(()) };
        rows.into_iter().for_each(&mut each);
        after = last;
    }
}

#[cfg(test)]
mod tests {
    use replant_core::db::{DbUrl, Role};

    use super::*;

    #[test]
    fn a_report_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        std::fs::File::create(&path).unwrap();
        let open = |role| Db::open(&DbUrl::sqlite(&path), role).unwrap();
        let (mut legacy, mut target) = (open(Role::Legacy), open(Role::Target));
        refuses(&mut legacy, &mut target);
        if let Some(database) = replant_testkit::postgres::database() {
            refuses(&mut legacy, &mut database.open());
        }
    }

    fn refuses(legacy: &mut Db, target: &mut Db) {
        let write = |sources: &mut Sources<'_>| Ok(sources.target.batch_execute("CREATE TABLE t (id BIGINT)").is_err());
        // The failed statement spoils the transaction: what is told is that it failed.
        let refused = at_one_moment(Sources { legacy, target }, write);
        assert!(refused.unwrap_or(true));
        target.batch_execute("CREATE TABLE t (id BIGINT)").unwrap();
    }
}
