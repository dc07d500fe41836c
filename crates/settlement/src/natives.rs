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
        let found: Vec<(i64, Option<String>, Option<String>)> =
            payments::table.select((payments::id, payments::gateway, payments::gateway_ref)).load(db)?;
        let native = found.into_iter().filter(|(id, ..)| !ours.made("payments", *id));
        Ok(Self::new(native.filter_map(|(_, gateway, reference)| Some((gateway?, reference?)))))
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
