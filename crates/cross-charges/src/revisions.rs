//! Charges of one brand, month and cost centre: which revision stays (rules: Cross-charges).

use std::collections::BTreeSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use jiff::civil::Date;
use replant_core::db::Db;
use replant_core::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::schema::cross_charges;

/// What the platform has one charge for: a brand, the first day of a month, a cost centre.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) brand_id: i64,
    pub(crate) period: Date,
    pub(crate) cost_centre: String,
}

/// Why a charge that is right in itself does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// There is a later revision.
    Superseded,
    /// The platform has a charge of its own.
    Native,
}

/// Looks for the revision that stays, among the charges that no other code took.
#[derive(Debug, Default)]
pub(crate) struct Search {
    latest: FxHashMap<Place, (Option<i64>, Key)>,
    superseded: Vec<Key>,
}

impl Search {
    /// Takes in a charge with its revision; one without is older than any other.
    pub(crate) fn add(&mut self, place: Place, revision: Option<i64>, key: Key) {
        let own = (revision, key);
        let latest = self.latest.entry(place).or_insert(own);
        if *latest < own {
            self.superseded.push(latest.1);
            *latest = own;
        } else if *latest > own {
            self.superseded.push(key);
        }
    }

    /// The charges that do not come in. `native`: where the platform has charges of its own.
    pub(crate) fn end(self, native: &BTreeSet<Place>) -> FxHashMap<Key, Left> {
        let mut left: FxHashMap<Key, Left> = self.superseded.into_iter().map(|key| (key, Left::Superseded)).collect();
        let taken = self.latest.iter().filter(|(place, _)| native.contains(place));
        left.extend(taken.map(|(_, (_, key))| (*key, Left::Native)));
        left
    }
}

/// Where the platform has charges of its own, frozen. In order: the same ones are the same bytes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NativeCharges(pub(crate) BTreeSet<Place>);

impl Frozen for NativeCharges {
    const NAME: &'static str = "cross_charges.native";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let page = |db: &mut Db, after: i64| {
            // A DATE has no type that all connections can read; as a text it looks alike on all of them.
            let period = sql::<Text>("CAST(period AS TEXT)");
            let next =
                cross_charges::table.filter(cross_charges::id.gt(after)).order(cross_charges::id).limit(Ours::PAGE);
            next.select((cross_charges::id, (cross_charges::brand_id, period, cross_charges::cost_centre))).load(db)
        };
        let mut places = BTreeSet::new();
        ours.natives(
            db,
            "cross_charges",
            i64::MIN,
            page,
            |_, (brand_id, period, cost_centre): (i64, String, String)| {
                // A day that is none of this calendar (infinity) is no charge's.
                places.extend(period.parse().ok().map(|period| Place { brand_id, period, cost_centre }));
            },
        )?;
        Ok(Self(places))
    }

    fn extend(&mut self, now: Self) {
        self.0.extend(now.0);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn place(cost_centre: &str) -> Place {
        Place { brand_id: 7, period: date(2023, 7, 1), cost_centre: cost_centre.to_owned() }
    }

    fn left(rows: &[(Key, &str, Option<i64>)], native: &[&str]) -> Vec<(Key, Left)> {
        let mut search = Search::default();
        for (key, cost_centre, revision) in rows {
            search.add(place(cost_centre), *revision, *key);
        }
        let mut left: Vec<_> = search.end(&native.iter().map(|name| place(name)).collect()).into_iter().collect();
        left.sort_unstable_by_key(|(key, _)| *key);
        left
    }

    #[test]
    fn the_highest_revision_stays_then_the_highest_id() {
        use Left::Superseded;
        for rows in [
            [(1, "hr", Some(1)), (2, "hr", Some(2)), (3, "hr", Some(1))],
            [(1, "hr", None), (2, "hr", Some(-1)), (3, "hr", None)],
        ] {
            assert_eq!(left(&rows, &[]), [(1, Superseded), (3, Superseded)]);
        }
        assert_eq!(left(&[(1, "hr", None), (2, "hr", None)], &[]), [(1, Superseded)]);
        assert_eq!(left(&[(1, "hr", Some(5)), (2, "hr", Some(5))], &[]), [(1, Superseded)]);
        assert_eq!(left(&[(1, "hr", Some(5)), (2, "HR", Some(6)), (3, "r&d", None)], &[]), []);
    }

    #[test]
    fn the_revision_that_stays_gives_way_to_a_charge_of_the_platform() {
        let rows = [(1, "hr", Some(1)), (2, "hr", Some(2)), (3, "r&d", Some(1))];
        assert_eq!(left(&rows, &["hr", "it"]), [(1, Left::Superseded), (2, Left::Native)]);
    }
}
