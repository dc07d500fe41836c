//! Whose brand it is, for later steps whose rows name a brand and no user.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::Brands;
use crate::schema::brand;

/// The user behind a brand.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = brand, check_for_backend(MultiBackend))]
struct Owned {
    id: Key,
    user_id: Cell<i64>,
}

replant_core::legacy!(Owned => brand, "brand", key = id);

/// The account of every live brand, by its legacy key. A step that asks for it names both [`users::Accounts`] and
/// [`Brands`] in `AFTER`.
pub struct BrandAccounts(FxHashMap<Key, i64>);

impl Lookup for BrandAccounts {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        let (brands, users) = (cx.standings::<Brands>()?, cx.standings::<users::Accounts>()?);
        let mut owned = Vec::new();
        cx.scan(|row: Owned| owned.push((row.id, row.user_id.reference("user_id").ok().flatten())))?;
        Ok(Self::new(&brands, &users, owned))
    }
}

impl BrandAccounts {
    /// From the legacy brands with their users. A brand's account is that of its user: the rule that wrote it knows no other.
    pub fn new(brands: &Standings, users: &Standings, owned: impl IntoIterator<Item = (Key, Option<Key>)>) -> Self {
        let account = |(brand, user)| match (brands.of(Some(brand)), users.of(user)) {
            (Standing::Live(_), Standing::Live(account)) => Some((brand, account)),
            _ => None,
        };
        Self(owned.into_iter().filter_map(account).collect())
    }

    /// The account of a brand; none where the brand is not on the platform.
    pub fn of(&self, brand: Option<Key>) -> Option<i64> {
        self.0.get(&brand?).copied()
    }
}

#[cfg(test)]
mod tests {
    use replant_core::Root;

    use super::*;

    #[test]
    fn a_brand_that_came_in_has_the_account_of_its_user() {
        let refused = || Standing::Quarantined(Root { step: "brands.brands".to_owned(), key: 2 });
        let brands = Standings::from_rows([(1, Standing::Live(101)), (2, refused()), (3, Standing::Skipped)]);
        let users = Standings::from_rows([(7, Standing::Live(500))]);
        let accounts = BrandAccounts::new(&brands, &users, [1, 2, 3].map(|brand| (brand, Some(7))));
        assert_eq!(
            [Some(1), Some(2), Some(3), Some(4), None].map(|brand| accounts.of(brand)),
            [Some(500), None, None, None, None]
        );
    }
}
