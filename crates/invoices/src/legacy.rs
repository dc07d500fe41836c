//! Legacy invoices as they truly are.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::invoice;

/// A row of `invoice`.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = invoice, check_for_backend(MultiBackend))]
pub struct Invoice {
    /// The key.
    pub id: Key,
    /// A number: `MT-10123`, `mt10123`, `MT 0010123`.
    pub invoice_no: Cell<String>,
    /// The user who is billed; 0 is NULL.
    pub user_id: Cell<i64>,
    /// An amount.
    pub total: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// A day, in one of three formats.
    pub issued: Cell<String>,
    /// A day, in one of three formats.
    pub due: Cell<String>,
    /// A flag, or `part`.
    pub paid: Cell<String>,
}

replant_core::legacy!(Invoice => invoice, "invoice", key = id);
