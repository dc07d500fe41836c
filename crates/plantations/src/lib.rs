#![doc = include_str!("../README.md")]

mod cost;
mod doubles;
mod judge;
mod legacy;
mod schema;
mod target;
mod transform;

use brands::BrandAccounts;
use reference::Currencies;
use replant_clean::Snapshot;
use replant_core::prelude::*;
use replant_core::shape_of;

use judge::Known;
use transform::Lookups;

pub use legacy::Plantation;

/// The domain.
pub fn domain() -> Domain {
    Domain::new("plantations").step::<Plantings>()
}

/// Legacy `plantation` to platform `plantings`.
pub struct Plantings;

impl Step for Plantings {
    const NAME: &'static str = "plantations.plantings";
    const ABOUT: &'static str = "plantings with their cost, payment and recipient; double posts are left out";
    const AFTER: &'static [&'static str] =
        &[users::Accounts::NAME, brands::Brands::NAME, projects::Projects::NAME, payments::Payments::NAME];
    const TARGET: &'static str = "plantings";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; a planting gets an id of the platform's own")),
        ("user_id", Fate::Moved("plantings.account_id")),
        ("brand_id", Fate::Moved("plantings.brand_id; account_id where there is no user")),
        ("project_id", Fate::Moved("plantings.project_id")),
        ("trees", Fate::Moved("plantings.trees")),
        ("source", Fate::Moved("plantings.kind")),
        ("gift_email", Fate::Moved("plantings.recipient_email, recipient_account_id")),
        ("gift_message", Fate::Moved("plantings.message")),
        ("cost", Fate::Moved("plantings.cost_minor")),
        ("currency", Fate::Moved("plantings.currency")),
        ("finance_transaction_id", Fate::Moved("plantings.payment_id")),
        ("status", Fate::Moved("plantings.status")),
        ("planted_when", Fate::Moved("plantings.planted_at")),
        ("created_when", Fate::Derived("plantings.planted_at where planted_when is unknown")),
    ];

    type Legacy = Plantation;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<schema::plantings::table>("plantings"), reference::currencies_shape()]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let known = Known {
            users: cx.standings::<users::Accounts>()?,
            brands: cx.standings::<brands::Brands>()?,
            brand_accounts: cx.lookup::<BrandAccounts>()?,
            projects: cx.standings::<projects::Projects>()?,
            currencies: cx.lookup::<Currencies>()?,
            snapshot: Snapshot(cx.snapshot()),
        };
        let (emails, doubles) = (cx.lookup::<users::Emails>()?, doubles::find(cx, &known)?);
        Ok(Lookups { doubles, known, payments: cx.standings::<payments::Payments>()?, emails, plan: cx.plan() })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, Plantation>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::planting(lookups, unit.leader(), draft)
    }
}
