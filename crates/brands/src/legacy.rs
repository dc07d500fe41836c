//! Legacy brands as they truly are.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::brand;

/// A row of `brand`.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = brand, check_for_backend(MultiBackend))]
pub struct Brand {
    /// The key.
    pub id: Key,
    /// The user behind the brand; 0 is NULL.
    pub user_id: Cell<i64>,
    /// The name, not unique.
    pub name: Cell<String>,
    /// A VAT number, in no one form.
    pub vat_no: Cell<String>,
    /// How it pays: `card`, `invoice`, `XC`.
    pub billing: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// An amount: `0.60`, `£0.60`, `60p`.
    pub price_per_tree: Cell<String>,
    /// The group of companies.
    pub group_name: Cell<String>,
    /// When it was entered; only kept with a quarantined row.
    pub created_when: Cell<Wall>,
}

replant_core::legacy!(Brand => brand, "brand", key = id);
