//! Double posts: plantations that were entered before (rules: the same user, brand, project, trees and known time, and one
//! transaction or both by the API).

use std::hash::BuildHasher;

use jiff::Timestamp;
use replant_core::KeySet;
use replant_core::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::judge::{Known, Planted, Planting, judge};
use crate::legacy::{Plantation, Posted};
use crate::target::Kind;

/// What two rows share that are one post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Post {
    user: Option<Key>,
    brand: Option<Key>,
    project: Option<Key>,
    trees: i32,
    planted: Timestamp,
    by: By,
}

/// What makes it more than a coincidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum By {
    Transaction(Key),
    Api,
}

/// The posts that a row is: one by its transaction, one by the API. None where its time is not its own.
pub(crate) fn posts(planting: &Planting) -> impl Iterator<Item = Post> {
    let planted = match planting.planted {
        Planted::At(planted) => Some(planted),
        Planted::Derived(_) => None,
    };
    let api = match planting.kind {
        Kind::Api => Some(By::Api),
        Kind::Purchase | Kind::Gift | Kind::Subscription | Kind::CrossCharge => None,
    };
    let Planting { user, brand, project, trees, payment, .. } = *planting;
    let by = payment.map(By::Transaction).into_iter().chain(api);
    planted
        .into_iter()
        .flat_map(move |planted| by.clone().map(move |by| Post { user, brand, project, trees, planted, by }))
}

/// The keys of the rows that are one post with a row of lower key. Of all rows the cells that doubles share are read, and
/// eight bytes are kept: half a hash and the place of the row. The few rows of which a hash comes again are read in full,
/// judged, and compared.
pub(crate) fn find(cx: &Prepare<'_>, known: &Known) -> Result<KeySet, PrepareError> {
    let keys = &cx.plan().keys;
    let mut seen: Vec<u64> = Vec::with_capacity(usize::try_from(keys.len()).unwrap_or_default());
    cx.scan(|row: Posted| {
        // A row that was not planned stops its chunk.
        if let (Some(place), Some(hash)) = (keys.rank(row.id), half_hash(&row)) {
            seen.push(hash | place);
        }
    })?;
    let suspects = again(seen).into_iter().filter_map(|place| keys.at(place)).collect();
    let mut doubles = Doubles::default();
    cx.rows(&suspects, |row: Plantation| {
        // A row that an earlier code takes is nobody's double.
        if let Ok(planting) = judge(known, &row, crate::cost::read(&row, &known.currencies.0)) {
            doubles.see(row.id, posts(&planting));
        }
    })?;
    Ok(doubles.keys)
}

/// The upper half of a hash of what double posts share; the lower one is the place of a row. None of a row that is no
/// post: a cell that it needs holds nothing. Hours are left out: a wall time that the clocks skipped is one of the next hour.
fn half_hash(row: &Posted) -> Option<u64> {
    let Wall(at) = row.planted_when.good()?;
    let who = (row.user_id.reference("user_id").ok()?, row.brand_id.reference("brand_id").ok()?);
    let what = (row.project_id.reference("project_id").ok()?, row.trees.good()?);
    // Earlier times are unknown: many rows have the same one.
    let known = at.year() >= 2015;
    known.then(|| {
        FxBuildHasher.hash_one((who, what, at.date(), at.minute(), at.second(), at.subsec_nanosecond())) & !PLACE
    })
}

const PLACE: u64 = u32::MAX as u64;

/// The places of the rows whose hashes stand there more than once.
fn again(mut seen: Vec<u64>) -> Vec<u64> {
    seen.sort_unstable();
    let groups = seen.chunk_by(|a, b| a & !PLACE == b & !PLACE).filter(|group| group.len() > 1);
    groups.flatten().map(|entry| entry & PLACE).collect()
}

#[derive(Default)]
struct Doubles {
    seen: FxHashSet<Post>,
    keys: KeySet,
}

impl Doubles {
    /// Takes in the posts of the row with `key`; rows come in the order of their keys.
    fn see(&mut self, key: Key, posts: impl Iterator<Item = Post>) {
        for post in posts {
            if !self.seen.insert(post) {
                self.keys.insert(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Cost;
    use crate::target::Status;

    fn planting(kind: Kind, payment: Option<Key>) -> Planting {
        Planting {
            account_id: 100,
            user: Some(1),
            brand: None,
            brand_id: None,
            project: Some(5),
            project_id: 105,
            payment,
            kind,
            status: Status::Planted,
            trees: 3,
            planted: Planted::At(Timestamp::UNIX_EPOCH),
            cost: Cost::None,
        }
    }

    #[test]
    fn a_row_is_a_post_by_its_transaction_and_by_the_api() {
        let by = |planting: &Planting| posts(planting).map(|post| post.by).collect::<Vec<_>>();
        assert_eq!(by(&planting(Kind::Purchase, None)), []);
        assert_eq!(by(&planting(Kind::Purchase, Some(7))), [By::Transaction(7)]);
        assert_eq!(by(&planting(Kind::Api, None)), [By::Api]);
        assert_eq!(by(&planting(Kind::Api, Some(7))), [By::Transaction(7), By::Api]);
        let derived = Planting { planted: Planted::Derived(Timestamp::UNIX_EPOCH), ..planting(Kind::Api, Some(7)) };
        assert_eq!(by(&derived), []);
    }

    #[test]
    fn what_may_be_one_post_has_one_hash() {
        let row = |planted: &str| Posted {
            id: 7,
            user_id: Cell::Good(1),
            brand_id: Cell::Null,
            project_id: Cell::Good(5),
            trees: Cell::Good(3),
            planted_when: Cell::Good(Wall(planted.parse().unwrap())),
        };
        let hash = |row: &Posted| half_hash(row);
        let one = row("2023-03-26 01:30:00");
        assert_eq!(hash(&one), hash(&row("2023-03-26 02:30:00")), "the clocks skipped the first");
        assert_eq!(hash(&one), hash(&Posted { id: 8, brand_id: Cell::Good(0), ..one.clone() }));
        for other in [
            Posted { user_id: Cell::Good(2), ..one.clone() },
            Posted { brand_id: Cell::Good(1), ..one.clone() },
            Posted { project_id: Cell::Null, ..one.clone() },
            Posted { trees: Cell::Good(4), ..one.clone() },
            row("2023-03-26 01:30:01"),
            row("2023-03-27 01:30:00"),
        ] {
            assert_ne!(hash(&one), hash(&other), "{other:?}");
        }
        for none in [
            row("2014-12-31 23:59:59"),
            Posted { planted_when: Cell::Null, ..one.clone() },
            Posted { trees: Cell::Null, ..one.clone() },
            Posted { user_id: Cell::bad("n/a", "stored as Text, expected Integer"), ..one.clone() },
        ] {
            assert_eq!(hash(&none), None, "{none:?}");
        }
        let beyond = |raw: &str| Posted { user_id: Cell::bad(raw, "out of range"), ..one.clone() };
        assert!(hash(&beyond("18446744073709551615")).is_some(), "an id that nobody has is one all the same");
        assert_ne!(hash(&beyond("18446744073709551615")), hash(&beyond("18446744073709551614")));
    }

    #[test]
    fn hashes_that_meet_by_chance_make_no_doubles() {
        let at = |hash: u64, place: u64| hash << 32 | place;
        let seen = vec![at(3, 8), at(1, 5), at(3, 2), at(2, 3), at(3, 4), at(1, 7)];
        assert_eq!(again(seen), [5, 7, 2, 4, 8]);
        let mut doubles = Doubles::default();
        let one = planting(Kind::Api, Some(7));
        let other = Planting { trees: 4, ..one.clone() };
        for (key, row) in [(1, &one), (2, &other), (3, &one)] {
            doubles.see(key, posts(row));
        }
        assert_eq!(doubles.keys, [3].into_iter().collect());
    }
}
