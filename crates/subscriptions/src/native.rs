//! The subscriptions that customers took out on the platform.

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::subscriptions as s;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NativeSubscription {
    pub(crate) id: i64,
    pub(crate) account_id: i64,
    pub(crate) plan: String,
    pub(crate) active: bool,
    pub(crate) started_at: Instant,
    pub(crate) gateway_ref: Option<String>,
}

/// All of them, by id, as they were once the accounts were consolidated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Native(pub(crate) Vec<NativeSubscription>);

type Found = (i64, String, String, Instant, Option<String>);

impl Frozen for Native {
    const NAME: &'static str = "subscriptions.native";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let page = |db: &mut Db, after: i64| {
            let next = s::table.filter(s::id.gt(after)).order(s::id).limit(Ours::PAGE);
            next.select((s::id, (s::account_id, s::plan, s::status, s::started_at, s::gateway_ref))).load(db)
        };
        let mut native = Vec::new();
        ours.natives(db, "subscriptions", i64::MIN, page, |id, row: Found| {
            let (account_id, plan, status, started_at, gateway_ref) = row;
            let active = status == "active";
            native.push(NativeSubscription { id, account_id, plan, active, started_at, gateway_ref });
        })?;
        Ok(Self(native))
    }

    /// A subscription stays as it was, but for its account: that may have gone into another one since.
    fn extend(&mut self, now: Self) {
        for own in now.0 {
            match self.0.binary_search_by_key(&own.id, |known| known.id) {
                Ok(place) => self.0[place].account_id = own.account_id,
                Err(place) => self.0.insert(place, own),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(id: i64, account_id: i64, active: bool) -> NativeSubscription {
        let started_at = Instant("2024-02-01T10:00:00Z".parse().unwrap());
        NativeSubscription { id, account_id, plan: "family".to_owned(), active, started_at, gateway_ref: None }
    }

    #[test]
    fn what_was_read_first_stays_but_for_the_account() {
        let mut first = Native(vec![own(2, 10, true), own(5, 11, true)]);
        first.extend(Native(vec![own(2, 12, false), own(3, 13, true), own(7, 14, false)]));
        let expect = vec![own(2, 12, true), own(3, 13, true), own(5, 11, true), own(7, 14, false)];
        assert_eq!(first, Native(expect));
    }
}
