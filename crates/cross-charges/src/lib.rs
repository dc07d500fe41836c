#![doc = include_str!("../README.md")]

mod brand;
mod legacy;
mod period;
mod price;
mod revisions;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use brands::Brands;
use reference::Currencies;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use rustc_hash::FxHashMap;

use crate::brand::BrandNames;
use crate::revisions::{Left, NativeCharges, Search};
use crate::transform::Known;

/// The domain.
pub fn domain() -> Domain {
    Domain::new("cross_charges").step::<CrossCharges>()
}

/// Legacy `cross_charge` to platform `cross_charges`.
pub struct CrossCharges;

/// What the step knows before its first chunk.
pub struct Lookups {
    known: Known,
    left: FxHashMap<Key, Left>,
    plan: Arc<StepPlan>,
}

impl Step for CrossCharges {
    const NAME: &'static str = "cross_charges.charges";
    const ABOUT: &'static str = "what brands are charged internally, one revision for each month and cost centre";
    const AFTER: &'static [&'static str] = &[Brands::NAME];
    const TARGET: &'static str = "cross_charges";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; of equal revisions the highest id is the migrated one")),
        ("brand_id", Fate::Moved("cross_charges.brand_id")),
        ("brand_name", Fate::Derived("the brand, where its id names none")),
        ("period", Fate::Moved("cross_charges.period")),
        ("trees", Fate::Moved("cross_charges.trees")),
        ("unit_price", Fate::Moved("cross_charges.unit_price_minor")),
        ("total", Fate::Moved("cross_charges.total_minor")),
        ("currency", Fate::Moved("cross_charges.currency")),
        ("cost_centre", Fate::Moved("cross_charges.cost_centre")),
        ("invoice_no", Fate::Moved("cross_charges.invoice_number")),
        ("revision", Fate::Derived("which of the charges of a brand, month and cost centre stays")),
        ("status", Fate::Derived("void charges are skipped")),
        (
            "created_when",
            Fate::Dropped("the platform does not keep when a charge was entered, and nothing depends on it"),
        ),
    ];

    type Legacy = legacy::CrossCharge;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn reads() -> Vec<TableShape> {
        vec![shape_of::<schema::brand::table>("brand")]
    }

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<schema::cross_charges::table>("cross_charges"), reference::currencies_shape()]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let brands = cx.standings::<Brands>()?;
        let names = BrandNames::read(cx, &brands)?;
        let known = Known { brands, names, currencies: cx.lookup::<Currencies>()? };
        let mut search = Search::default();
        cx.scan(|row: legacy::CrossCharge| {
            if let Ok(fields) = known.judge(&row, &mut Draft::<target::Rows>::default()) {
                search.add(fields.place, fields.revision, row.id);
            }
        })?;
        let left = search.end(&cx.frozen::<NativeCharges>()?.0);
        Ok(Lookups { known, left, plan: cx.plan() })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, legacy::CrossCharge>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::charge(lookups, unit.leader(), draft)
    }
}
