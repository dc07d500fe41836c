//! Learns rates from a legacy database. It is only read; what is kept of it are counts, and while it is read hashes and ids:
//! no value comes into the result.

mod cells;
mod money;
mod people;
mod rows;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_core::db::{Backend, Db, DbUrl, Role};

use crate::rates::Rates;
use crate::{Progress, SimulateError};

/// Rows of a page.
const PAGE: i64 = 5_000;

impl Rates {
    /// The rates of a legacy database: the share of NULLs, of each format and each dirt, of duplicates, the skew of rows per
    /// user. What cannot be measured, or of which there is no row, keeps its default.
    ///
    /// # Errors
    /// The database can't be opened, or has other tables.
    pub fn learnt_from(legacy: &DbUrl, progress: Progress<'_>) -> Result<Self, SimulateError> {
        let mut pages = Pages { db: Db::open(legacy, Role::Legacy)?, progress };
        let mut rates = Self::default();
        let people = people::learn(&mut pages, &mut rates)?;
        money::learn(&mut pages, &mut rates, &people)?;
        rows::learn(&mut pages, &mut rates, &people)?;
        Ok(rates)
    }
}

/// A legacy database, read by key.
struct Pages<'a> {
    db: Db,
    progress: Progress<'a>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    cells: String,
}

/// Cells as text, in the order in which they were asked for.
type Cells = Vec<Option<String>>;

impl Pages<'_> {
    /// Every row of a table in the order of its ids: the id and the cells of `columns`.
    fn each(
        &mut self,
        table: &'static str,
        columns: &[&str],
        mut see: impl FnMut(u64, &Cells),
    ) -> Result<(), SimulateError> {
        let sql = self.query(table, columns);
        let refused = |source| SimulateError::Database { what: table, source };
        let mut after = -1;
        loop {
            let lines: Vec<Line> =
                diesel::sql_query(&sql).bind::<BigInt, _>(after).load(&mut self.db).map_err(refused)?;
            for Line { id, cells } in &lines {
                // A row whose bytes are no text tells nothing.
                if let Ok(cells) = serde_json::from_str::<Cells>(cells) {
                    see(u64::try_from(*id).unwrap_or(0), &cells);
                }
            }
            (self.progress)(table, lines.len() as u64);
            let Some(last) = lines.last() else { return Ok(()) };
            after = last.id;
        }
    }

    /// Cells of any type as one text: the columns differ from table to table.
    fn query(&self, table: &str, columns: &[&str]) -> String {
        let (quote, array, id, text) = match self.db.backend() {
            Backend::MariaDb => ('`', "JSON_ARRAY", "CAST(id AS SIGNED)", "CHAR"),
            Backend::Postgres | Backend::Sqlite => ('"', "json_array", "id", "TEXT"),
        };
        let cells: Vec<String> =
            columns.iter().map(|column| format!("CAST({quote}{column}{quote} AS {text})")).collect();
        let cells = cells.join(", ");
        format!(
            "SELECT {id} AS id, CAST({array}({cells}) AS {text}) AS cells FROM {quote}{table}{quote} \
             WHERE id > ? ORDER BY id LIMIT {PAGE}"
        )
    }
}

/// How many of how many.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    hits: u64,
    of: u64,
}

impl Tally {
    fn see(&mut self, hit: bool) -> bool {
        self.hits += u64::from(hit);
        self.of += 1;
        hit
    }

    /// Sets a rate to the share, in millionths, where there was anything to see.
    fn set(self, rate: &mut f64) {
        if self.of > 0 {
            *rate = (self.hits as f64 / self.of as f64 * 1e6).round() / 1e6;
        }
    }
}

/// Declares tallies, and sets rates of the same names from them.
macro_rules! tallies {
    ($Name:ident for $Group:ident { $($rate:ident),* $(,)? }) => {
        #[derive(Default)]
        pub(super) struct $Name { $($rate: crate::learn::Tally,)* }

        impl $Name {
            pub(super) fn set(&self, rates: &mut crate::rates::$Group) {
                $(self.$rate.set(&mut rates.$rate);)*
            }
        }
    };
}

use tallies;
