#![doc = include_str!("../README.md")]

mod doubles;
mod legacy;
mod native;
mod number;
mod numbers;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use reference::Currencies;
use replant_clean::Snapshot;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use rustc_hash::FxHashMap;

use crate::doubles::{Double, Search};
use crate::native::NativeNumbers;
use crate::transform::Known;

pub use crate::number::InvoiceNumber;
pub use crate::numbers::{MigratedInvoice, Numbers};

/// The domain.
pub fn domain() -> Domain {
    Domain::new("invoices").step::<Invoices>()
}

/// Legacy `invoice` to platform `invoices`.
pub struct Invoices;

/// What the step knows before its first chunk.
pub struct Lookups {
    known: Known,
    doubles: FxHashMap<Key, Double>,
    plan: Arc<StepPlan>,
}

impl Step for Invoices {
    const NAME: &'static str = "invoices.invoices";
    const ABOUT: &'static str = "invoices, one for each number";
    const AFTER: &'static [&'static str] = &[users::Accounts::NAME];
    const TARGET: &'static str = "invoices";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("the lineage; the lowest id of a number is the migrated one")),
        ("invoice_no", Fate::Moved("invoices.number")),
        ("user_id", Fate::Moved("invoices.account_id")),
        ("total", Fate::Moved("invoices.total_minor")),
        ("currency", Fate::Moved("invoices.currency")),
        ("issued", Fate::Moved("invoices.issued_on")),
        ("due", Fate::Moved("invoices.due_on")),
        ("paid", Fate::Moved("invoices.status")),
    ];

    type Legacy = legacy::Invoice;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<schema::invoices::table>("invoices"), reference::currencies_shape()]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let known = Known::read(cx)?;
        let mut search = Search::default();
        cx.scan(|row: legacy::Invoice| {
            if let Ok(fields) = known.judge(&row, &mut Draft::<target::Rows>::default()) {
                let billed = fields.billed();
                search.add(row.id, fields.number, billed);
            }
        })?;
        let doubles = search.end(&cx.frozen::<NativeNumbers>()?.0);
        Ok(Lookups { known, doubles, plan: cx.plan() })
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, legacy::Invoice>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::invoice(lookups, unit.leader(), draft)
    }
}

impl Known {
    fn read(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        Ok(Self {
            users: cx.standings::<users::Accounts>()?,
            currencies: cx.lookup::<Currencies>()?,
            snapshot: Snapshot(cx.snapshot()),
        })
    }
}
