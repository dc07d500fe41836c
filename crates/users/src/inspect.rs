//! What would keep the users from their end, seen before anything is written.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use replant_clean as clean;
use replant_core::db::Role;
use replant_core::prelude::*;

use crate::write::{APART, POINTERS};

/// As many groups of accounts as are named.
const NAMED: usize = 20;

/// Looks at what points to accounts, and at accounts that the rules would not merge.
pub(crate) fn inspect(cx: &mut Inspect<'_>) -> QueryResult<Vec<Finding>> {
    let known: Vec<(&str, &str)> = POINTERS.iter().chain(APART).copied().collect();
    let mut found = cx.unknown_pointers("accounts", &known)?;
    if !cx.is_done() {
        found.extend(sharing(cx)?);
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct Sharing {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    shared: String,
}

/// Live accounts of one e-mail but for its case, by the server's own idea of case, which the index has too.
const SHARING: &str = "
SELECT a.id, a.email, lower(a.email) AS shared FROM accounts a
  JOIN (SELECT lower(email) AS shared FROM accounts WHERE merged_into IS NULL GROUP BY lower(email) HAVING count(*) > 1) s
    ON s.shared = lower(a.email)
 WHERE a.merged_into IS NULL ORDER BY a.id";

/// Accounts that share an e-mail and that the rules leave apart, because it is no valid one: the index would refuse them.
fn sharing(cx: &mut Inspect<'_>) -> QueryResult<Option<Finding>> {
    let found: Vec<Sharing> = diesel::sql_query(SHARING).load(cx.target())?;
    let mut groups: BTreeMap<&str, Vec<&Sharing>> = BTreeMap::new();
    for one in &found {
        groups.entry(&one.shared).or_default().push(one);
    }
    let merged = |group: &Vec<&Sharing>| {
        let first = clean::email(&group[0].email);
        first.is_some() && group.iter().all(|one| clean::email(&one.email) == first)
    };
    let mut apart: Vec<Vec<i64>> = groups
        .into_values()
        .filter(|group| !merged(group))
        .map(|group| group.iter().map(|one| one.id).collect())
        .collect();
    if apart.is_empty() {
        return Ok(None);
    }
    apart.sort_unstable();
    let in_all: usize = apart.iter().map(Vec::len).sum();
    let shown: Vec<String> = apart.iter().take(NAMED).map(|ids| format!("({})", listed(ids))).collect();
    let more = if apart.len() > NAMED { format!(" and {} groups more", apart.len() - NAMED) } else { String::new() };
    let what = format!(
        "{in_all} live accounts share an e-mail but for its case, and the rules do not merge them, because it is no valid one: {}{more}",
        shown.join(", ")
    );
    Ok(Some(
        Finding::refusal(Role::Target, what).mend("give each its own address on the platform, or merge them there"),
    ))
}

fn listed(ids: &[i64]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
