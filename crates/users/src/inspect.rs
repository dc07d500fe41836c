//! What would keep the users from their end, seen before anything is written.

use diesel::prelude::*;
use replant_core::db::Role;
use replant_core::prelude::*;

use crate::sharing::{is_merged, sharing};
use crate::write::{APART, POINTERS};

/// As many groups of accounts as are named.
const NAMED: usize = 20;

/// Looks at what points to accounts, and at accounts that the rules would not merge.
pub(crate) fn inspect(cx: &mut Inspect<'_>) -> QueryResult<Vec<Finding>> {
    let known: Vec<(&str, &str)> = POINTERS.iter().chain(APART).copied().collect();
    let mut found = cx.unknown_pointers("accounts", &known)?;
    if !cx.is_done() {
        found.extend(apart(cx)?);
    }
    Ok(found)
}

/// Accounts that share an e-mail and that the rules leave apart, because it is no valid one: the index would refuse them.
fn apart(cx: &mut Inspect<'_>) -> QueryResult<Option<Finding>> {
    let found = sharing(cx.target())?;
    let groups = found.chunk_by(|a, b| a.folded == b.folded);
    let mut apart: Vec<Vec<i64>> =
        groups.filter(|group| !is_merged(group)).map(|group| group.iter().map(|one| one.id).collect()).collect();
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
