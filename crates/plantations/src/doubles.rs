//! Double posts: plantations that were entered before (rules: the same user, brand, project, trees and known time, and one
//! transaction or both by the API).

use std::hash::BuildHasher;

use jiff::Timestamp;
use replant_core::KeySet;
use replant_core::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::judge::{Known, Planted, Planting, judge};
use crate::legacy::Plantation;
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

/// The keys of the rows that are one post with a row of lower key. Two readings: the first keeps eight bytes a post and finds
/// the hashes that come again, the second compares the rows behind these in full.
pub(crate) fn find(cx: &Prepare<'_>, known: &Known) -> Result<KeySet, PrepareError> {
    let posts_of = |row: &Plantation| {
        // A row that an earlier code takes is nobody's double.
        let planting = judge(known, row, crate::cost::read(row, &known.currencies.0)).ok();
        planting.map(|planting| posts(&planting).collect::<Vec<_>>()).unwrap_or_default()
    };
    let hash = |post: &Post| FxBuildHasher.hash_one(post);
    let mut hashes: Vec<u64> = Vec::new();
    cx.scan(|row: Plantation| hashes.extend(posts_of(&row).iter().map(hash)))?;
    let again = again(hashes);
    let mut doubles = Doubles::default();
    if !again.is_empty() {
        cx.scan(|row: Plantation| {
            doubles.see(row.id, posts_of(&row).into_iter().filter(|post| again.contains(&hash(post))));
        })?;
    }
    Ok(doubles.keys)
}

/// The hashes that stand there more than once.
fn again(mut hashes: Vec<u64>) -> FxHashSet<u64> {
    hashes.sort_unstable();
    hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
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
    fn hashes_that_meet_by_chance_make_no_doubles() {
        assert_eq!(again(vec![3, 1, 3, 2, 3, 1]), [1, 3].into_iter().collect());
        let mut doubles = Doubles::default();
        let one = planting(Kind::Api, Some(7));
        let other = Planting { trees: 4, ..one.clone() };
        for (key, row) in [(1, &one), (2, &other), (3, &one)] {
            doubles.see(key, posts(row));
        }
        assert_eq!(doubles.keys, [3].into_iter().collect());
    }
}
