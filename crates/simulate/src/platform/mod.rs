//! The platform as it stands some weeks after its launch: what the pre-launch migration wrote, and what customers did since.

mod account;
mod dealing;
mod reference;

use crate::table::{Side, Table};
use crate::world::World;

/// The tables, parents before children.
pub(crate) fn tables(world: &World) -> Vec<Table> {
    let table = |name, columns, rows, make| Table { side: Side::Platform, name, columns, rows, make };
    let accounts = world.candidates();
    vec![
        table("currencies", reference::CURRENCIES, reference::currencies(), reference::currency),
        table("countries", reference::COUNTRIES, reference::countries(), reference::country),
        table("projects", reference::PROJECTS, 3, reference::project),
        table("project_species", reference::SPECIES, 5, reference::species),
        table("accounts", account::ACCOUNTS, accounts, account::account),
        table("account_emails", account::EMAILS, world.sizes.users, account::email),
        table("legacy_user_map", account::MAP, world.sizes.users, account::map),
        table("subscriptions", dealing::SUBSCRIPTIONS, accounts, dealing::subscription),
        table("payments", dealing::PAYMENTS, accounts * dealing::OF_ACCOUNT, dealing::payment),
        table("refunds", dealing::REFUNDS, accounts, dealing::refund),
        table("plantings", dealing::PLANTINGS, accounts * 2, dealing::planting),
        table("credit_entries", dealing::CREDITS, accounts * 2, dealing::credit),
    ]
}
