//! The references of payments that customers made since the launch.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{Frozen, Ours};
use serde::{Deserialize, Serialize};

use crate::doubles::hashed;
use crate::schema::payments;

/// The hashed references of native payments, ascending.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Natives(Vec<u64>);

impl Frozen for Natives {
    const NAME: &'static str = "settlement.native_payments";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let columns = (payments::id, (payments::gateway, payments::gateway_ref));
        let page = |db: &mut Db, after: i64| {
            let next = payments::table.filter(payments::id.gt(after)).order(payments::id).limit(Ours::PAGE);
            next.select(columns).load(db)
        };
        let mut references = Vec::new();
        let mut take =
            |_, (gateway, reference): (Option<String>, Option<String>)| references.extend(gateway.zip(reference));
        ours.natives(db, "payments", i64::MIN, page, &mut take)?;
        Ok(Self::new(references))
    }

    fn extend(&mut self, now: Self) {
        self.0.extend(now.0);
        self.0.sort_unstable();
        self.0.dedup();
    }
}

impl Lookup for Natives {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        cx.frozen()
    }
}

impl Natives {
    pub(crate) fn new(references: impl IntoIterator<Item = (String, String)>) -> Self {
        let references = references.into_iter();
        let mut hashes: Vec<u64> =
            references.map(|(gateway, reference)| hashed(&gateway.to_lowercase(), &reference)).collect();
        hashes.sort_unstable();
        Self(hashes)
    }

    /// Whether a native payment has the reference.
    pub(crate) fn has(&self, hash: u64) -> bool {
        self.0.binary_search(&hash).is_ok()
    }
}
