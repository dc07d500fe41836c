//! The numbers of invoices that the platform made itself: theirs are not to be had.

use std::collections::BTreeSet;

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::invoices;

/// Numbers of the platform's own invoices, frozen. In order: the same ones are the same bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NativeNumbers(pub(crate) BTreeSet<String>);

impl Frozen for NativeNumbers {
    const NAME: &'static str = "invoices.native";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let page = |db: &mut Db, after: i64| {
            let next = invoices::table.filter(invoices::id.gt(after)).order(invoices::id).limit(Ours::PAGE);
            next.select((invoices::id, invoices::number)).load(db)
        };
        let mut numbers = BTreeSet::new();
        ours.natives(db, "invoices", i64::MIN, page, |_, number: String| {
            numbers.insert(number);
        })?;
        Ok(Self(numbers))
    }

    fn extend(&mut self, now: Self) {
        self.0.extend(now.0);
    }
}
