//! Legacy cross-charges as they truly are, and the names of brands.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::{brand, cross_charge};

/// A row of `cross_charge`.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = cross_charge, check_for_backend(MultiBackend))]
pub struct CrossCharge {
    /// The key.
    pub id: Key,
    /// The brand that is charged; 0 is NULL.
    pub brand_id: Cell<i64>,
    /// Its name, for want of an id.
    pub brand_name: Cell<String>,
    /// A month, in one of four formats: `2023-07`, `07/2023`, `Jul-23`, `July 2023`.
    pub period: Cell<String>,
    /// How many.
    pub trees: Cell<i64>,
    /// An amount, for a tree.
    pub unit_price: Cell<String>,
    /// An amount, for all of them.
    pub total: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// Free text.
    pub cost_centre: Cell<String>,
    /// Free text.
    pub invoice_no: Cell<String>,
    /// Which version of the charge this is.
    pub revision: Cell<i64>,
    /// `draft`, `sent`, `final`, `void`, empty.
    pub status: Cell<String>,
    /// When it was entered; only kept with a quarantined row.
    pub created_when: Cell<Wall>,
}

replant_core::legacy!(CrossCharge => cross_charge, "cross_charge", key = id);

/// The name of a brand.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = brand, check_for_backend(MultiBackend))]
pub(crate) struct NamedBrand {
    pub id: Key,
    pub name: Cell<String>,
}

replant_core::legacy!(NamedBrand => brand, "brand", key = id);
