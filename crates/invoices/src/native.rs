//! The numbers of invoices that the platform made itself: theirs are not to be had.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::schema::invoices;

/// Numbers of the platform's own invoices, frozen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NativeNumbers(pub(crate) FxHashSet<String>);

impl Frozen for NativeNumbers {
    const NAME: &'static str = "invoices.native";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let page = |db: &mut Db, after: i64| {
            let next = invoices::table.filter(invoices::id.gt(after)).order(invoices::id).limit(Ours::PAGE);
            next.select((invoices::id, invoices::number)).load(db)
        };
        let mut numbers = FxHashSet::default();
        ours.natives(db, "invoices", i64::MIN, page, |_, number: String| {
            numbers.insert(number);
        })?;
        Ok(Self(numbers))
    }

    fn extend(&mut self, now: Self) {
        self.0.extend(now.0);
    }
}
