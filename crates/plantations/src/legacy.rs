//! Legacy plantations as they truly are.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::plantation;

/// A row of `plantation`: some trees, by someone, in a project.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = plantation, check_for_backend(MultiBackend))]
pub struct Plantation {
    /// The key.
    pub id: Key,
    /// Who planted; 0 is NULL.
    pub user_id: Cell<i64>,
    /// For which brand; 0 is NULL.
    pub brand_id: Cell<i64>,
    /// Where; 0 is NULL.
    pub project_id: Cell<i64>,
    /// How many trees.
    pub trees: Cell<i64>,
    /// How it came about: `order`, `Gift`, `sub`, `API`, `xc`.
    pub source: Cell<String>,
    /// Whom a gift is for: free text.
    pub gift_email: Cell<String>,
    /// What the giver says.
    pub gift_message: Cell<String>,
    /// In major units of the currency.
    pub cost: Cell<f32>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// The transaction that paid for it; 0 is NULL.
    pub finance_transaction_id: Cell<i64>,
    /// `done`, `planted`, `pending`, `cancelled`, `void`.
    pub status: Cell<String>,
    /// London wall time.
    pub planted_when: Cell<Wall>,
    /// London wall time.
    pub created_when: Cell<Wall>,
}

replant_core::legacy!(Plantation => plantation, "plantation", key = id);

/// What a search for double posts reads of every plantation.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = plantation, check_for_backend(MultiBackend))]
pub(crate) struct Posted {
    /// The key.
    pub id: Key,
    /// Who planted; 0 is NULL.
    pub user_id: Cell<i64>,
    /// For which brand; 0 is NULL.
    pub brand_id: Cell<i64>,
    /// Where; 0 is NULL.
    pub project_id: Cell<i64>,
    /// How many trees.
    pub trees: Cell<i64>,
    /// London wall time.
    pub planted_when: Cell<Wall>,
}

replant_core::legacy!(Posted => plantation, "plantation", key = id);
