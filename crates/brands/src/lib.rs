#![doc = include_str!("../README.md")]

mod accounts;
mod legacy;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use reference::Currencies;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};

pub use accounts::BrandAccounts;

/// The domain.
pub fn domain() -> Domain {
    Domain::new("brands").step::<Brands>()
}

/// Legacy `brand` to platform `brands`.
pub struct Brands;

/// What the step knows before its first chunk.
pub struct Lookups {
    users: Arc<Standings>,
    currencies: Arc<Currencies>,
    plan: Arc<StepPlan>,
}

impl Step for Brands {
    const NAME: &'static str = "brands.brands";
    const ABOUT: &'static str = "brands with their price per tree; their accounts become brand accounts";
    const AFTER: &'static [&'static str] = &[users::Accounts::NAME];
    const TARGET: &'static str = "brands";
    const CHANGES: &'static [(&'static str, &'static [Right])] = &[("accounts", &[Right::Update])];
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; a brand gets an id of the platform's own")),
        ("user_id", Fate::Moved("brands.account_id")),
        ("name", Fate::Moved("brands.name")),
        ("vat_no", Fate::Moved("brands.vat_number")),
        ("billing", Fate::Moved("brands.billing_mode")),
        ("currency", Fate::Moved("brands.currency")),
        ("price_per_tree", Fate::Moved("brands.price_per_tree_minor")),
        ("group_name", Fate::Moved("brands.group_name")),
        (
            "created_when",
            Fate::Dropped("the platform does not keep when a brand was entered, and nothing depends on it"),
        ),
    ];

    type Legacy = legacy::Brand;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<schema::brands::table>("brands"), reference::currencies_shape()]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        Ok(Lookups {
            users: cx.standings::<users::Accounts>()?,
            currencies: cx.lookup::<Currencies>()?,
            plan: cx.plan(),
        })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, legacy::Brand>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::brand(lookups, unit.leader(), draft)
    }

    /// An account whose last brand has gone, in a later state of the legacy database, is not that of a brand any more.
    fn finish(_: &Lookups, tx: &mut Tx<'_>) -> Result<(), FinishError> {
        let has_none = "NOT EXISTS (SELECT 1 FROM brands b WHERE b.account_id = t.id)";
        Ok(tx.take_back("accounts", target::BECAME_BRAND, has_none)?)
    }
}
