//! Live accounts that share an address: the rules merge them, or the index over addresses refuses them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_clean as clean;
use replant_core::db::Db;

/// A live account that shares its address.
#[derive(QueryableByName)]
pub(crate) struct Sharing {
    #[diesel(sql_type = BigInt)]
    pub(crate) id: i64,
    #[diesel(sql_type = Text)]
    pub(crate) email: String,
    /// The address without its case, by the server's own idea of case, which the index has too.
    #[diesel(sql_type = Text)]
    pub(crate) folded: String,
}

/// diesel has no `lower`.
const SHARING: &str = "
WITH standing AS MATERIALIZED (SELECT id, email, lower(email) AS folded FROM accounts WHERE merged_into IS NULL)
SELECT s.id, s.email, s.folded
  FROM (SELECT folded FROM standing GROUP BY folded HAVING count(*) > 1) d
  JOIN standing s ON s.folded = d.folded
 ORDER BY s.folded, s.id";

/// Those accounts, each group together and by id.
///
/// # Errors
/// Those of the database.
pub(crate) fn sharing(db: &mut Db) -> QueryResult<Vec<Sharing>> {
    diesel::sql_query(SHARING).load(db)
}

/// Whether the rules make a group one: its addresses are the same valid one (rules: Users, 3).
pub(crate) fn is_merged(group: &[Sharing]) -> bool {
    let address = clean::email(&group[0].email);
    address.is_some() && group.iter().all(|one| clean::email(&one.email) == address)
}
