//! The legacy tables, a row at a time.

mod brand;
mod charge;
mod credit;
mod invoice;
mod plantation;
mod project;
mod subscription;
mod transaction;
mod transfer;
mod user;

pub(crate) use credit::credit_of;
pub(crate) use transaction::{Kind, Payment};
pub(crate) use user::row as user;

use crate::table::{Side, Table};
use crate::world::World;

/// The tables in the order in which they are made: large ones first, so that none is left over at the end.
pub(crate) fn tables(world: &World) -> Vec<Table> {
    let sizes = &world.sizes;
    let table = |name, columns, rows, make| Table { side: Side::Legacy, name, columns, rows, make };
    vec![
        table("plantation", plantation::COLUMNS, sizes.plantations, plantation::row),
        table("finance_transaction", transaction::COLUMNS, sizes.transactions, transaction::row),
        table("credit_entry", credit::COLUMNS, sizes.credits, credit::row),
        table("user", user::COLUMNS, sizes.users, user::row),
        table("subscription", subscription::COLUMNS, sizes.subscriptions, subscription::row),
        table("bank_transfer", transfer::COLUMNS, sizes.transfers, transfer::row),
        table("cross_charge", charge::COLUMNS, sizes.charges, charge::row),
        table("invoice", invoice::COLUMNS, sizes.invoices, invoice::row),
        table("brand", brand::COLUMNS, sizes.brands, brand::row),
        table("project", project::COLUMNS, sizes.projects, project::row),
        table("meta", &["name", "value"], 2, |_, row, out| {
            out.text(if row == 0 { "app_timezone" } else { "snapshot_at" });
            out.text(if row == 0 { "Europe/London" } else { "2024-03-20T23:40:00Z" });
            true
        }),
    ]
}
